package eventlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"slipway/server/play"
)

// A feed is the log of one job in memory, for all its readers on this node. It only grows, so each reader goes at
// its own pace and holds nobody up: readers are told that there is more, and take it from here.
type feed struct {
	job     string
	stop    context.CancelFunc
	readers int // guarded by Log.mu

	mu     sync.Mutex
	events []play.Event // Seq 1, 2, 3 …; appended to, never changed
	more   chan struct{}
	over   bool // the last of events is Finished
	err    error
}

// after returns the events after a sequence number, whether they are the last, and a channel that is closed when
// there is more. If err is not nil there won't be.
func (f *feed) after(seq int64) (events []play.Event, over bool, more <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	seq = min(max(seq, 0), int64(len(f.events)))
	return f.events[seq:len(f.events):len(f.events)], f.over, f.more, f.err
}

// run fills the feed from the archive, or from the stream until the log's end.
//
// A log may move from one to the other at any moment. Its end stays in the stream, so a feed that has looked into the
// archive too early gets that end, sees by the sequence numbers that it has missed something, and looks again.
func (f *feed) run(ctx context.Context, l *Log) error {
	archived, err := l.archive.Log(ctx, f.job)
	if err != nil {
		return err
	}
	if archived != nil {
		return f.add(archived)
	}
	consumer, err := l.bus.Stream.OrderedConsumer(ctx, streamName, fromStart(f.job))
	if err != nil {
		return fmt.Errorf("read log %s: %w", f.job, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("read log %s: %w", f.job, err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	for {
		msg, err := messages.Next()
		if err != nil {
			return errors.Join(ctx.Err(), fmt.Errorf("read log %s: %w", f.job, err))
		}
		events, err := decode(msg.Data())
		if err != nil {
			return fmt.Errorf("read log %s: %w", f.job, err)
		}
		err = f.add(events)
		if errors.Is(err, errGap) {
			if events, err = l.archive.Log(ctx, f.job); err == nil {
				err = f.add(events)
			}
		}
		if err != nil {
			return fmt.Errorf("read log %s: %w", f.job, err)
		}
		if _, over, _, _ := f.after(0); over {
			return nil
		}
	}
}

// fromStart reads all messages of a log, in order and each once.
func fromStart(job string) jetstream.OrderedConsumerConfig {
	return jetstream.OrderedConsumerConfig{
		FilterSubjects:    []string{subjects + job},
		DeliverPolicy:     jetstream.DeliverAllPolicy,
		InactiveThreshold: 30 * time.Second, // after that the server forgets a node that is gone
	}
}

var errGap = errors.New("events are missing")

// add appends the events that are new and wakes the readers. If any between are missing it adds nothing.
func (f *feed) add(events []play.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := int64(len(f.events))
	for len(events) > 0 && events[0].Seq <= n {
		events = events[1:] // seen already
	}
	if len(events) == 0 {
		return nil
	}
	if events[0].Seq != n+1 {
		return fmt.Errorf("%w between %d and %d", errGap, n, events[0].Seq)
	}
	f.events = append(f.events, events...)
	_, f.over = events[len(events)-1].Fact.(play.Finished)
	f.wake()
	return nil
}

// end tells the readers that there won't be more.
func (f *feed) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return
	}
	if err == nil {
		err = fmt.Errorf("log %s has no end", f.job)
	}
	f.err = err
	f.wake()
}

func (f *feed) wake() {
	close(f.more)
	f.more = make(chan struct{})
}

// decode reads the lines of a message.
func decode(lines []byte) ([]play.Event, error) {
	var events []play.Event
	for line := range bytes.Lines(lines) {
		var e play.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}
