package job

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/server/eventlog"
	"slipway/server/play"
)

func TestJobIsDone(t *testing.T) {
	s := newServer(t, play.DefaultLimits())
	work(t, s.Bus, 2, builder(simple))
	j := s.submit(t, me(1))
	events := s.read(t, j.ID)
	if got, want := kinds(events), "queued planned started output finished"; got != want {
		t.Errorf("the log is %q, want %q", got, want)
	}
	if got, want := events[1].Fact.(play.Planned).Syntax, `2 files, target "app"`; got != want {
		t.Errorf("planned %q, want %q", got, want)
	}
	if got, want := events[3].Fact.(play.Output).Data, s.rev.ID+" has 2 files and ***\n"; got != want {
		t.Errorf("the builder printed %q, want %q", got, want)
	}
	row := s.record(t, j.ID)
	if row.Outcome != play.OK || row.Attempt != 1 || row.Started.IsZero() || row.Finished.Before(row.Created) || row.Summary.Steps != len(events) || row.Domain != "of "+me(1).ID {
		t.Errorf("the row is %+v", row)
	}
	if kept, err := s.store.Log(t.Context(), j.ID); err != nil || !reflect.DeepEqual(kept, events) {
		t.Errorf("kept are %d events, %v; want the same %d", len(kept), err, len(events))
	}
	if again := s.read(t, j.ID); !reflect.DeepEqual(again, events) {
		t.Errorf("read again: %s", kinds(again))
	}
	for waiting := 1; waiting > 0; {
		info, err := s.stream.Info(t.Context())
		must(t, err)
		waiting = int(info.State.Msgs)
	}
}

// The same request twice is two jobs.
func TestNothingIsDeduplicated(t *testing.T) {
	s := newServer(t, play.DefaultLimits())
	work(t, s.Bus, 2, builder(simple))
	a, b := s.submit(t, me(1)), s.submit(t, me(1))
	if a.ID == b.ID {
		t.Fatal("two requests are one job")
	}
	s.read(t, a.ID)
	s.read(t, b.ID)
}

func TestAdmission(t *testing.T) {
	s := newServer(t, play.DefaultLimits()) // two jobs per viewer, five in the queue
	refused := func(v play.Viewer, kind play.Kind, words string) {
		t.Helper()
		_, err := s.Submit(t.Context(), v, play.BuildRequest{Revision: s.rev.ID}, "")
		var e *play.Error
		if !errors.As(err, &e) || e.Kind != kind || !strings.Contains(e.Msg, words) {
			t.Errorf("submitted: %v, want %s with %q", err, kind, words)
		}
	}
	first := s.submit(t, me(1))
	s.submit(t, me(1))
	refused(me(1), play.Limited, "You have 2 builds in progress")
	nobody := play.Viewer{Addr: "192.0.2.1"}
	s.submit(t, nobody)
	s.submit(t, nobody)
	refused(nobody, play.Limited, "You have 2 builds in progress")
	must(t, s.Cancel(t.Context(), me(1), first.ID))
	s.submit(t, me(1))
	s.submit(t, me(2))
	refused(me(3), play.Limited, "5 builds are waiting")
	if _, err := s.Submit(t.Context(), me(4), play.BuildRequest{Revision: "0000000000"}, ""); play.KindOf(err) != play.NotFound {
		t.Errorf("an unknown revision: %v", err)
	}
	if _, err := s.Submit(t.Context(), me(4), play.BuildRequest{Revision: s.rev.ID, Network: "maybe"}, ""); play.KindOf(err) != play.Invalid {
		t.Errorf("a bad request: %v", err)
	}
}

func TestCancelQueued(t *testing.T) {
	s := newServer(t, play.DefaultLimits())
	j := s.submit(t, me(1))
	if err := s.Cancel(t.Context(), me(2), j.ID); play.KindOf(err) != play.Denied {
		t.Errorf("someone else cancelled: %v", err)
	}
	if err := s.Cancel(t.Context(), play.Viewer{}, j.ID); play.KindOf(err) != play.Denied {
		t.Errorf("nobody cancelled: %v", err)
	}
	must(t, s.Cancel(t.Context(), me(1), j.ID))
	if got := outcome(s.read(t, j.ID)).Outcome; got != play.Cancelled {
		t.Errorf("the outcome is %s", got)
	}
	if row := s.record(t, j.ID); row.Outcome != play.Cancelled {
		t.Errorf("the row is %+v", row)
	}
	must(t, s.Cancel(t.Context(), me(1), j.ID)) // again
	if err := s.Cancel(t.Context(), me(1), "0000000000"); play.KindOf(err) != play.NotFound {
		t.Errorf("no job was cancelled: %v", err)
	}
	work(t, s.Bus, 1, builder(simple))
	if next := s.submit(t, me(1)); outcome(s.read(t, next.ID)).Outcome != play.OK {
		t.Error("the next job did not run")
	}
}

