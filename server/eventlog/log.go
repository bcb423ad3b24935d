// Package eventlog keeps the log of every job: appended by one writer at a time, read by any number of readers, the
// same whether the job runs or has finished. A live log is in a stream of NATS JetStream, a finished one in the
// archive. The package never interprets a fact beyond what the limits and the gate need, and shows nothing that is
// not stored.
//
// A log is the messages of one subject of one stream. A message holds a few events as NDJSON, and in its header the
// state of the log after them, so that whoever reads the last message knows all that appending needs. Each append
// names the message that it expects to be last; that is the fence between writers.
package eventlog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"slipway/server/play"
)

// ErrFinished says that a log is at its end: nothing can be appended.
var ErrFinished = errors.New("the log is finished")

// keepFor is how long the stream keeps what nobody archived or purged, and the last message of every log.
const keepFor = 7 * 24 * time.Hour

// Archive holds the logs of finished jobs.
type Archive interface {
	// Log returns the whole log, or nil if it isn't there yet.
	Log(ctx context.Context, job string) ([]play.Event, error)
}

// Log reads the logs of all jobs. It holds the events of every job that someone reads in memory, once for all its
// readers; they are bounded by the limits that were kept when they were written.
type Log struct {
	bus     *Bus
	archive Archive

	ctx   context.Context
	close context.CancelFunc
	run   sync.WaitGroup

	mu    sync.Mutex
	feeds map[string]*feed
}

// Open makes the stream of logs if it is not there, and reads it and the archive.
func Open(ctx context.Context, b *Bus, archive Archive) (*Log, error) {
	_, err := b.Stream.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        streamName,
		Description: "logs of the jobs that have not been archived",
		Subjects:    []string{subjects + "*"},
		Storage:     jetstream.FileStorage,
		Replicas:    b.Replicas,
		MaxAge:      keepFor,
		AllowDirect: true, // for the state of a log
	})
	if err != nil {
		return nil, fmt.Errorf("open the stream of logs: %w", err)
	}
	l := &Log{bus: b, archive: archive, feeds: make(map[string]*feed)}
	l.ctx, l.close = context.WithCancel(context.Background()) // ended by Close
	return l, nil
}

// Close ends every Tail.
func (l *Log) Close() {
	l.close()
	l.run.Wait()
}

// Tail yields the events of a job after a sequence number, first those that there are and then each as it comes, and
// ends after Finished. It is the same for a live and an archived log. An error ends it too: ctx's own, or that of the
// stream or the archive. The log of a job that does not exist is one where nothing ever comes: ask whether it exists.
func (l *Log) Tail(ctx context.Context, job string, after int64) iter.Seq2[play.Event, error] {
	return func(yield func(play.Event, error) bool) {
		f, err := l.join(job)
		if err != nil {
			yield(play.Event{}, err)
			return
		}
		defer l.leave(f)
		for {
			events, over, more, err := f.after(after)
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
				after = e.Seq
			}
			if err != nil {
				yield(play.Event{}, err)
				return
			}
			if over {
				return
			}
			select {
			case <-more:
			case <-ctx.Done():
				yield(play.Event{}, context.Cause(ctx))
				return
			}
		}
	}
}

// Last is the Seq of the last event that is stored, 0 if there is none.
func (l *Log) Last(ctx context.Context, job string) (int64, error) {
	s, err := Read(ctx, l.bus, job)
	return s.Seq, err
}

// Purge forgets an archived log but for its end, which sends readers that are still on the way to the archive.
func (l *Log) Purge(ctx context.Context, job string) error {
	stream, err := l.bus.Stream.Stream(ctx, streamName)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(subjects+job), jetstream.WithPurgeKeep(1))
	}
	if err != nil {
		return fmt.Errorf("purge log %s: %w", job, err)
	}
	return nil
}

// join returns the job's feed, which is started for its first reader.
func (l *Log) join(job string) (*feed, error) {
	if !play.IsName(job) {
		return nil, fmt.Errorf("%q is not a job's id", job)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	f := l.feeds[job]
	if f == nil {
		ctx, stop := context.WithCancel(l.ctx)
		f = &feed{job: job, stop: stop, more: make(chan struct{})}
		l.feeds[job] = f
		l.run.Go(func() {
			f.end(f.run(ctx, l))
			l.drop(f)
		})
	}
	f.readers++
	return f, nil
}

func (l *Log) leave(f *feed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.readers--
	if f.readers == 0 {
		f.stop()
		l.forget(f)
	}
}

// drop lets a feed that failed go, so that the next reader begins anew. One that is at its end serves who comes.
func (l *Log) drop(f *feed) {
	if _, _, _, err := f.after(0); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.forget(f)
	}
}

func (l *Log) forget(f *feed) {
	if l.feeds[f.job] == f {
		delete(l.feeds, f.job)
	}
}
