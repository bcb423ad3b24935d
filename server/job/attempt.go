package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"slipway/server/eventlog"
	"slipway/server/play"
)

const (
	closing = 15 * time.Second // to store the end of a log, and to acknowledge it
	grace   = 5 * time.Second  // for a builder to stop; it promises to do within one
)

// attempt carries out an order. The order is acknowledged when the job's log is at its end, and not before. The
// error says why it was neither acknowledged nor given back.
func (w *Worker) attempt(stop context.Context, log *slog.Logger, msg jetstream.Msg, o order) error {
	outer := context.WithoutCancel(stop) // what we began is recorded, also when we stop
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	defer context.AfterFunc(stop, func() { cancel(play.ErrStopping) })()

	// Who ends the log before we take it makes the taking fail; who ends it after that is heard by this.
	heard, err := w.Bus.Conn.Subscribe(cancels+o.Job, func(*nats.Msg) { cancel(play.ErrCancelled) })
	if err != nil {
		return err
	}
	defer heard.Unsubscribe()
	out, before, err := eventlog.Take(ctx, w.Bus, o.Job, eventlog.Gate{Limits: o.Limits, Secrets: w.Secrets})
	if errors.Is(err, eventlog.ErrFinished) {
		return w.over(outer, msg, o.Job)
	}
	if err != nil {
		return err
	}
	if err := w.Bus.Conn.Publish(turns+o.Job, nil); err != nil {
		log.Warn("the servers can't be told that a job has begun", "error", err)
	}
	attempt := before.Attempt + 1
	quit := make(chan struct{})
	var beats sync.WaitGroup
	beats.Go(func() { w.beat(ctx, cancel, quit, msg, o.Job, attempt, out) })
	defer beats.Wait()
	defer close(quit)

	var end ending
	if attempt > maxAttempts {
		end = ending{fin: givenUp(before.Attempt)}
	} else {
		var stopped <-chan struct{}
		end, stopped = w.build(ctx, log, play.Build{
			Job: o.Job, Attempt: attempt, Domain: o.Domain, Created: o.Created, Request: o.Request, Limits: o.Limits,
		}, out)
		defer func() { // until the builder has stopped its slot is in use
			select {
			case <-stopped:
			case <-stop.Done():
			}
		}()
	}
	return w.conclude(outer, log, msg, o, out, end)
}

// conclude records how an attempt ended.
func (w *Worker) conclude(ctx context.Context, log *slog.Logger, msg jetstream.Msg, o order, out *eventlog.Writer, end ending) error {
	ctx, cancel := context.WithTimeout(ctx, closing)
	defer cancel()
	var err error
	if end.fate == finished {
		err = out.Append(ctx, time.Since(o.Created), end.fin)
	}
	err = errors.Join(err, out.Close(ctx))
	switch {
	case errors.Is(err, play.ErrLost), err == nil && end.fate == lost:
		s, err := eventlog.Read(ctx, w.Bus, o.Job)
		if err == nil && s.Finished {
			return w.over(ctx, msg, o.Job)
		}
		log.Info("another worker has taken over a job")
		return err // the order is the other's now
	case err != nil:
		return err
	case end.fate == givenBack:
		return msg.Nak()
	}
	return w.over(ctx, msg, o.Job)
}

// over says that the job's log is at its end.
func (w *Worker) over(ctx context.Context, msg jetstream.Msg, job string) error {
	ctx, cancel := context.WithTimeout(ctx, closing)
	defer cancel()
	return errors.Join(w.Bus.Conn.Publish(turns+job, nil), msg.DoubleAck(ctx))
}

// beat shows that the worker is alive, and cancels the build when its log is no longer its own.
func (w *Worker) beat(ctx context.Context, cancel context.CancelCauseFunc, quit <-chan struct{}, msg jetstream.Msg, job string, attempt int, out *eventlog.Writer) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	failed := out.Done()
	for {
		select {
		case <-tick.C:
			msg.InProgress() // best effort: the next one is near
			if s, err := eventlog.Read(ctx, w.Bus, job); err == nil && (s.Finished || s.Attempt != attempt) {
				cancel(play.ErrLost)
			}
		case <-failed:
			cancel(out.Err())
			failed = nil
		case <-quit:
			return
		}
	}
}

// build gets the files, runs the builder and returns how the attempt is to end. A builder that does not stop when told
// to is no longer waited for, but its slot is in use until stopped is closed.
func (w *Worker) build(ctx context.Context, log *slog.Logger, b play.Build, out *eventlog.Writer) (end ending, stopped <-chan struct{}) {
	done := make(chan struct{})
	rev, err := fetchFiles(ctx, w.Bus, b.Job, b.Request.Revision)
	if err != nil {
		log.Error("a build has no files", "error", err)
		close(done)
		return endOf(play.Finished{}, err, context.Cause(ctx), b.Limits), done
	}
	b.Revision = rev
	ctx, cancel := context.WithTimeoutCause(ctx, b.Limits.Build, play.ErrDeadline)
	emit := func(f play.Fact) error {
		if f.Kind() == (play.Finished{}).Kind() {
			return errors.New("a builder returns Finished, it does not emit it")
		}
		return out.Append(ctx, time.Since(b.Created), f)
	}
	result := make(chan ending, 1)
	go func() {
		defer close(done)
		defer cancel()
		fin, err := w.Builder.Build(ctx, b, emit)
		if err != nil && context.Cause(ctx) == nil {
			log.Error("a build broke", "error", err)
		}
		result <- endOf(fin, err, context.Cause(ctx), b.Limits)
	}()
	select {
	case end := <-result:
		return end, done
	case <-ctx.Done():
	}
	select {
	case end := <-result:
		return end, done
	case <-time.After(grace):
		log.Error("a builder does not stop")
		return endOf(play.Finished{}, errors.New("the builder does not stop"), context.Cause(ctx), b.Limits), done
	}
}

// ending is what becomes of a job after an attempt.
type ending struct {
	fate fate
	fin  play.Finished // if that is finished
}

type fate int

const (
	finished  fate = iota // the log gets its Finished
	givenBack             // to the queue, for another attempt
	lost                  // to another worker, or to someone who ended the log
)

// endOf decides, from what a builder returned and why it was told to stop, if it was.
func endOf(fin play.Finished, err, cause error, limits play.Limits) ending {
	switch {
	case err == nil && (cause == nil || fin.Outcome == play.OK):
		return ending{fin: fin}
	case cause == nil:
		return ending{fin: brokenBy(err)}
	case errors.Is(cause, play.ErrDeadline):
		if err != nil || fin.Outcome != play.LimitHit {
			fin.Outcome = play.LimitHit
			fin.Message = fmt.Sprintf("The build took longer than %v, the most that a build may take here.", limits.Build)
		}
		return ending{fin: fin}
	case errors.Is(cause, play.ErrStopping):
		return ending{fate: givenBack}
	}
	return ending{fate: lost}
}

func brokenBy(err error) play.Finished {
	var e *play.Error
	if errors.As(err, &e) {
		return broken(e.Msg)
	}
	return broken("Something broke on our side.")
}
