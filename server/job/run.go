package job

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"slipway/server/eventlog"
	"slipway/server/play"
)

const (
	servers  = "servers"        // queue group: each message goes to one server
	inspect  = 2 * time.Second  // between two looks at all unfinished jobs
	young    = 5 * time.Second  // a job that is younger is still being launched
	atOnce   = 8                // messages worked on at once
	patience = 30 * time.Second // for one job
)

// Run keeps the queue until ctx ends: it gives workers the files that they ask for, brings rows in line with the
// logs, moves finished logs into the store, tells who waits how many are ahead, and ends or launches again what got
// lost. Several servers may run it at once: every step is harmless if another does it too.
func (q *Queue) Run(ctx context.Context) error {
	messages := make(chan *nats.Msg, 256)
	for _, subject := range []string{turns, files} {
		sub, err := q.Bus.Conn.ChanQueueSubscribe(subject+"*", servers, messages)
		if err != nil {
			return fmt.Errorf("run the queue: %w", err)
		}
		defer sub.Unsubscribe()
	}
	var busy sync.WaitGroup
	defer busy.Wait()
	for range atOnce {
		busy.Go(func() { q.answer(ctx, messages) })
	}
	tick := time.NewTicker(inspect)
	defer tick.Stop()
	for {
		if err := q.inspect(ctx); err != nil && ctx.Err() == nil {
			q.Log.Warn("the unfinished jobs could not all be inspected; trying again soon", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// answer works on messages until ctx ends.
func (q *Queue) answer(ctx context.Context, messages <-chan *nats.Msg) {
	for {
		select {
		case msg := <-messages:
			if err := q.message(ctx, msg); err != nil && ctx.Err() == nil {
				q.Log.Warn("a message about a job", "subject", msg.Subject, "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (q *Queue) message(ctx context.Context, msg *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if id, ok := strings.CutPrefix(msg.Subject, files); ok {
		return q.sendFiles(ctx, id, msg.Reply)
	}
	j, err := q.Store.Job(ctx, strings.TrimPrefix(msg.Subject, turns))
	if err != nil {
		return err
	}
	_, err = q.settle(ctx, j)
	return err
}

// settle brings a job's row in line with its log, and returns the log's state.
func (q *Queue) settle(ctx context.Context, j play.Job) (eventlog.State, error) {
	if j.State == play.JobFinished {
		return eventlog.State{Finished: true}, nil
	}
	s, err := eventlog.Read(ctx, q.Bus, j.ID)
	switch {
	case err != nil:
		return s, err
	case s.Finished:
		return s, q.close(ctx, j)
	case s.Attempt > j.Attempt:
		return s, q.Store.StartJob(ctx, j.ID, s.Attempt, time.Now())
	}
	return s, nil
}

// close moves the finished log of a job into the store, and out of the stream only then.
func (q *Queue) close(ctx context.Context, j play.Job) error {
	var log []play.Event
	for e, err := range q.Logs.Tail(ctx, j.ID, 0) {
		if err != nil {
			return fmt.Errorf("close job %s: %w", j.ID, err)
		}
		log = append(log, e)
	}
	last := log[len(log)-1]
	f, ok := last.Fact.(play.Finished)
	if !ok {
		return fmt.Errorf("close job %s: its log ends with %s", j.ID, last.Fact.Kind())
	}
	if err := q.Store.FinishJob(ctx, j.ID, f.Outcome, j.Created.Add(last.At), q.Summarize(log), log); err != nil {
		return fmt.Errorf("close job %s: %w", j.ID, err)
	}
	if err := q.Logs.Purge(ctx, j.ID); err != nil {
		return err
	}
	if err := q.stream.Purge(ctx, jetstream.WithPurgeSubject(orders+j.ID)); err != nil {
		return fmt.Errorf("close job %s: %w", j.ID, err)
	}
	return nil
}

// inspect looks at every unfinished job.
func (q *Queue) inspect(ctx context.Context) error {
	jobs, err := q.Store.Unfinished(ctx)
	if err != nil {
		return err
	}
	ahead := 0
	seen := make(map[string]bool, len(jobs))
	var all error
	for _, j := range jobs {
		seen[j.ID] = true
		ctx, cancel := context.WithTimeout(ctx, patience)
		s, err := q.settle(ctx, j)
		if err == nil && !s.Finished {
			err = q.tend(ctx, j, s, ahead)
		}
		if s.Attempt == 0 && !s.Finished {
			ahead++
		}
		cancel()
		if err != nil {
			all = errors.Join(all, fmt.Errorf("job %s: %w", j.ID, err))
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for id := range q.told {
		if !seen[id] {
			delete(q.told, id)
		}
	}
	return all
}

// tend does what an unfinished job needs whose row is in line with its log.
func (q *Queue) tend(ctx context.Context, j play.Job, s eventlog.State, ahead int) error {
	age := time.Since(j.Created)
	switch {
	case age < young:
		return nil
	case s.Attempt == 0 && age > q.Limits.Queue:
		return q.end(ctx, j, play.Finished{
			Outcome: play.LimitHit,
			Message: fmt.Sprintf("The build waited %v for a free worker, as long as a build may wait.", q.Limits.Queue),
			Hint:    "Build again later, when fewer people are building.",
		})
	case s.Attempt == 0 && j.Attempt > 0:
		return q.end(ctx, j, broken("The log of this build was lost while it ran."))
	case age > q.Limits.Queue+maxAttempts*(q.Limits.Build+ackWait)+time.Minute:
		return q.end(ctx, j, broken("The worker of this build was lost and no other took over."))
	}
	_, err := q.stream.GetLastMsgForSubject(ctx, orders+j.ID)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		if s.Attempt >= maxAttempts {
			return q.end(ctx, j, givenUp(s.Attempt))
		}
		rev, err := q.Store.Revision(ctx, j.Build.Revision)
		if err != nil {
			return err
		}
		q.Log.Warn("a job that no worker could get is launched again", "job", j.ID)
		return q.launch(ctx, j, rev, ahead)
	}
	if err != nil || s.Attempt > 0 {
		return err
	}
	return q.tell(ctx, j, ahead)
}

// tell notes in a waiting job's log how many are ahead of it, if that has changed.
func (q *Queue) tell(ctx context.Context, j play.Job, ahead int) error {
	q.mu.Lock()
	before, ok := q.told[j.ID]
	q.told[j.ID] = ahead
	q.mu.Unlock()
	if ok && before == ahead {
		return nil
	}
	err := eventlog.Note(ctx, q.Bus, j.ID, q.gate(), time.Since(j.Created), play.Queued{Ahead: ahead})
	if errors.Is(err, play.ErrLost) {
		return nil // its turn has come
	}
	return err
}

func broken(message string) play.Finished {
	return play.Finished{Outcome: play.Broken, Message: message, Hint: "This was our fault, not your Dockerfile's. Build again."}
}

func givenUp(times int) play.Finished {
	return broken(fmt.Sprintf("The build was begun %d times, and each time its worker was lost.", times))
}
