package eventlog

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slipway/server/play"
)

// Law 1 and 9: whatever attempts come and go, and however long the old ones go on writing, the log is dense, ends
// with its one Finished, and says nothing of an older attempt after a newer one has begun.
func TestOneWriterAtATime(t *testing.T) {
	l, _ := newLog(t)
	for round := range 5 {
		job := name(t, round)
		var old sync.WaitGroup
		const attempts = 6
		for a := 1; a <= attempts; a++ {
			w := take(t, l, job, defaults())
			old.Go(func() {
				for n := 0; ; n++ {
					if err := w.Append(t.Context(), time.Duration(n), play.Started{Attempt: a}, line("%d", n)); err != nil {
						if !errors.Is(err, play.ErrLost) {
							t.Errorf("attempt %d: %v", a, err)
						}
						break
					}
					if rand.IntN(20) == 0 {
						time.Sleep(time.Millisecond)
					}
				}
				if err := w.Close(t.Context()); !errors.Is(err, play.ErrLost) {
					t.Errorf("attempt %d was closed with %v, want that it lost", a, err)
				}
			})
			time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		}
		must(t, Finish(t.Context(), l.bus, job, defaults(), time.Hour, play.Finished{Outcome: play.Cancelled}))
		old.Wait()
		must(t, Finish(t.Context(), l.bus, job, defaults(), time.Hour, play.Finished{Outcome: play.OK})) // too late, and fine
		if _, _, err := Take(t.Context(), l.bus, job, defaults()); err != ErrFinished {
			t.Errorf("a finished log was taken: %v", err)
		}
		events := readAll(t, l, job, 0)
		lawful(t, events)
		attempt := 0
		for _, e := range events {
			if s, ok := e.Fact.(play.Started); ok {
				if s.Attempt < attempt {
					t.Fatalf("event %d is of attempt %d, after attempt %d", e.Seq, s.Attempt, attempt)
				}
				attempt = s.Attempt
			}
		}
		if got := events[len(events)-1].Fact.(play.Finished).Outcome; got != play.Cancelled {
			t.Errorf("the outcome is %s", got)
		}
	}
}

// Law 9, step by step.
func TestOldAttemptIsRefused(t *testing.T) {
	l, _ := newLog(t)
	job := name(t, 0)
	first := take(t, l, job, defaults())
	must(t, first.Append(t.Context(), 1, line("one")))
	second, before, err := Take(t.Context(), l.bus, job, defaults())
	must(t, err)
	if before.Attempt != 1 {
		t.Errorf("the attempt before was %d", before.Attempt)
	}
	first.Append(t.Context(), 2, line("too late")) // may be accepted, but is never stored
	select {
	case <-first.Done():
	case <-t.Context().Done():
	}
	if err := first.Err(); !errors.Is(err, play.ErrLost) {
		t.Errorf("the first writer failed with %v", err)
	}
	if err := first.Append(t.Context(), 3, line("much too late")); !errors.Is(err, play.ErrLost) {
		t.Errorf("append: %v", err)
	}
	first.Close(t.Context())
	must(t, second.Append(t.Context(), 4, line("two"), play.Finished{Outcome: play.OK}))
	must(t, second.Close(t.Context()))
	if err := Note(t.Context(), l.bus, job, defaults(), 5, play.Queued{}); !errors.Is(err, play.ErrLost) {
		t.Errorf("a note on a taken log: %v", err)
	}
	events := readAll(t, l, job, 0)
	lawful(t, events)
	if got := text(events, "v", 1); !strings.HasSuffix(got, "two") || strings.Contains(got, "late") {
		t.Errorf("the log says %q", got)
	}
}

// A writer whose append was stored, but whose answer got lost, tries again: it must not take itself for another.
func TestLostAnswer(t *testing.T) {
	l, _ := newLog(t)
	job := name(t, 0)
	s := State{Seq: 1, At: time.Second, Attempt: 1, Writer: "me"}
	data := []byte(`{"seq":1,"at":0,"kind":"queued","ahead":0}` + "\n")
	first, err := publish(t.Context(), l.bus, job, s, data, 0)
	must(t, err)
	again, err := publish(t.Context(), l.bus, job, s, data, 0)
	if err != nil || again != first {
		t.Errorf("the second try got %d, %v; the first had got %d", again, err, first)
	}
	s.Writer = "someone else"
	if _, err := publish(t.Context(), l.bus, job, s, data, 0); !errors.Is(err, play.ErrLost) {
		t.Errorf("another writer got %v", err)
	}
}

