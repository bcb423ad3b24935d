package eventlog

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/server/play"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("EVENTLOG_TEST_CHILD"); dir != "" {
		child(dir)
		return
	}
	code := m.Run()
	if left := leaked(); left != "" && code == 0 {
		fmt.Fprintf(os.Stderr, "goroutines are left after the tests:\n%s", left)
		code = 1
	}
	os.Exit(code)
}

// leaked are the stacks of goroutines of this package that are still there.
func leaked() string {
	for wait := time.Millisecond; ; wait *= 2 {
		var all, left strings.Builder
		pprof.Lookup("goroutine").WriteTo(&all, 2)
		for stack := range strings.SplitSeq(all.String(), "\n\n") {
			if strings.Contains(stack, "slipway/server/eventlog.") && !strings.Contains(stack, "eventlog.leaked") {
				left.WriteString(stack + "\n\n")
			}
		}
		if left.Len() == 0 || wait > time.Second {
			return left.String()
		}
		time.Sleep(wait)
	}
}

var quiet = slog.New(slog.DiscardHandler)

func newBus(t testing.TB, dir string) *Bus {
	t.Helper()
	b, err := Connect(t.Context(), Config{Dir: dir, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func newLog(t testing.TB) (*Log, *archive) {
	t.Helper()
	a := &archive{logs: make(map[string][]play.Event)}
	l, err := Open(t.Context(), newBus(t, t.TempDir()), a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, a
}

// archive is an Archive in memory. before, if set, runs inside the next call of Log, after it has found nothing.
type archive struct {
	mu     sync.Mutex
	logs   map[string][]play.Event
	before func()
	asked  int
}

func (a *archive) Log(_ context.Context, job string) ([]play.Event, error) {
	a.mu.Lock()
	a.asked++
	found, before := a.logs[job], a.before
	a.before = nil
	a.mu.Unlock()
	if found == nil && before != nil {
		before()
	}
	return found, nil
}

func (a *archive) keep(job string, events []play.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.logs[job] = events
}

// name makes the id of a job that only this test uses.
func name(t testing.TB, n int) string { return play.VisitorID(fmt.Sprint(t.Name(), n)) }

func defaults() Gate { return Gate{Limits: play.DefaultLimits()} }

func take(t testing.TB, l *Log, job string, g Gate) *Writer {
	t.Helper()
	w, _, err := Take(t.Context(), l.bus, job, g)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func line(s string, args ...any) play.Fact {
	return play.Output{Vertex: "v", Stream: 1, Data: fmt.Sprintf(s, args...)}
}

// read reads a log to its end.
func readAll(t testing.TB, l *Log, job string, after int64) []play.Event {
	t.Helper()
	var events []play.Event
	for e, err := range l.Tail(t.Context(), job, after) {
		if err != nil {
			t.Fatalf("after %d events: %v", len(events), err)
		}
		events = append(events, e)
	}
	return events
}

// lawful checks what holds for every log that is at its end.
func lawful(t testing.TB, events []play.Event) {
	t.Helper()
	var at time.Duration
	for i, e := range events {
		if e.Seq != int64(i)+1 {
			t.Fatalf("event %d has the sequence number %d", i+1, e.Seq)
		}
		if e.At < at {
			t.Fatalf("event %d goes back in time, from %v to %v", e.Seq, at, e.At)
		}
		at = e.At
		if _, last := e.Fact.(play.Finished); last != (i == len(events)-1) {
			t.Fatalf("event %d of %d is a %s", e.Seq, len(events), e.Fact.Kind())
		}
	}
	if len(events) == 0 {
		t.Fatal("the log is empty")
	}
}

// text joins what a log says a stream printed.
func text(events []play.Event, vertex string, stream int) string {
	var b strings.Builder
	for _, e := range events {
		if o, ok := e.Fact.(play.Output); ok && o.Vertex == vertex && o.Stream == stream {
			b.WriteString(o.Data)
		}
	}
	return b.String()
}