func TestCancelRunning(t *testing.T) {
	s := newServer(t, play.DefaultLimits())
	started := make(chan string, 1)
	why := make(chan error, 1)
	work(t, s.Bus, 1, builder(func(ctx context.Context, b play.Build, emit func(play.Fact) error) (play.Finished, error) {
		_, err := until(started)(ctx, b, emit)
		why <- err
		emit(play.Output{Vertex: "v", Data: "last words"})
		return play.Finished{Outcome: play.Cancelled, Message: "by the builder"}, nil
	}))
	j := s.submit(t, me(1))
	<-started
	s.sees(t, j.ID, "started")
	must(t, s.Cancel(t.Context(), me(1), j.ID))
	if err := <-why; !errors.Is(err, play.ErrCancelled) {
		t.Errorf("the builder was told: %v", err)
	}
	events := s.read(t, j.ID)
	if got := kinds(events); got != "queued planned started finished" || outcome(events).Message != "The build was cancelled." {
		t.Errorf("the log is %q and ends with %+v", got, outcome(events))
	}
}

// Cancelling at any moment ends the job, cancelled or with what it came to before.
func TestCancelAnyTime(t *testing.T) {
	limits := play.DefaultLimits()
	limits.Parallel = 100
	s := newServer(t, limits)
	s.Length = 1000
	work(t, s.Bus, 4, builder(func(ctx context.Context, b play.Build, emit func(play.Fact) error) (play.Finished, error) {
		for range 10 {
			if err := emit(play.Output{Vertex: "v", Data: "x"}); err != nil {
				return play.Finished{}, err
			}
			select {
			case <-ctx.Done():
				return play.Finished{}, context.Cause(ctx)
			case <-time.After(time.Millisecond):
			}
		}
		return play.Finished{Outcome: play.OK}, nil
	}))
	var all sync.WaitGroup
	outcomes := make(chan play.Outcome, 60)
	for range cap(outcomes) {
		all.Go(func() {
			j := s.submit(t, me(1))
			time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
			if err := s.Cancel(t.Context(), me(1), j.ID); err != nil {
				t.Error(err)
			}
			got := outcome(s.read(t, j.ID)).Outcome
			if row := s.record(t, j.ID); row.Outcome != got {
				t.Errorf("the log says %s, the row %s", got, row.Outcome)
			}
			outcomes <- got
		})
	}
	all.Wait()
	close(outcomes)
	for o := range outcomes {
		if o != play.OK && o != play.Cancelled {
			t.Errorf("a job ended with %s", o)
		}
	}
}

func TestDeadline(t *testing.T) {
	limits := play.DefaultLimits()
	limits.Build = 100 * time.Millisecond
	s := newServer(t, limits)
	work(t, s.Bus, 1, until(make(chan string, 1)))
	fin := outcome(s.read(t, s.submit(t, me(1)).ID))
	if fin.Outcome != play.LimitHit || !strings.Contains(fin.Message, "100ms") {
		t.Errorf("it ended with %+v", fin)
	}
}

func TestBrokenBuilder(t *testing.T) {
	s := newServer(t, play.DefaultLimits())
	work(t, s.Bus, 1, builder(func(ctx context.Context, b play.Build, emit func(play.Fact) error) (play.Finished, error) {
		if err := emit(play.Finished{Outcome: play.OK}); err == nil {
			t.Error("a builder emitted Finished")
		}
		return play.Finished{}, errors.New("no disk: /secret/path")
	}))
	fin := outcome(s.read(t, s.submit(t, me(1)).ID))
	if fin.Outcome != play.Broken || strings.Contains(fin.Message, "secret") || fin.Message == "" {
		t.Errorf("it ended with %+v", fin)
	}
}

