package store_test

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slipway/server/play"
	"slipway/server/store"
)

// newJob keeps a revision and returns a job for it that is not kept yet.
func newJob(t *testing.T, s *store.Store, n int) play.Job {
	t.Helper()
	rev := revision(t, text("Dockerfile", "FROM busybox\n"))
	if err := s.AddRevision(t.Context(), rev, noon); err != nil {
		t.Fatal(err)
	}
	return play.Job{
		ID: id(t, n), Snippet: id(t, -1), Owner: id(t, -2), Domain: "shared", State: play.JobQueued,
		Build:   play.BuildRequest{Revision: rev.ID, Target: "build", BuildArgs: map[string]string{"A": "x\x00y", "Ü": "ß"}, NoCache: true},
		Created: noon.Add(time.Duration(n) * time.Second),
	}
}

func addJob(t *testing.T, s *store.Store, j play.Job) {
	t.Helper()
	if ok, err := s.AddJob(t.Context(), j, id(t, -3), 100); err != nil || !ok {
		t.Fatalf("add a job: %v, %v", ok, err)
	}
}

func jobLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	want := newJob(t, s, 1)
	addJob(t, s, want)
	check := func() {
		t.Helper()
		if got, err := s.Job(ctx, want.ID); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("the job is %+v, %v\nwant %+v", got, err, want)
		}
		unfinished, err := s.Unfinished(ctx)
		if err != nil {
			t.Fatal(err)
		}
		is := slices.ContainsFunc(unfinished, func(j play.Job) bool { return j.ID == want.ID })
		if is != (want.State != play.JobFinished) {
			t.Fatalf("the job is %s; among the unfinished: %v", want.State, is)
		}
	}
	start := func(attempt int, at time.Time) {
		t.Helper()
		if err := s.StartJob(ctx, want.ID, attempt, at); err != nil {
			t.Fatal(err)
		}
		check()
	}
	finish := func(outcome play.Outcome, at time.Time, sum play.Summary) {
		t.Helper()
		if err := s.FinishJob(ctx, want.ID, outcome, at, sum, []play.Event{{Seq: 1, Fact: play.Finished{Outcome: outcome}}}); err != nil {
			t.Fatal(err)
		}
		check()
	}
	check()
	want.State, want.Attempt, want.Started = play.JobRunning, 2, noon.Add(time.Minute)
	start(2, want.Started)
	start(1, noon.Add(2*time.Minute)) // late news of an older attempt
	want.Attempt = 3
	start(3, noon.Add(3*time.Minute)) // the job began when it began first
	sum := play.Summary{Steps: 3, Cached: 1, Duration: play.Millis(1500 * time.Microsecond), Image: "builds/x", Size: 12}
	want.State, want.Outcome, want.Finished, want.Summary = play.JobFinished, play.OK, noon.Add(4*time.Minute), sum
	finish(play.OK, want.Finished, sum)
	finish(play.Broken, noon.Add(5*time.Minute), play.Summary{}) // the first outcome stays
	start(4, noon.Add(6*time.Minute))
	if log, err := s.Log(ctx, want.ID); err != nil || len(log) != 1 || log[0].Fact != play.Fact(play.Finished{Outcome: play.OK}) {
		t.Errorf("the log is %v, %v", log, err)
	}
	later := newJob(t, s, 2)
	addJob(t, s, later)
	if got, err := s.JobsOfSnippet(ctx, want.Snippet, 10); err != nil || !reflect.DeepEqual(got, []play.Job{later, want}) {
		t.Errorf("jobs of the snippet: %+v, %v", got, err)
	}
}

func jobLimit(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for n, want := range []bool{true, true, false} {
		if ok, err := s.AddJob(ctx, newJob(t, s, n), "who"+t.Name(), 2); err != nil || ok != want {
			t.Errorf("job %d: %v, %v; want %v", n, ok, err, want)
		}
	}
	if _, err := s.Job(ctx, id(t, 2)); play.KindOf(err) != play.NotFound {
		t.Errorf("the job that was refused: %v", err)
	}
	if ok, err := s.AddJob(ctx, newJob(t, s, 3), "another"+t.Name(), 2); err != nil || !ok {
		t.Errorf("another viewer's job: %v, %v", ok, err)
	}
	if err := s.FinishJob(ctx, id(t, 0), play.OK, noon, play.Summary{}, nil); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.AddJob(ctx, newJob(t, s, 4), "who"+t.Name(), 2); err != nil || !ok {
		t.Errorf("after one has finished: %v, %v", ok, err)
	}
}

func jobRush(t *testing.T, s *store.Store) {
	var wg sync.WaitGroup
	var added atomic.Int32
	for n := range 16 {
		wg.Go(func() {
			ok, err := s.AddJob(t.Context(), newJob(t, s, n), "rush"+t.Name(), 3)
			if err != nil {
				t.Error(err)
			}
			if ok {
				added.Add(1)
			}
		})
	}
	wg.Wait()
	if added.Load() != 3 {
		t.Errorf("%d jobs were let in at once, want 3", added.Load())
	}
}

func logRoundTrip(t *testing.T, s *store.Store) {
	ctx := t.Context()
	j := newJob(t, s, 1)
	addJob(t, s, j)
	log := []play.Event{{Seq: 1, Fact: play.Queued{Ahead: 2}}}
	for n := int64(2); n < 3000; n++ {
		log = append(log, play.Event{Seq: n, At: time.Duration(n) * time.Millisecond, Fact: play.Output{Vertex: "v", Stream: 1, Data: fmt.Sprintf("line %d \x1b[1m\u2028\x00\n", n)}})
	}
	log = append(log, play.Event{Seq: 3000, At: time.Hour, Fact: play.Finished{Outcome: play.OK}})
	if err := s.FinishJob(ctx, j.ID, play.OK, noon, play.Summary{}, log); err != nil {
		t.Fatal(err)
	}
	got, err := s.Log(ctx, j.ID)
	if err != nil || !reflect.DeepEqual(got, log) {
		t.Errorf("%d events came back of %d, or not the same ones: %v", len(got), len(log), err)
	}
}

func logRetention(t *testing.T, s *store.Store) {
	ctx := t.Context()
	long := noon.AddDate(-1, 0, 0)
	for n, finished := range []time.Time{long, long.Add(time.Hour)} {
		j := newJob(t, s, n)
		addJob(t, s, j)
		if err := s.FinishJob(ctx, j.ID, play.OK, finished, play.Summary{}, []play.Event{{Seq: 1, Fact: play.Finished{Outcome: play.OK}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int64{1, 0} {
		if n, err := s.DropLogs(ctx, long.Add(time.Minute)); err != nil || n != want {
			t.Errorf("dropped %d logs, %v; want %d", n, err, want)
		}
	}
	if _, err := s.Log(ctx, id(t, 0)); play.KindOf(err) != play.NotFound {
		t.Errorf("the old log: %v, want it not found", err)
	}
	if log, err := s.Log(ctx, id(t, 1)); err != nil || len(log) != 1 {
		t.Errorf("the newer log: %v, %v", log, err)
	}
	if j, err := s.Job(ctx, id(t, 0)); err != nil || j.Outcome != play.OK {
		t.Errorf("the job of the old log: %v, %v", j, err)
	}
}
