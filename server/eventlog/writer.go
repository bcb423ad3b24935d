package eventlog

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"slipway/server/play"
)

const (
	messageSize = 256 << 10             // bytes of lines in one message, unless one line is longer
	windowSize  = 1 << 20               // bytes of lines that wait to be stored; then Append waits too
	pause       = 20 * time.Millisecond // between two messages, so that a busy log is stored and read in batches
)

// Writer appends to the log of one job. It is safe for concurrent use. What it has accepted is stored in the
// background, in order; Close waits for that. Once it has failed it accepts nothing more, and Done is closed: then
// another writer has taken over the log (Err is play.ErrLost), or the log can't be reached.
type Writer struct {
	bus  *Bus
	job  string
	last uint64 // the stream's sequence number of our last message; only the flusher's

	cancel context.CancelFunc
	wake   chan struct{} // something new is there to store
	done   chan struct{}

	mu      sync.Mutex
	gate    *gate
	pending []entry
	waiting int           // bytes of pending
	freed   chan struct{} // closed when pending has become shorter
	urgent  bool          // the log's end is among pending, or we are closing
	closing bool
	err     error
}

// Take begins a new attempt: from now on the writers of all earlier ones are refused. It returns the state that the
// log had. It fails with ErrFinished if the log is at its end.
func Take(ctx context.Context, b *Bus, job string, g Gate) (*Writer, State, error) {
	for {
		before, last, err := read(ctx, b, job)
		if err != nil {
			return nil, State{}, err
		}
		if before.Finished {
			return nil, before, ErrFinished
		}
		// An empty message is the claim: it moves the end of the log, where every other writer expects to go on.
		claimed := before
		claimed.Attempt++
		claimed.Writer = rand.Text()
		last, err = publish(ctx, b, job, claimed, nil, last)
		if errors.Is(err, play.ErrLost) {
			continue // the earlier writer was quicker, this once
		}
		if err != nil {
			return nil, State{}, fmt.Errorf("take log %s: %w", job, err)
		}
		return newWriter(b, job, g, claimed, last), before, nil
	}
}

// Note appends facts to a log that no attempt has taken yet, and returns when they are stored. It fails with
// play.ErrLost if one has.
func Note(ctx context.Context, b *Bus, job string, g Gate, at time.Duration, facts ...play.Fact) error {
	s, last, err := read(ctx, b, job)
	if err != nil {
		return err
	}
	if s.Attempt > 0 || s.Finished {
		return play.ErrLost
	}
	return appendOnce(ctx, b, job, g, s, last, at, facts...)
}

// Finish ends a log, whoever is writing it. If it is at its end already that is fine.
func Finish(ctx context.Context, b *Bus, job string, g Gate, at time.Duration, f play.Finished) error {
	for {
		s, last, err := read(ctx, b, job)
		if err != nil {
			return err
		}
		if s.Finished {
			return nil
		}
		if err := appendOnce(ctx, b, job, g, s, last, at, f); !errors.Is(err, play.ErrLost) {
			return err
		}
	}
}

func appendOnce(ctx context.Context, b *Bus, job string, g Gate, s State, last uint64, at time.Duration, facts ...play.Fact) error {
	s.Writer = rand.Text()
	w := newWriter(b, job, g, s, last)
	if err := w.Append(ctx, at, facts...); err != nil {
		return errors.Join(err, w.Close(ctx))
	}
	return w.Close(ctx)
}

func newWriter(b *Bus, job string, g Gate, s State, last uint64) *Writer {
	ctx, cancel := context.WithCancel(context.Background()) // ended by Close
	w := &Writer{
		bus: b, job: job, last: last, gate: newGate(g, s), cancel: cancel,
		wake: make(chan struct{}, 1), done: make(chan struct{}), freed: make(chan struct{}),
	}
	go w.flush(ctx)
	return w
}

// Append adds facts that are true at a time since the job was created. Time does not go back: a fact that claims
// to be older than the last is as old as it. Append waits while too much is not stored yet.
func (w *Writer) Append(ctx context.Context, at time.Duration, facts ...play.Fact) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range facts {
		for w.waiting > windowSize && w.err == nil {
			freed := w.freed
			w.mu.Unlock()
			select {
			case <-freed:
			case <-ctx.Done():
			}
			w.mu.Lock()
			if err := context.Cause(ctx); err != nil {
				return err
			}
		}
		switch {
		case w.err != nil:
			return w.err
		case w.closing:
			return errors.New("the log's writer is closed")
		case w.gate.state.Finished:
			return ErrFinished
		}
		lines, err := w.gate.admit(at, f)
		if err != nil {
			return fmt.Errorf("append a fact of kind %s: %w", f.Kind(), err)
		}
		w.queue(lines)
	}
	return nil
}

// queue hands lines to the flusher.
func (w *Writer) queue(lines []entry) {
	for _, e := range lines {
		w.waiting += len(e.line)
	}
	w.pending = append(w.pending, lines...)
	w.urgent = w.urgent || w.gate.state.Finished
	if len(lines) > 0 {
		w.signal()
	}
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // it is awake
	}
}

// Done is closed when the writer has failed or is closed.
func (w *Writer) Done() <-chan struct{} { return w.done }

// Err is why the writer failed, or nil.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Close stores what was accepted and ends the writer; without it a goroutine stays. It returns when all is stored,
// or when ctx ends, or why it can't be.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	if !w.closing && w.err == nil && !w.gate.state.Finished {
		lines, err := w.gate.drain()
		if err != nil {
			w.err = err
		}
		w.queue(lines)
	}
	w.closing, w.urgent = true, true
	w.mu.Unlock()
	w.signal()
	select {
	case <-w.done:
	case <-ctx.Done():
		w.cancel()
		<-w.done
	}
	w.cancel()
	return w.Err()
}

// flush stores what is pending until the writer is closed or fails.
func (w *Writer) flush(ctx context.Context) {
	defer close(w.done)
	err := w.store(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	close(w.freed) // whoever waits to append learns that it failed
	w.freed = nil
}

func (w *Writer) store(ctx context.Context) error {
	var next time.Time // when the next message may go, unless it is urgent
	for {
		w.mu.Lock()
		empty, hurry, closing := len(w.pending) == 0, w.urgent, w.closing
		w.mu.Unlock()
		if empty && closing {
			return nil
		}
		if wait := time.Until(next); empty || wait > 0 && !hurry {
			var later <-chan time.Time
			if !empty {
				later = time.After(wait)
			}
			select {
			case <-w.wake:
			case <-later:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			continue
		}
		lines, state := w.cut()
		var err error
		if w.last, err = publish(ctx, w.bus, w.job, state, lines, w.last); err != nil {
			return err
		}
		next = time.Now().Add(pause)
		w.mu.Lock()
		w.waiting -= len(lines) - bytes.Count(lines, newline)
		close(w.freed)
		w.freed = make(chan struct{})
		w.mu.Unlock()
	}
}

var newline = []byte{'\n'}

// cut takes the next message's lines off what is pending. Finished stands in a message of its own: it stays when the
// rest of an archived log is deleted.
func (w *Writer) cut() (lines []byte, after State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.pending {
		if n > 0 && (e.state.Finished || len(lines)+len(e.line) > messageSize) {
			break
		}
		lines = append(append(lines, e.line...), '\n')
		after = e.state
		n++
	}
	w.pending = w.pending[n:]
	return lines, after
}
