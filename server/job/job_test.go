package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/server/eventlog"
	"slipway/server/play"
	"slipway/server/store"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("JOB_TEST_CHILD"); dir != "" {
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

// leaked are the stacks of goroutines of ours that are still there.
func leaked() string {
	for wait := time.Millisecond; ; wait *= 2 {
		var all, left strings.Builder
		pprof.Lookup("goroutine").WriteTo(&all, 2)
		for stack := range strings.SplitSeq(all.String(), "\n\n") {
			if strings.Contains(stack, "slipway/server/") && !strings.Contains(stack, "job.leaked") {
				left.WriteString(stack + "\n\n")
			}
		}
		if left.Len() == 0 || wait > time.Second {
			return left.String()
		}
		time.Sleep(wait)
	}
}

// server is all of a server that a job meets, without a worker.
type server struct {
	*Queue
	store *store.Store
	rev   play.Revision
}

var quiet = slog.New(slog.DiscardHandler)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start starts a server in dir until the context ends or stop is called.
func start(ctx context.Context, dir string, cfg eventlog.Config, limits play.Limits) (s *server, stop func(), err error) {
	st, err := store.Open(ctx, filepath.Join(dir, "slipway.db"))
	if err != nil {
		return nil, nil, err
	}
	if err := st.Migrate(ctx); err != nil {
		return nil, nil, err
	}
	cfg.Dir, cfg.Log = dir, quiet
	bus, err := eventlog.Connect(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	logs, err := eventlog.Open(ctx, bus, st)
	if err != nil {
		return nil, nil, err
	}
	q, err := Open(ctx, Config{
		Bus: bus, Logs: logs, Store: st, Limits: limits, Length: 5, Log: quiet,
		Plan: func(_ context.Context, rev play.Revision, req play.BuildRequest) []play.Fact {
			return []play.Fact{play.Planned{Syntax: fmt.Sprintf("%d files, target %q", len(rev.Files), req.Target)}}
		},
		Summarize: func(events []play.Event) play.Summary { return play.Summary{Steps: len(events)} },
		Domain:    func(v play.Viewer) string { return "of " + v.ID },
	})
	if err != nil {
		return nil, nil, err
	}
	rev, err := play.NewRevision([]play.File{
		{Path: "Dockerfile", Content: []byte("FROM busybox\n")},
		{Path: "big", Mode: 0o755, Content: noise(1 << 20)}, // more than one message
	}, play.DefaultLimits())
	if err != nil {
		return nil, nil, err
	}
	if err := st.AddRevision(ctx, rev, time.Now()); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var run sync.WaitGroup
	run.Go(func() { q.Run(ctx) })
	return &server{Queue: q, store: st, rev: rev}, func() {
		cancel()
		run.Wait()
		logs.Close()
		bus.Close()
		st.Close()
	}, nil
}

// noise is bytes that do not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func newServer(t testing.TB, limits play.Limits) *server {
	t.Helper()
	s, stop, err := start(t.Context(), t.TempDir(), eventlog.Config{}, limits)
	must(t, err)
	t.Cleanup(stop)
	return s
}

// work runs a worker until stop is called or the test ends.
func work(t testing.TB, bus *eventlog.Bus, slots int, b Builder) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Worker{Bus: bus, Builder: b, Slots: slots, Secrets: []string{"hunter2"}, Log: quiet}
	var run sync.WaitGroup
	run.Go(func() {
		if err := w.Work(ctx); err != nil {
			t.Errorf("work: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); run.Wait() })
	t.Cleanup(stop)
	return stop
}

// builder is a Builder as a function.
type builder func(ctx context.Context, b play.Build, emit func(play.Fact) error) (play.Finished, error)

func (f builder) Build(ctx context.Context, b play.Build, emit func(play.Fact) error) (play.Finished, error) {
	return f(ctx, b, emit)
}

// simple starts, prints a line, and ends well.
func simple(_ context.Context, b play.Build, emit func(play.Fact) error) (play.Finished, error) {
	err := errors.Join(
		emit(play.Started{Attempt: b.Attempt, Worker: "w"}),
		emit(play.Output{Vertex: "v", Stream: 1, Data: fmt.Sprintf("%s has %d files and hunter2\n", b.Revision.ID, len(b.Revision.Files))}))
	return play.Finished{Outcome: play.OK}, err
}

// until starts, reports that it has, and goes on until it is told to stop.
func until(started chan<- string) builder {
	return func(ctx context.Context, b play.Build, emit func(play.Fact) error) (play.Finished, error) {
		if err := emit(play.Started{Attempt: b.Attempt}); err != nil {
			return play.Finished{}, err
		}
		started <- b.Job
		<-ctx.Done()
		return play.Finished{}, context.Cause(ctx)
	}
}

func me(n int) play.Viewer { return play.Viewer{ID: play.VisitorID(fmt.Sprint("me", n))} }

func (s *server) submit(t testing.TB, v play.Viewer) play.Job {
	t.Helper()
	j, err := s.Submit(t.Context(), v, play.BuildRequest{Revision: s.rev.ID, Target: "app"}, "")
	must(t, err)
	return j
}

// read reads a job's log to its end and checks the laws.
func (s *server) read(t testing.TB, job string) []play.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var events []play.Event
	for e, err := range s.Logs.Tail(ctx, job, 0) {
		if err != nil {
			t.Fatalf("after %s: %v", kinds(events), err)
		}
		events = append(events, e)
	}
	lawful(t, events)
	return events
}

// sees waits until a reader of a job's log sees a fact of some kind.
func (s *server) sees(t testing.TB, job, kind string) {
	t.Helper()
	for e, err := range s.Logs.Tail(t.Context(), job, 0) {
		must(t, err)
		if e.Fact.Kind() == kind {
			return
		}
	}
	t.Fatalf("the log ended without %s", kind)
}

func lawful(t testing.TB, events []play.Event) {
	t.Helper()
	for i, e := range events {
		_, last := e.Fact.(play.Finished)
		if e.Seq != int64(i)+1 || last != (i == len(events)-1) {
			t.Fatalf("event %d of %d has the number %d and is a %s", i+1, len(events), e.Seq, e.Fact.Kind())
		}
	}
}

func kinds(events []play.Event) string {
	var list []string
	for _, e := range events {
		list = append(list, e.Fact.Kind())
	}
	return strings.Join(list, " ")
}

func outcome(events []play.Event) play.Finished {
	return events[len(events)-1].Fact.(play.Finished)
}

// record waits until the row of a job says that it has finished.
func (s *server) record(t testing.TB, job string) play.Job {
	t.Helper()
	for {
		j, err := s.store.Job(t.Context(), job)
		must(t, err)
		if j.State == play.JobFinished {
			return j
		}
		time.Sleep(5 * time.Millisecond)
	}
}