// Law 2 and 4: readers that join late, drop out and resume at any point all read the same log.
func TestLiveIsReplay(t *testing.T) {
	l, a := newLog(t)
	job := name(t, 0)
	var readers sync.WaitGroup
	logs := make([][]play.Event, 40)
	for i := range logs {
		readers.Go(func() {
			time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
			for over := false; !over; {
				cut := rand.IntN(200)
				after := int64(len(logs[i]))
				over = true
				for e, err := range l.Tail(t.Context(), job, after) {
					if err != nil {
						t.Errorf("reader %d: %v", i, err)
						return
					}
					logs[i] = append(logs[i], e)
					if cut--; cut < 0 {
						over = false
						break
					}
				}
				if n := len(logs[i]); !over && n > 0 {
					_, over = logs[i][n-1].Fact.(play.Finished)
				}
			}
		})
	}
	must(t, Note(t.Context(), l.bus, job, defaults(), 0, play.Queued{Ahead: 1}, play.Planned{}))
	must(t, Note(t.Context(), l.bus, job, defaults(), 1, play.Queued{Ahead: 0}))
	w := take(t, l, job, defaults())
	for n := range 2000 {
		must(t, w.Append(t.Context(), time.Duration(n)*time.Millisecond, line("%d\n", n)))
		if rand.IntN(100) == 0 {
			time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
		}
	}
	must(t, w.Append(t.Context(), time.Hour, play.Finished{Outcome: play.OK}))
	must(t, w.Close(t.Context()))
	want := readAll(t, l, job, 0)
	lawful(t, want)
	a.keep(job, want)
	must(t, l.Purge(t.Context(), job))
	readers.Wait()
	for i, got := range logs {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("reader %d read %d events, not the same %d", i, len(got), len(want))
		}
	}
	if got := readAll(t, l, job, 0); !reflect.DeepEqual(got, want) {
		t.Errorf("the archive gives %d events, not the same %d", len(got), len(want))
	}
	for _, after := range []int64{-5, 1, 1000, int64(len(want)) - 1, int64(len(want)), int64(len(want)) + 5} {
		from := min(max(after, 0), int64(len(want)))
		if got := readAll(t, l, job, after); !slices.EqualFunc(got, want[from:], func(a, b play.Event) bool { return reflect.DeepEqual(a, b) }) {
			t.Errorf("after %d there are %d events, want %d", after, len(got), len(want)-int(from))
		}
	}
}

// An event that is stored between a reader's look and its going to sleep must wake it. Here each event is stored
// while the reader holds the one before.
func TestNoWakeUpIsLost(t *testing.T) {
	l, _ := newLog(t)
	job := name(t, 0)
	var next atomic.Int64
	w := take(t, l, job, defaults())
	must(t, w.Append(t.Context(), 0, line("0")))
	for e, err := range l.Tail(t.Context(), job, 0) {
		must(t, err)
		if e.Seq != next.Add(1) {
			t.Fatalf("event %d came as number %d", e.Seq, next.Load())
		}
		switch {
		case e.Seq < 100:
			must(t, w.Append(t.Context(), 0, line("%d", e.Seq)))
			if e.Seq%2 == 0 { // wait until it is there, and only then go back to sleep
				for other := range l.Tail(t.Context(), job, e.Seq) {
					if other.Seq != e.Seq+1 {
						t.Fatalf("another reader got %d after %d", other.Seq, e.Seq)
					}
					break
				}
			}
		case e.Seq == 100:
			must(t, w.Append(t.Context(), 0, play.Finished{Outcome: play.OK}))
		}
	}
	must(t, w.Close(t.Context()))
	if next.Load() != 101 {
		t.Errorf("%d events were read", next.Load())
	}
}

