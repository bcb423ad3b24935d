package guard

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/server/play"
)

// TestMain is the child as well.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "child" {
		os.Exit(Serve(map[string]Handler{
			"echo":  Handle(func(_ context.Context, s string) (string, error) { return s, nil }),
			"pid":   Handle(func(context.Context, any) (int, error) { return os.Getpid(), nil }),
			"env":   Handle(func(context.Context, any) ([]string, error) { return os.Environ(), nil }),
			"panic": Handle(func(context.Context, any) (int, error) { panic("oh") }),
			"fail": Handle(func(context.Context, any) (int, error) {
				return 0, play.Errorf(play.Invalid, "no").In(play.Place{File: "a", Range: play.Range{Start: play.Position{Line: 2}}}).Because(errors.New("why"))
			}),
			"bomb":  Handle(bomb),
			"stack": Handle(func(_ context.Context, n int) (int, error) { return stack(n), nil }),
			"spin":  Handle(func(context.Context, any) (int, error) { select {} }),
			"long":  Handle(func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil }),
			"slow":  Handle(func(ctx context.Context, _ any) (int, error) { <-ctx.Done(); return 0, ctx.Err() }),
		}))
	}
	os.Exit(m.Run())
}

// bomb uses memory as BuildKit does with 40 lines of ENV A=$A$A.
func bomb(context.Context, any) (int, error) {
	s := "a"
	for range 40 {
		s += s
	}
	return len(s), nil
}

func stack(n int) int {
	var pad [64]int
	if n == 0 {
		return 0
	}
	pad[n%64] = n
	return stack(n-1) + pad[n%64]
}

func run(t *testing.T, o Options) *Guard {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	g := New([]string{exe, "child"}, o)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return g
}

func echo(t *testing.T, g *Guard) {
	t.Helper()
	var out string
	if err := g.Call(t.Context(), "echo", "hé", &out); err != nil || out != "hé" {
		t.Fatalf("%q, %v", out, err)
	}
}

func TestAnswers(t *testing.T) {
	t.Setenv("SLIPWAY_SECRET", "x")
	g := run(t, DefaultOptions())
	echo(t, g)
	var env []string
	if err := g.Call(t.Context(), "env", nil, &env); err != nil || strings.Contains(strings.Join(env, " "), "SECRET") {
		t.Errorf("the child's environment is %q, %v", env, err)
	}
	err := g.Call(t.Context(), "fail", nil, nil)
	e, ok := errors.AsType[*play.Error](err)
	if !ok || e.Kind != play.Invalid || e.Msg != "no" || e.At == nil || e.At.String() != "a:2:0" || !strings.Contains(e.Err.Error(), "why") {
		t.Errorf("%#v", err)
	}
	for _, method := range []string{"panic", "nothing of the kind"} {
		if err := g.Call(t.Context(), method, nil, nil); play.KindOf(err) != play.Internal {
			t.Errorf("%s: %v", method, err)
		}
	}
	echo(t, g)
}

// TestDeaths: whatever a child dies of, the request gets a clear error and the next one an answer, and the parent's
// memory doesn't grow.
func TestDeaths(t *testing.T) {
	o := DefaultOptions()
	o.Memory, o.Timeout = 256<<20, time.Second
	g := run(t, o)
	for _, c := range []struct {
		method string
		in     any
	}{{"bomb", nil}, {"stack", 1 << 30}, {"spin", nil}, {"slow", nil}, {"long", maxFrame}} {
		before := heap()
		err := g.Call(t.Context(), c.method, c.in, nil)
		if play.KindOf(err) != play.Limited || !strings.Contains(err.Error(), "too expensive to analyse") {
			t.Errorf("%s: %v", c.method, err)
		}
		if grown := int64(heap()) - int64(before); grown > 8<<20 {
			t.Errorf("%s: the parent's heap grew by %d bytes", c.method, grown)
		}
		echo(t, g)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestIdleDeath: a child that dies between two requests costs none of them.
func TestIdleDeath(t *testing.T) {
	o := DefaultOptions()
	o.Children = 1
	g := run(t, o)
	var pid, next int
	if err := g.Call(t.Context(), "pid", nil, &pid); err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := g.Call(t.Context(), "pid", nil, &next); err != nil || next == pid {
		t.Fatalf("pid %d, then %d, %v", pid, next, err)
	}
}

// TestCancel: who gives up waits no longer, and the child lives on.
func TestCancel(t *testing.T) {
	o := DefaultOptions()
	o.Children, o.Timeout = 1, 200*time.Millisecond
	g := run(t, o)
	var before, after int
	if err := g.Call(t.Context(), "pid", nil, &before); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := g.Call(ctx, "slow", nil, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := g.Call(t.Context(), "pid", nil, &after); err != nil || after != before {
		t.Fatalf("pid %d, then %d, %v", before, after, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	o := DefaultOptions()
	o.Waiting, o.Timeout = 3, 200*time.Millisecond
	g := run(t, o)
	echo(t, g)
	var wg sync.WaitGroup
	var mu sync.Mutex
	kinds := map[play.Kind]int{}
	for range 20 {
		wg.Go(func() {
			err := g.Call(t.Context(), "slow", nil, nil)
			mu.Lock()
			defer mu.Unlock()
			kinds[play.KindOf(err)]++
		})
	}
	wg.Wait()
	if kinds[play.Unavailable] == 0 || kinds[play.Limited] == 0 || kinds[play.Unavailable]+kinds[play.Limited] != 20 {
		t.Errorf("%v", kinds)
	}
	echo(t, g)
}

func TestTooMuchToAsk(t *testing.T) {
	g := run(t, DefaultOptions())
	if err := g.Call(t.Context(), "echo", strings.Repeat("x", maxFrame), nil); play.KindOf(err) != play.Limited {
		t.Error(err)
	}
	echo(t, g)
}

// TestStopped: calls after the end get an answer too.
func TestStopped(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	g := New([]string{exe, "child"}, DefaultOptions())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := g.Call(t.Context(), "echo", "", nil); play.KindOf(err) != play.Unavailable {
		t.Error(err)
	}
	if err := New([]string{"/nowhere"}, DefaultOptions()).Run(t.Context()); err == nil {
		t.Error("a guard without a program runs")
	}
}

// TestOrphan: a child ends when its parent does, also in the middle of a request.
func TestOrphan(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "child")
	cmd.Env = []string{memoryEnv + "=268435456"}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	req, err := json.Marshal(request{Method: "spin", Timeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := writeFrame(in, req); err != nil {
		t.Fatal(err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// BenchmarkCall is what a request costs beyond its work.
func BenchmarkCall(b *testing.B) {
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	g := New([]string{exe, "child"}, DefaultOptions())
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() { ended <- g.Run(ctx) }()
	in := strings.Repeat("RUN echo hello\n", 50)
	for b.Loop() {
		var out string
		if err := g.Call(ctx, "echo", in, &out); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	<-ended
}
