package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"slipway/server/eventlog"
	"slipway/server/play"
)

// Store is the record of jobs and of what they build.
type Store interface {
	Jobs
	Progress
	Revisions
}

// Jobs keeps jobs.
type Jobs interface {
	// AddJob keeps a new job unless who has most unfinished ones already, and reports whether it did.
	AddJob(ctx context.Context, j play.Job, who string, most int) (bool, error)
	Job(ctx context.Context, id string) (play.Job, error)
	Unfinished(ctx context.Context) ([]play.Job, error) // the oldest first
}

// Progress keeps how far jobs got. A job's state only moves forward: what comes late does nothing.
type Progress interface {
	StartJob(ctx context.Context, id string, attempt int, at time.Time) error
	FinishJob(ctx context.Context, id string, outcome play.Outcome, at time.Time, sum play.Summary, log []play.Event) error
}

// Revisions keeps files.
type Revisions interface {
	Revision(ctx context.Context, id string) (play.Revision, error)
}

// Config is what a Queue is made of. All fields are needed.
type Config struct {
	Bus    *eventlog.Bus
	Logs   *eventlog.Log
	Store  Store
	Limits play.Limits
	Length int // jobs that may wait at once

	// Plan says what a build will do as far as the text tells: Planned and Diagnosed. It is called before a worker gets
	// the job, which waits for it.
	Plan func(context.Context, play.Revision, play.BuildRequest) []play.Fact
	// Summarize folds a finished log.
	Summarize func([]play.Event) play.Summary
	// Domain is the trust domain of a viewer's jobs.
	Domain func(play.Viewer) string

	Log *slog.Logger
}

// Queue takes jobs in, and sees to it that each one ends. Run must be running.
type Queue struct {
	Config
	stream  jetstream.Stream
	workers jetstream.Consumer

	mu   sync.Mutex
	told map[string]int // job → jobs ahead of it, as its log says
}

// Open makes the queue if it is not there.
func Open(ctx context.Context, cfg Config) (*Queue, error) {
	stream, err := cfg.Bus.Stream.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        streamName,
		Description: "jobs that have not ended",
		Subjects:    []string{orders + "*"},
		Retention:   jetstream.WorkQueuePolicy,
		Storage:     jetstream.FileStorage,
		Replicas:    cfg.Bus.Replicas,
		AllowDirect: true,
	})
	if err != nil {
		return nil, fmt.Errorf("open the queue: %w", err)
	}
	workers, err := stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:       consumerName,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1, // the log counts attempts
		MaxAckPending: -1, // each worker takes only what it has a slot for
	})
	if err != nil {
		return nil, fmt.Errorf("open the queue: %w", err)
	}
	return &Queue{Config: cfg, stream: stream, workers: workers, told: make(map[string]int)}, nil
}

// Submit admits a build of a revision that is in the store, started from a snippet or "". Two equal requests are two
// jobs. When it returns the job will run, and its log has begun unless NATS is away.
func (q *Queue) Submit(ctx context.Context, viewer play.Viewer, req play.BuildRequest, snippet string) (play.Job, error) {
	if err := req.Check(); err != nil {
		return play.Job{}, err
	}
	rev, err := q.Store.Revision(ctx, req.Revision)
	if err != nil {
		return play.Job{}, fmt.Errorf("submit a build: %w", err)
	}
	waiting, err := q.waiting(ctx)
	if err != nil {
		return play.Job{}, play.Errorf(play.Unavailable, "The queue of builds can't be reached. Nothing was started; try again in a moment.").Because(err)
	}
	if waiting >= q.Length {
		return play.Job{}, play.Errorf(play.Limited, "%d builds are waiting, as many as the queue takes. Try again in a minute; your files are kept.", waiting)
	}
	j := play.Job{
		ID: newID(), Snippet: snippet, Owner: viewer.ID, Domain: q.Domain(viewer), Build: req,
		State: play.JobQueued, Created: time.Now().UTC().Truncate(time.Microsecond),
	}
	added, err := q.Store.AddJob(ctx, j, counted(viewer), q.Limits.Parallel)
	if err != nil {
		return play.Job{}, fmt.Errorf("submit a build: %w", err)
	}
	if !added {
		return play.Job{}, play.Errorf(play.Limited, "You have %d builds in progress, as many as one person may have at a time. Wait for one to end, or cancel it.", q.Limits.Parallel)
	}
	// The job is recorded now, so it is launched even if the one who asked has hung up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := q.launch(ctx, j, rev, waiting); err != nil {
		q.Log.Warn("a job could not be launched; trying again soon", "job", j.ID, "error", err)
	}
	return j, nil
}

// counted is who a viewer's jobs are counted for: someone who has shown no secret is known by address.
func counted(v play.Viewer) string {
	if v.ID != "" {
		return v.ID
	}
	return play.VisitorID("address " + v.Addr)
}

// waiting is how many orders no worker has seen.
func (q *Queue) waiting(ctx context.Context) (int, error) {
	info, err := q.workers.Info(ctx)
	if err != nil {
		return 0, err
	}
	return int(info.NumPending), nil
}

// launch begins the job's log unless it has begun, and puts its order into the queue unless it is there.
func (q *Queue) launch(ctx context.Context, j play.Job, rev play.Revision, ahead int) error {
	s, err := eventlog.Read(ctx, q.Bus, j.ID)
	if err != nil {
		return err
	}
	if s == (eventlog.State{}) {
		facts := append([]play.Fact{play.Queued{Ahead: ahead}}, q.Plan(ctx, rev, j.Build)...)
		err := eventlog.Note(ctx, q.Bus, j.ID, q.gate(), time.Since(j.Created), facts...)
		if err != nil && !errors.Is(err, play.ErrLost) { // lost: someone else has begun it
			return err
		}
		q.mu.Lock()
		q.told[j.ID] = ahead
		q.mu.Unlock()
	}
	data, err := json.Marshal(order{Job: j.ID, Domain: j.Domain, Created: j.Created, Request: j.Build, Limits: q.Limits})
	if err != nil {
		return err
	}
	_, err = q.Bus.Stream.Publish(ctx, orders+j.ID, data, jetstream.WithExpectLastSequencePerSubject(0))
	if eventlog.Overtaken(err) {
		return nil // it is there
	}
	return err
}

// Cancel ends a job for the viewer who started it, wherever it is. That it has ended already is fine.
func (q *Queue) Cancel(ctx context.Context, viewer play.Viewer, id string) error {
	j, err := q.Store.Job(ctx, id)
	if err != nil {
		return fmt.Errorf("cancel job %s: %w", id, err)
	}
	if viewer.ID == "" || viewer.ID != j.Owner {
		return play.Errorf(play.Denied, "Only the person who started a build may cancel it.")
	}
	if j.State == play.JobFinished {
		return nil
	}
	return q.end(ctx, j, play.Finished{Outcome: play.Cancelled, Message: "The build was cancelled."})
}

// end ends a job from outside: its log first, which refuses its worker from then on, then the rest.
func (q *Queue) end(ctx context.Context, j play.Job, f play.Finished) error {
	if err := eventlog.Finish(ctx, q.Bus, j.ID, q.gate(), time.Since(j.Created), f); err != nil {
		return fmt.Errorf("end job %s: %w", j.ID, err)
	}
	if err := q.Bus.Conn.Publish(cancels+j.ID, nil); err != nil {
		return fmt.Errorf("end job %s: %w", j.ID, err)
	}
	return q.close(ctx, j)
}

func (q *Queue) gate() eventlog.Gate { return eventlog.Gate{Limits: q.Limits} }
