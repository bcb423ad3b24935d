package buildkit

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"slipway/server/play"
)

// gather is a list of facts and the function that fills it.
func gather() (*[]play.Fact, func(play.Fact)) {
	var all []play.Fact
	return &all, func(f play.Fact) { all = append(all, f) }
}

func joined(facts []play.Fact) string {
	var b strings.Builder
	for _, f := range facts {
		if o, ok := f.(play.Output); ok {
			b.WriteString(o.Data)
		}
	}
	return b.String()
}

// However the bytes of a stream arrive, they come out the same and in whole code points.
func TestOutputIsWhole(t *testing.T) {
	want := strings.Repeat("plain, wide 日本語, 🚢, \x1b[31mred\x1b[0m\r", 3000) + "end without newline 日"
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		facts, emit := gather()
		o := newOutputs(play.DefaultLimits(), emit)
		for rest := []byte(want); len(rest) > 0; {
			n := 1 + r.IntN(min(len(rest), 1<<r.IntN(17)))
			o.write("v", stdout, rest[:n])
			rest = rest[n:]
		}
		o.end("v", false)
		o.close()
		if got := joined(*facts); got != want {
			t.Fatalf("seed %d: %d bytes of %d came out", seed, len(got), len(want))
		}
		for _, f := range *facts {
			if d := f.(play.Output).Data; !utf8.ValidString(d) || len(d) > chunk {
				t.Fatalf("seed %d: a fact of %d bytes, ending in %q", seed, len(d), d[max(0, len(d)-4):])
			}
		}
	}
}

// What is not UTF-8 at all is not held back for ever, nor lost.
func TestOutputInvalid(t *testing.T) {
	facts, emit := gather()
	o := newOutputs(play.DefaultLimits(), emit)
	o.write("v", stdout, []byte("a\xff\xfeb\xe6"))
	if got := joined(*facts); got != "a\xff\xfeb" {
		t.Errorf("at once: %q", got)
	}
	o.end("v", false)
	if got := joined(*facts); got != "a\xff\xfeb\xe6" {
		t.Errorf("at the end: %q", got)
	}
}

func TestOutputLimits(t *testing.T) {
	for name, c := range map[string]struct {
		bytes int64
		lines int
	}{"bytes": {64 << 10, 1 << 30}, "lines": {1 << 30, 100}} {
		t.Run(name, func(t *testing.T) {
			facts, emit := gather()
			limits := play.DefaultLimits()
			limits.OutputBytes, limits.OutputLines = c.bytes, c.lines
			o := newOutputs(limits, emit)
			var all bytes.Buffer
			for i := range 50_000 {
				line := fmt.Sprintf("line %d 日\n", i)
				all.WriteString(line)
				o.write("v", stdout, []byte(line))
			}
			o.write("other", stdout, []byte("too late\n"))
			o.end("v", true)
			o.close()
			got := joined(*facts)
			head := strings.LastIndex(got, "line 0 ")
			if head != 0 || !strings.HasSuffix(got, "line 49999 日\n") {
				t.Errorf("kept %q … %q", got[:20], got[len(got)-20:])
			}
			if int64(len(got)) > c.bytes {
				t.Errorf("kept %d bytes", len(got))
			}
			var last play.Truncated
			for _, f := range *facts {
				if f, ok := f.(play.Truncated); ok {
					last = f
				}
			}
			if want := int64(all.Len() + len("too late\n") - len(got)); last.Bytes != want || last.Vertex != "" {
				t.Errorf("the last word is %+v; %d bytes are missing", last, want)
			}
			if want := int64(50_001 - strings.Count(got, "\n")); last.Lines != want {
				t.Errorf("%d lines are missing, told are %d", want, last.Lines)
			}
			for _, f := range *facts {
				if f, ok := f.(play.Output); ok && !utf8.ValidString(f.Data) {
					t.Errorf("a cut inside a code point: %q", f.Data[max(0, len(f.Data)-8):])
				}
			}
		})
	}
}

