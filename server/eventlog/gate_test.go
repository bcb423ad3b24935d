package eventlog

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"slipway/server/play"
)

// through sends facts through a gate and returns the events that it lets in.
func through(t testing.TB, g *gate, facts ...play.Fact) []play.Event {
	t.Helper()
	var events []play.Event
	for i, f := range facts {
		lines, err := g.admit(time.Duration(i), f)
		must(t, err)
		for _, l := range lines {
			var e play.Event
			must(t, json.Unmarshal(l.line, &e))
			events = append(events, e)
		}
	}
	return events
}

func chunks(data string, size func() int) []play.Fact {
	var facts []play.Fact
	for len(data) > 0 {
		n := min(size(), len(data))
		facts = append(facts, play.Output{Vertex: "v", Stream: 1, Data: data[:n]})
		data = data[n:]
	}
	return append(facts, play.Finished{Outcome: play.OK})
}

// Law 7: what is let in is valid, holds no secret, and does not depend on how the bytes were cut.
func checkGate(t testing.TB, data string, secrets []string, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	gateOf := func() *gate { return newGate(Gate{Limits: play.DefaultLimits(), Secrets: secrets}, State{}) }
	whole := text(through(t, gateOf(), chunks(data, func() int { return len(data) })...), "v", 1)
	cut := text(through(t, gateOf(), chunks(data, func() int { return 1 + r.IntN(5) })...), "v", 1)
	if whole != cut {
		t.Fatalf("in one piece %q became %q, in small ones %q", data, whole, cut)
	}
	if !utf8.ValidString(whole) {
		t.Fatalf("%q became %q, which is not UTF-8", data, whole)
	}
	for _, s := range secrets {
		if len(s) >= shortSecret && strings.Contains(whole, s) {
			t.Fatalf("%q became %q, which holds the secret %q", data, whole, s)
		}
	}
}

func TestGateRandomly(t *testing.T) {
	alphabet := []string{"a", "b", "ab", "é", "\xe2\x82", "\xe2\x82\xac", "\xff", "\n", "😀", "\xf0\x9f"}
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 0))
		word := func(n int) string {
			var b strings.Builder
			for range n {
				b.WriteString(alphabet[r.IntN(len(alphabet))])
			}
			return b.String()
		}
		secrets := []string{strings.ToValidUTF8(word(5), "b"), "abab", "ababab"}
		checkGate(t, word(r.IntN(30))+secrets[r.IntN(3)]+word(r.IntN(10)), secrets, seed)
	}
}

func FuzzGate(f *testing.F) {
	f.Add("token hunter2 and \xe2\x82", "hunter2", uint64(1))
	f.Add("ababababab", "abab", uint64(2))
	f.Fuzz(func(t *testing.T, data, secret string, seed uint64) {
		if !utf8.ValidString(secret) || strings.Contains(secret, "*") || len(data)+len(secret) > 4096 {
			return // a secret is text, and stars are what stands in its place
		}
		checkGate(t, data, []string{secret}, seed)
	})
}

func TestGateSecrets(t *testing.T) {
	g := newGate(Gate{Limits: play.DefaultLimits(), Secrets: []string{"hunter2", "hunter2-long", `pa"ss<&>wörd`, "abc"}}, State{})
	started := play.Millis(time.Second)
	events := through(t, g,
		play.Output{Vertex: "v", Stream: 1, Data: "is hunt"},
		play.Output{Vertex: "v", Stream: 2, Data: "er2 on the other stream"},
		play.Output{Vertex: "v", Stream: 1, Data: "er2"},
		play.Output{Vertex: "v", Stream: 1, Data: "-long or hunter2-lo, abc hunter"},
		play.Vertex{Digest: "v", Name: `RUN echo pa"ss<&>wörd`, Error: "hunter2", Completed: &started},
		play.Requested{URL: "https://me:hunter2@example.com/hunter2-long"},
		play.Planned{Steps: []play.Step{{Text: "ENV A=hunter2"}}},
		play.Unknown{Name: "later", Raw: json.RawMessage(`{"seq":99,"at":1,"kind":"later","x":["hunter2",{"y":"hunter2"}],"n":12345678901234567890}`)},
		play.Finished{Outcome: play.Failed, Message: "hunter2 failed", Hint: `pa"ss<&>wörd`},
	)
	lawful(t, events)
	if got, want := text(events, "v", 1), "is *** or ***-lo, abc hunter"; got != want {
		t.Errorf("the stream says %q, want %q", got, want)
	}
	if got, want := text(events, "v", 2), "er2 on the other stream"; got != want {
		t.Errorf("the other stream says %q, want %q", got, want)
	}
	for _, e := range events {
		b, err := json.Marshal(e)
		must(t, err)
		if s := string(b); strings.Contains(s, "hunter2") || strings.Contains(s, "wörd") {
			t.Errorf("a secret is in %s", s)
		}
		if u, ok := e.Fact.(play.Unknown); ok && !strings.Contains(string(u.Raw), "12345678901234567890") {
			t.Errorf("a number was changed: %s", u.Raw)
		}
	}
	for i, e := range events { // what was held back comes before the end of its vertex
		if _, ok := e.Fact.(play.Vertex); ok && text(events[i:], "v", 1) != "" {
			t.Error("output of a vertex came after its end")
		}
	}
}

