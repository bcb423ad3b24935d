package job

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"slipway/server/eventlog"
	"slipway/server/play"
)

// loud writes warnings and errors.
func loud(w *strings.Builder) *slog.Logger {
	return slog.New(slog.NewTextHandler(&locked{w: w}, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// row keeps a job that nobody launches.
func (s *server) row(t *testing.T, id string, age time.Duration) play.Job {
	t.Helper()
	j := play.Job{ID: id, Owner: me(1).ID, Domain: "shared", Created: time.Now().Add(-age), Build: play.BuildRequest{Revision: s.rev.ID}}
	if ok, err := s.store.AddJob(t.Context(), j, me(1).ID, 100); err != nil || !ok {
		t.Fatal(ok, err)
	}
	return j
}

// A server that died between the row and the order.
func TestForgottenJobIsLaunched(t *testing.T) {
	t.Parallel()
	s := newServer(t, play.DefaultLimits())
	work(t, s.Bus, 1, builder(simple))
	j := s.row(t, newID(), young)
	if got, want := kinds(s.read(t, j.ID)), "queued planned started output finished"; got != want {
		t.Errorf("the log is %q, want %q", got, want)
	}
	s.record(t, j.ID)
}

// A log that ended when no server listened.
func TestFinishedLogIsArchived(t *testing.T) {
	t.Parallel()
	s := newServer(t, play.DefaultLimits())
	j := s.row(t, newID(), 0)
	must(t, eventlog.Finish(t.Context(), s.Bus, j.ID, s.gate(), time.Second, play.Finished{Outcome: play.Failed}))
	if row := s.record(t, j.ID); row.Outcome != play.Failed {
		t.Errorf("the row is %+v", row)
	}
}

// What can't be carried out any more ends honestly.
func TestLostJobsEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		age   time.Duration
		taken int // attempts that the log knows
		begun int // attempts that the row knows
		want  play.Outcome
		words string
	}{
		"waited too long":             {age: time.Hour, want: play.LimitHit, words: "waited 10m0s"},
		"its log is gone":             {age: time.Minute, begun: 1, want: play.Broken, words: "log of this build was lost"},
		"its worker is gone":          {age: 24 * time.Hour, taken: 1, begun: 1, want: play.Broken, words: "no other took over"},
		"three attempts and no order": {age: time.Minute, taken: maxAttempts, want: play.Broken, words: "begun 3 times"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, play.DefaultLimits())
			id := newID()
			s.take(t, id, c.taken)
			j := s.row(t, id, c.age)
			must(t, s.store.StartJob(t.Context(), id, c.begun, time.Now()))
			fin := outcome(s.read(t, j.ID))
			if fin.Outcome != c.want || !strings.Contains(fin.Message, c.words) {
				t.Errorf("it ended with %+v", fin)
			}
			if row := s.record(t, j.ID); row.Outcome != c.want {
				t.Errorf("the row is %+v", row)
			}
		})
	}
}

// take begins attempts of a job whose workers die at once.
func (s *server) take(t *testing.T, job string, times int) {
	t.Helper()
	for range times {
		out, _, err := eventlog.Take(t.Context(), s.Bus, job, s.gate())
		must(t, err)
		must(t, out.Close(t.Context()))
	}
}

// A job whose workers die every time is given up by the one that gets it then.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	s := newServer(t, play.DefaultLimits())
	j := s.submit(t, me(1))
	s.take(t, j.ID, maxAttempts)
	work(t, s.Bus, 1, builder(simple))
	if fin := outcome(s.read(t, j.ID)); fin.Outcome != play.Broken || !strings.Contains(fin.Message, "begun 3 times") {
		t.Errorf("it ended with %+v", fin)
	}
}