// The log moves into the archive between a reader's look there and its look into the stream.
func TestArchivedInTheGap(t *testing.T) {
	l, a := newLog(t)
	job := name(t, 0)
	w := take(t, l, job, defaults())
	for n := range 50 {
		must(t, w.Append(t.Context(), time.Duration(n), line("%d", n)))
	}
	a.before = func() {
		must(t, w.Append(t.Context(), time.Hour, play.Finished{Outcome: play.OK}))
		must(t, w.Close(t.Context()))
		events := readAllBeside(t, l, job)
		a.keep(job, events)
		must(t, l.Purge(t.Context(), job))
	}
	events := readAll(t, l, job, 20)
	if len(events) != 31 || events[0].Seq != 21 {
		t.Fatalf("%d events came, from %v", len(events), events[0])
	}
	lawful(t, readAll(t, l, job, 0))
	if a.asked < 2 {
		t.Errorf("the archive was asked %d times", a.asked)
	}
}

// readAllBeside reads a log with a reader of its own, as another node would.
func readAllBeside(t testing.TB, l *Log, job string) []play.Event {
	t.Helper()
	other, err := Open(t.Context(), l.bus, &archive{})
	must(t, err)
	defer other.Close()
	return readAll(t, other, job, 0)
}

// The log moves into the archive while readers are in the middle of it.
func TestArchivedUnderTheReaders(t *testing.T) {
	l, a := newLog(t)
	for round := range 30 {
		job := name(t, round)
		w := take(t, l, job, defaults())
		for n := range 300 {
			must(t, w.Append(t.Context(), time.Duration(n), line("%d", n)))
			if n%10 == 0 {
				time.Sleep(100 * time.Microsecond)
			}
		}
		must(t, w.Append(t.Context(), time.Hour, play.Finished{Outcome: play.OK}))
		must(t, w.Close(t.Context()))
		want := readAllBeside(t, l, job)
		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() {
				if got := readAll(t, l, job, 0); !reflect.DeepEqual(got, want) {
					t.Errorf("round %d: %d events, want %d", round, len(got), len(want))
				}
			})
		}
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
		a.keep(job, want)
		must(t, l.Purge(t.Context(), job))
		readers.Wait()
	}
}

// Readers that stop reading hold up neither the writer nor the others.
func TestSlowReader(t *testing.T) {
	l, _ := newLog(t)
	job := name(t, 0)
	var slow sync.WaitGroup
	finish, stuck := make(chan struct{}), make(chan struct{}, 3)
	for range 3 {
		slow.Go(func() {
			n := 0
			for _, err := range l.Tail(t.Context(), job, 0) {
				if err != nil {
					t.Error(err)
				}
				if n++; n == 1 {
					stuck <- struct{}{}
					<-finish
				}
			}
			if n != 5001 {
				t.Errorf("a slow reader read %d events in the end", n)
			}
		})
	}
	w := take(t, l, job, defaults())
	must(t, w.Append(t.Context(), 0, line("0")))
	for range 3 {
		<-stuck
	}
	for n := range 4999 {
		must(t, w.Append(t.Context(), time.Duration(n), line("%d", n)))
	}
	must(t, w.Append(t.Context(), time.Hour, play.Finished{Outcome: play.OK}))
	must(t, w.Close(t.Context()))
	lawful(t, readAll(t, l, job, 0))
	close(finish)
	slow.Wait()
}

func TestTailEndsWithItsContext(t *testing.T) {
	l, _ := newLog(t)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(cause) })
	n := 0
	for _, err := range l.Tail(ctx, name(t, 0), 0) {
		if n++; !errors.Is(err, cause) {
			t.Errorf("tail ended with %v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d events or errors came", n)
	}
	if len(l.feeds) != 0 {
		t.Errorf("%d feeds are left", len(l.feeds))
	}
	for _, err := range l.Tail(t.Context(), "no.such>name", 0) {
		if err == nil {
			t.Error("a bad name was read")
		}
	}
}

// An archive that fails for a while fails its readers of that while only.
func TestArchiveFails(t *testing.T) {
	l, a := newLog(t)
	job := name(t, 0)
	gone := play.Errorf(play.NotFound, "no longer kept")
	l.archive = failing{gone}
	n := 0
	for _, err := range l.Tail(t.Context(), job, 0) {
		if n++; !errors.Is(err, gone) {
			t.Errorf("tail: %v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d results", n)
	}
	l.run.Wait()
	l.archive = a
	a.keep(job, []play.Event{{Seq: 1, Fact: play.Finished{Outcome: play.OK}}})
	lawful(t, readAll(t, l, job, 0))
}

type failing struct{ err error }

func (f failing) Log(context.Context, string) ([]play.Event, error) { return nil, f.err }