func TestRequestsAreFound(t *testing.T) {
	type writes []string
	one := play.Requested{Vertex: "v", Method: "GET", URL: "https://a.test/x?y", Status: 200, Allowed: true}
	two := play.Requested{Vertex: "v", Method: "CONNECT", URL: "b.test:443", Allowed: true}
	for name, c := range map[string]struct {
		writes writes
		facts  []play.Fact
		output string
	}{
		"none":       {writes{"hello\n"}, nil, "hello\n"},
		"list":       {writes{"hello", requestsHeader, "- GET https://a.test/x?y -> 200\n", "- CONNECT b.test:443\n"}, []play.Fact{one, two}, "hello"},
		"look-alike": {writes{requestsHeader, "- GET x\n", "and more\n", requestsHeader, "- GET https://a.test/x?y -> 200\n"}, []play.Fact{one}, requestsHeader + "- GET x\nand more\n"},
		"two lists":  {writes{requestsHeader, "- GET x\n", requestsHeader, "- CONNECT b.test:443\n"}, []play.Fact{two}, requestsHeader + "- GET x\n"},
		"only head":  {writes{requestsHeader}, nil, requestsHeader},
		"one write":  {writes{requestsHeader + "- GET x -> 200\n"}, nil, requestsHeader + "- GET x -> 200\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var r requests
			var out strings.Builder
			for _, w := range c.writes {
				out.Write(r.take([]byte(w)))
			}
			facts, rest := r.facts("v")
			out.Write(rest)
			if !slices.Equal(facts, c.facts) || out.String() != c.output {
				t.Errorf("got %+v and %q", facts, out.String())
			}
		})
	}
	var r requests
	r.take([]byte(requestsHeader))
	for range 10 * maxRequests {
		r.take([]byte("- GET http://a.test/ -> 200\n"))
	}
	facts, _ := r.facts("v")
	if cut, ok := facts[len(facts)-1].(play.Truncated); len(facts) != maxRequests+1 || !ok || cut.Lines != 9*maxRequests {
		t.Errorf("of very many requests %d facts were made, the last %+v", len(facts), facts[len(facts)-1])
	}
}

// slow is a reader that takes its time.
type slow struct {
	w    io.Writer
	wait time.Duration
}

func (s slow) Write(p []byte) (int, error) {
	time.Sleep(s.wait)
	return s.w.Write(p)
}

// Adding to a sink never waits for a slow reader, merges what it can, and keeps the order that matters.
func TestSink(t *testing.T) {
	var buf bytes.Buffer
	s := newSink()
	written := make(chan error)
	go func() { written <- s.run(slow{&buf, 20 * time.Millisecond}) }()
	at := func(n int) *play.Millis { m := play.Millis(time.Duration(n) * time.Second); return &m }
	s.add(play.Vertex{Digest: "v", Started: at(1)})
	for i := range 100_000 {
		s.add(play.Output{Vertex: "v", Stream: 1, Data: "x\n"})
		s.add(play.Progress{Vertex: "v", ID: "pull", Current: int64(i)})
	}
	s.add(play.Vertex{Digest: "v", Started: at(1), Completed: at(2)})
	s.add(play.Vertex{Digest: "v", Started: at(3)}) // again: the first interval must not be lost
	s.add(play.Vertex{Digest: "v", Started: at(3), Completed: at(4)})
	s.add(play.Progress{Vertex: "v", ID: "pull", Current: 100_000, Completed: true})
	s.close()
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	var facts []play.Fact
	for line := range strings.Lines(buf.String()) {
		var e play.Event
		if err := e.UnmarshalJSON([]byte(line)); err != nil {
			t.Fatal(err)
		}
		facts = append(facts, e.Fact)
	}
	if got := joined(facts); got != strings.Repeat("x\n", 100_000) {
		t.Errorf("%d bytes of output came out", len(got))
	}
	var ends []play.Millis
	var last play.Progress
	for i, f := range facts {
		switch f := f.(type) {
		case play.Vertex:
			if f.Completed != nil {
				ends = append(ends, *f.Completed)
				for _, later := range facts[i:] {
					if _, ok := later.(play.Output); ok && *f.Completed == *at(2) {
						t.Error("output comes after the end of its vertex")
					}
				}
			}
		case play.Progress:
			last = f
		}
	}
	if !slices.Equal(ends, []play.Millis{*at(2), *at(4)}) || !last.Completed {
		t.Errorf("the vertex ended at %v, the transfer at %+v", ends, last)
	}
	if len(facts) > 100 {
		t.Errorf("%d facts", len(facts))
	}
}