// Law 6: a log is bounded in bytes, lines and events; what is left out is said; its end always fits.
func TestGateBounds(t *testing.T) {
	limits := play.DefaultLimits()
	limits.OutputBytes, limits.OutputLines, limits.Events = 1000, 50, 100
	long, short := strings.Repeat("ä", 90)+"\n", "x\n"
	for name, fact := range map[string]func(int) play.Fact{
		"long lines":   func(int) play.Fact { return play.Output{Vertex: "v", Stream: 1, Data: long} },
		"short lines":  func(int) play.Fact { return play.Output{Vertex: "v", Stream: 1, Data: short} },
		"no lines":     func(int) play.Fact { return play.Output{Vertex: "v", Stream: 1, Data: "x"} },
		"many streams": func(i int) play.Fact { return play.Output{Vertex: fmt.Sprint(i), Stream: 1, Data: "\xe2"} },
		"progress":     func(i int) play.Fact { return play.Progress{Vertex: "v", ID: fmt.Sprint(i)} },
		"requests":     func(i int) play.Fact { return play.Requested{URL: strings.Repeat("u", 5000)} },
		"vertices":     func(i int) play.Fact { return play.Vertex{Digest: fmt.Sprint(i)} },
		"huge":         func(int) play.Fact { return play.Vertex{Name: strings.Repeat("n", eventSize)} },
		"huge output":  func(int) play.Fact { return play.Output{Vertex: "v", Data: strings.Repeat(long, 1000)} },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(Gate{Limits: limits}, State{})
			var facts []play.Fact
			n := 3000
			if strings.HasPrefix(name, "huge") {
				n = 30
			}
			for i := range n {
				facts = append(facts, fact(i))
			}
			facts = append(facts, play.Vertex{Digest: "last"}, play.Finished{Outcome: play.OK, Message: strings.Repeat("ü", 1<<20)})
			events := through(t, g, facts...)
			lawful(t, events)
			if len(events) > limits.Events {
				t.Errorf("the log has %d events", len(events))
			}
			var out, size int
			var left, truncated int64
			for _, e := range events {
				b, err := json.Marshal(e)
				must(t, err)
				size += len(b)
				switch f := e.Fact.(type) {
				case play.Output:
					out += len(f.Data)
				case play.Truncated:
					truncated++
					left = f.Bytes
				}
			}
			if int64(out) > limits.OutputBytes || size > 4*1000+2<<20+4*wordsSize {
				t.Errorf("the log has %d bytes of output and %d in all", out, size)
			}
			if truncated == 0 || left == 0 || left != g.state.Left.Bytes {
				t.Errorf("%d times something was left out, %d bytes in the end, really %d", truncated, left, g.state.Left.Bytes)
			}
			if kind := events[len(events)-2].Fact.Kind(); name != "vertices" && name != "huge" && kind != "truncated" {
				t.Errorf("before the end comes a %s", kind)
			}
		})
	}
}

// What is kept of a stream has no gap: nothing follows what was left out.
func TestGateCutsOnce(t *testing.T) {
	limits := play.DefaultLimits()
	limits.OutputBytes = 5
	events := through(t, newGate(Gate{Limits: limits}, State{}),
		play.Output{Vertex: "v", Stream: 1, Data: "abc"}, play.Output{Vertex: "v", Stream: 1, Data: "d€"},
		play.Output{Vertex: "v", Stream: 1, Data: "e"}, play.Finished{Outcome: play.OK})
	if got := text(events, "v", 1); got != "abcd" {
		t.Errorf("kept %q", got)
	}
	if last := events[len(events)-2].Fact.(play.Truncated); last.Bytes != 4 {
		t.Errorf("%d bytes were left out", last.Bytes)
	}
}

// The bounds are the log's, not an attempt's.
func TestBoundsOutliveTheWriter(t *testing.T) {
	l, _ := newLog(t)
	job := name(t, 0)
	g := defaults()
	g.Limits.OutputLines = 10
	for range 3 {
		w := take(t, l, job, g)
		for range 4 {
			must(t, w.Append(t.Context(), 0, line("x\n")))
		}
		must(t, w.Close(t.Context()))
	}
	must(t, Finish(t.Context(), l.bus, job, g, 0, play.Finished{Outcome: play.OK}))
	events := readAll(t, l, job, 0)
	lawful(t, events)
	if got := strings.Count(text(events, "v", 1), "\n"); got != 10 {
		t.Errorf("%d lines were kept", got)
	}
	if last, ok := events[len(events)-2].Fact.(play.Truncated); !ok || last.Lines != 2 {
		t.Errorf("before the end comes %v", events[len(events)-2].Fact)
	}
}
