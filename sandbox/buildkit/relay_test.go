package buildkit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"slipway/server/play"
)

// agentFunc is a daemon whose agent is a function.
type agentFunc struct {
	run   func(ctx context.Context, stdout io.Writer) error
	usage *Usage
}

func (a agentFunc) Run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	if _, err := io.Copy(io.Discard, stdin); err != nil {
		return err
	}
	return a.run(ctx, stdout)
}

func (a agentFunc) Usage() Usage {
	if a.usage == nil {
		return Usage{}
	}
	u := *a.usage
	a.usage.OOMKills++ // each reading finds one more
	return u
}

func (agentFunc) Release(bool) {}

func withAgent(t *testing.T, a agentFunc) *Builder {
	return New(Config{
		Daemon:   func(context.Context, string) (Daemon, error) { return a, nil },
		Registry: "registry.test",
		Push:     func(string, string) (string, func()) { return "secret", func() {} },
		Origin:   func(string, string) (string, string) { return "", "" },
		Missing:  func(context.Context, string) string { return "" },
		Requests: func(string, time.Time) []play.Requested { return nil },
		Log:      slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
}

const good = `{"kind":"output","vertex":"v","stream":1,"data":"hello"}` + "\n"
const result0 = `{"kind":"agent_result","finished":{"outcome":"failed","message":"no"}}` + "\n"

// The agent is not believed further than its form: whatever it writes, the build has one honest end.
func TestHostileAgent(t *testing.T) {
	write := func(s string) func(context.Context, io.Writer) error {
		return func(_ context.Context, w io.Writer) error {
			_, err := io.WriteString(w, s)
			return err
		}
	}
	for name, c := range map[string]struct {
		run     func(context.Context, io.Writer) error
		outcome play.Outcome
	}{
		"fair":          {write(good + result0), play.Failed},
		"in pieces":     {func(_ context.Context, w io.Writer) error { return inPieces(w, good+result0) }, play.Failed},
		"nothing":       {write(""), play.Broken},
		"no result":     {write(good), play.Broken},
		"half a line":   {write(good + result0[:20]), play.Broken},
		"no JSON":       {write("panic: oh\n" + result0), play.Broken},
		"its own end":   {write(`{"kind":"finished","outcome":"ok"}` + "\n" + result0), play.Broken},
		"its own image": {write(`{"kind":"exported","image":"builds/other"}` + "\n" + result0), play.Broken},
		"its own start": {write(`{"kind":"started","worker":"me"}` + "\n" + result0), play.Broken},
		"unknown kind":  {write(`{"kind":"new"}` + "\n" + result0), play.Broken},
		"no kind":       {write("{}\n" + result0), play.Broken},
		"bad result":    {write(`{"kind":"agent_result","finished":7}` + "\n"), play.Broken},
		"two results":   {write(result0 + result0), play.Broken},
		"long line": {func(_ context.Context, w io.Writer) error {
			for {
				if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
					return err
				}
			}
		}, play.Broken},
		"endless": {func(ctx context.Context, w io.Writer) error {
			lines := []byte(strings.ReplaceAll(good, "hello", strings.Repeat("hello", 10_000)))
			for {
				if _, err := w.Write(lines); err != nil {
					<-ctx.Done() // it must be ended, not only unheard
					return err
				}
			}
		}, play.Broken},
	} {
		t.Run(name, func(t *testing.T) {
			b := withAgent(t, agentFunc{run: c.run})
			end, err := b.Build(t.Context(), play.Build{Limits: play.DefaultLimits()}, func(f play.Fact) error {
				switch f.(type) {
				case play.Started, play.Output:
				default:
					t.Errorf("let through: %+v", f)
				}
				return nil
			})
			if err != nil || end.Outcome != c.outcome || end.Message == "" {
				t.Errorf("%+v, %v", end, err)
			}
		})
	}
}

func inPieces(w io.Writer, s string) error {
	for _, b := range []byte(s) {
		if _, err := w.Write([]byte{b}); err != nil {
			return err
		}
	}
	return nil
}

// Whatever the machine kills for want of memory, the agent or something that it needs, it is a limit.
func TestOutOfMemory(t *testing.T) {
	for name, run := range map[string]func(context.Context, io.Writer) error{
		"the agent": func(context.Context, io.Writer) error { return errors.New("killed") },
		"the daemon": func(_ context.Context, w io.Writer) error {
			_, err := io.WriteString(w, `{"kind":"agent_result","finished":{"outcome":"internal","message":"a fault"}}`+"\n")
			return err
		},
	} {
		b := withAgent(t, agentFunc{run: run, usage: &Usage{}})
		end, err := b.Build(t.Context(), play.Build{Limits: play.DefaultLimits()}, func(play.Fact) error { return nil })
		if err != nil || end.Outcome != play.LimitHit || !strings.Contains(end.Message, "memory") {
			t.Errorf("%s: %+v, %v", name, end, err)
		}
	}
}

// A log that refuses a fact ends the agent, and the build with the log's error.
func TestRefusedFact(t *testing.T) {
	refused := errors.New("another worker writes this log")
	b := withAgent(t, agentFunc{run: func(ctx context.Context, w io.Writer) error {
		_, err := io.WriteString(w, good)
		<-ctx.Done()
		return err
	}})
	_, err := b.Build(t.Context(), play.Build{Limits: play.DefaultLimits()}, func(f play.Fact) error {
		if _, ok := f.(play.Output); ok {
			return refused
		}
		return nil
	})
	if !errors.Is(err, refused) {
		t.Error(err)
	}
}

// Only who builds alone in a domain is told of requests that no step made: they could be another's.
func TestAlone(t *testing.T) {
	b := withAgent(t, agentFunc{})
	first := b.enter("d")
	second := b.enter("d")
	other := b.enter("e")
	if second() || first() {
		t.Error("two at once were each alone")
	}
	if !other() {
		t.Error("another domain counts")
	}
	third := b.enter("d")
	if !third() {
		t.Error("a build after the others was not alone")
	}
	if len(b.active)+len(b.begun) > 0 {
		t.Error("something was left behind")
	}
}

// Whatever bytes an agent writes, nothing passes but facts of its own kinds, and reading them never panics.
func FuzzRelay(f *testing.F) {
	f.Add([]byte(good + result0))
	f.Add([]byte(`{"kind":"planned","stages":[{"base":{"digest":"sha256:x"}}],"steps":[{"vertices":["v"]}]}` + "\n"))
	f.Add([]byte(`{"kind":"vertex","digest":"v","started":1}` + "\n" + `{"kind":"requested","url":"::"}` + "\n"))
	f.Add([]byte("{\"kind\":\"progress\"}\n\n{"))
	f.Fuzz(func(t *testing.T, wrote []byte) {
		r := newRelay(play.Build{Limits: play.DefaultLimits()}, time.Time{}, func(fact play.Fact) error {
			switch fact.(type) {
			case play.Planned, play.Vertex, play.Progress, play.Output, play.Requested, play.Truncated:
				return nil
			}
			t.Fatalf("let through: %+v", fact)
			return nil
		}, func(error) {})
		r.origin = func(string, string) (string, string) { return "", "" }
		r.requests = func() []play.Requested { return []play.Requested{{URL: "a.test:443"}} }
		if _, err := r.Write(wrote); err == nil {
			r.finish(true)
		}
		r.running()
	})
}