// Who waits is told when the line moves.
func TestPlaceInLine(t *testing.T) {
	t.Parallel()
	s := newServer(t, play.DefaultLimits())
	first, second := s.submit(t, me(1)), s.submit(t, me(2))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var places []int
	for e, err := range s.Logs.Tail(ctx, second.ID, 0) {
		must(t, err)
		q, ok := e.Fact.(play.Queued)
		if !ok {
			continue
		}
		places = append(places, q.Ahead)
		if q.Ahead == 0 {
			break
		}
		must(t, s.Cancel(ctx, me(1), first.ID))
	}
	if !reflect.DeepEqual(places, []int{1, 0}) {
		t.Errorf("the places were %v", places)
	}
}

// mortal is the snippet by which a child finds its one job again.
const mortal = "mortal"

// child is a server with a worker that dies at any moment. It submits the one job if it is new, and prints every
// event that a viewer sees. Its builder takes longer than it is ever left alive, but for the third attempt.
func child(dir string) {
	s, _, err := start(context.Background(), dir, eventlog.Config{}, play.DefaultLimits())
	if err != nil {
		panic(err)
	}
	jobs, err := s.store.JobsOfSnippet(context.Background(), mortal, 1)
	if err != nil {
		panic(err)
	}
	if len(jobs) == 0 {
		j, err := s.Submit(context.Background(), me(1), play.BuildRequest{Revision: s.rev.ID}, mortal)
		if err != nil {
			panic(err)
		}
		jobs = append(jobs, j)
	}
	w := &Worker{Bus: s.Bus, Slots: 1, Log: quiet, Builder: builder(func(ctx context.Context, b play.Build, emit func(play.Fact) error) (play.Finished, error) {
		if err := emit(play.Started{Attempt: b.Attempt}); err != nil {
			return play.Finished{}, err
		}
		for n := 0; b.Attempt < 3 || n < 50; n++ {
			if err := emit(play.Output{Vertex: "v", Stream: 1, Data: fmt.Sprintln(n)}); err != nil {
				return play.Finished{}, err
			}
			time.Sleep(time.Millisecond)
		}
		return play.Finished{Outcome: play.OK}, nil
	})}
	go w.Work(context.Background())
	for e, err := range s.Logs.Tail(context.Background(), jobs[0].ID, 0) {
		if err != nil {
			panic(err)
		}
		line, err := json.Marshal(e)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(line))
	}
	for {
		if j, err := s.store.Job(context.Background(), jobs[0].ID); err != nil || j.State == play.JobFinished {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// Kill -9 in the middle of a build: after the restart the build runs again, and nothing that a viewer saw is lost.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var seen []play.Event
	for attempt := 1; attempt <= 3; attempt++ {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), "JOB_TEST_CHILD="+dir)
		c.Stderr = os.Stderr
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := c.StdoutPipe()
		must(t, err)
		must(t, c.Start())
		var got []play.Event
		since := 0 // events of this attempt
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var e play.Event
			must(t, json.Unmarshal(lines.Bytes(), &e))
			got = append(got, e)
			if s, ok := e.Fact.(play.Started); ok && s.Attempt == attempt || since > 0 {
				since++
			}
			if attempt < 3 && since == 100 {
				must(t, c.Process.Kill())
			}
		}
		err = c.Wait()
		if attempt == 3 {
			must(t, err)
		}
		if len(seen) > 0 && (len(got) < len(seen) || !reflect.DeepEqual(got[:len(seen)], seen)) {
			t.Fatalf("attempt %d: %d events were read, or not the %d of before", attempt, len(got), len(seen))
		}
		seen = got
	}
	lawful(t, seen)
	if fin := outcome(seen); fin.Outcome != play.OK {
		t.Errorf("it ended with %+v", fin)
	}
	s, stop, err := start(t.Context(), dir, eventlog.Config{}, play.DefaultLimits())
	must(t, err)
	defer stop()
	jobs, err := s.store.JobsOfSnippet(t.Context(), mortal, 10)
	must(t, err)
	if len(jobs) != 1 || jobs[0].Attempt != 3 || jobs[0].Outcome != play.OK {
		t.Errorf("the rows are %+v", jobs)
	}
	if got := s.read(t, jobs[0].ID); !reflect.DeepEqual(got, seen) {
		t.Errorf("archived are %d events, not the same %d", len(got), len(seen))
	}
}