// A builder that does not stop keeps its slot, but not the job.
func TestStuckBuilder(t *testing.T) {
	limits := play.DefaultLimits()
	limits.Build = 10 * time.Millisecond
	s := newServer(t, limits)
	begun, release := make(chan struct{}), make(chan struct{})
	work(t, s.Bus, 1, builder(func(ctx context.Context, b play.Build, emit func(play.Fact) error) (play.Finished, error) {
		close(begun)
		<-release
		if err := emit(play.Started{}); err == nil {
			t.Error("a fact came after the end")
		}
		return play.Finished{Outcome: play.OK}, nil
	}))
	j := s.submit(t, me(1))
	if fin := outcome(s.read(t, j.ID)); fin.Outcome != play.LimitHit {
		t.Errorf("it ended with %+v", fin)
	}
	<-begun
	close(release)
}

// A worker that stops gives its job back at once, and another carries it out from the beginning.
func TestGracefulStop(t *testing.T) {
	s := newServer(t, play.DefaultLimits())
	started := make(chan string, 1)
	stop := work(t, s.Bus, 1, until(started))
	j := s.submit(t, me(1))
	<-started
	s.sees(t, j.ID, "started")
	acks, err := s.Bus.Conn.SubscribeSync("$JS.ACK." + streamName + "." + consumerName + ".>")
	must(t, err)
	stop()
	for given := false; !given; { // and not only after ackWait
		ack, err := acks.NextMsgWithContext(t.Context())
		must(t, err)
		given = string(ack.Data) == "-NAK"
	}
	work(t, s.Bus, 1, builder(simple))
	events := s.read(t, j.ID)
	if got, want := kinds(events), "queued planned started started output finished"; got != want {
		t.Errorf("the log is %q, want %q", got, want)
	}
	if got := events[3].Fact.(play.Started).Attempt; got != 2 {
		t.Errorf("the second attempt has the number %d", got)
	}
	if row := s.record(t, j.ID); row.Attempt != 2 || row.Outcome != play.OK {
		t.Errorf("the row is %+v", row)
	}
}

// A worker whose job was taken over is told, also while its builder is silent, and its facts are refused.
func TestTakenOver(t *testing.T) {
	s := newServer(t, play.DefaultLimits())
	started, why := make(chan string, 1), make(chan error, 1)
	work(t, s.Bus, 1, builder(func(ctx context.Context, b play.Build, emit func(play.Fact) error) (play.Finished, error) {
		_, err := until(started)(ctx, b, emit)
		why <- err
		emit(play.Output{Data: "from the old one"})
		return play.Finished{Outcome: play.OK}, nil
	}))
	j := s.submit(t, me(1))
	<-started
	s.sees(t, j.ID, "started")
	out, _, err := eventlog.Take(t.Context(), s.Bus, j.ID, s.gate())
	must(t, err)
	if err := <-why; !errors.Is(err, play.ErrLost) {
		t.Errorf("the builder was told: %v", err)
	}
	must(t, out.Append(t.Context(), time.Minute, play.Finished{Outcome: play.Failed}))
	must(t, out.Close(t.Context()))
	events := s.read(t, j.ID)
	if got := kinds(events); got != "queued planned started finished" || outcome(events).Outcome != play.Failed {
		t.Errorf("the log is %q and ends with %+v", got, outcome(events))
	}
}

// Another machine has nothing but an address and a key.
func TestRemoteWorker(t *testing.T) {
	dir := t.TempDir()
	s, stop, err := start(t.Context(), dir, eventlog.Config{Listen: "127.0.0.1:0", Grant: WorkerMay()}, play.DefaultLimits())
	must(t, err)
	t.Cleanup(stop)
	var complaints strings.Builder
	bus, err := eventlog.Connect(t.Context(), eventlog.Config{
		URL: "nats://" + s.Bus.Addr().String(), Creds: filepath.Join(dir, "worker.nk"), Worker: true, Log: loud(&complaints),
	})
	must(t, err)
	t.Cleanup(bus.Close)
	started := make(chan string, 1)
	stopWork := work(t, bus, 1, until(started))
	cancelled := s.submit(t, me(1))
	<-started
	must(t, s.Cancel(t.Context(), me(1), cancelled.ID))
	given := s.submit(t, me(1))
	<-started
	time.Sleep(2 * beat) // signs of life and looks at the log
	stopWork()
	stopWork = work(t, bus, 1, builder(simple))
	if events := s.read(t, given.ID); outcome(events).Outcome != play.OK {
		t.Errorf("it ended with %+v", outcome(events))
	}
	s.record(t, given.ID)
	stopWork()
	if text := complaints.String(); text != "" {
		t.Errorf("the worker complained: %s", text)
	}
}
