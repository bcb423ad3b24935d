package view_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/server/play"
	"slipway/server/view"
)

// randomLog is a log that BuildKit would hardly write: every law must hold for it all the same.
func randomLog(r *rand.Rand) []play.Event {
	digest := func() string { return fmt.Sprintf("sha256:%d", r.IntN(8)) }
	millis := func() *play.Millis {
		if r.IntN(3) == 0 {
			return nil
		}
		return new(play.Millis(r.IntN(1000)) * play.Millis(time.Millisecond))
	}
	pieces := []string{"a", "bc", "\n", "\r", "\b", "\t", "\x1b", "[", "31", ";", "m", "A", "2", "K", "J", "\x1b[2A", "\x1b[1;32m", "\x1b]8;;http://a.example\x07", "<b>", "你", "\u0301", "\u202e", "\x1b]0;"}
	output := func() string {
		var b strings.Builder
		for range r.IntN(20) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		return b.String()
	}
	plan := func() play.Planned {
		p := play.Planned{Solver: r.IntN(2) == 0}
		for n := range r.IntN(6) {
			s := play.Step{N: n + 1, Instruction: []string{"FROM", "RUN", "COPY", "ENV"}[r.IntN(4)], Needed: r.IntN(4) > 0}
			for range r.IntN(3) {
				s.Vertices = append(s.Vertices, digest())
			}
			s.Vertices = slices.Compact(s.Vertices)
			p.Steps = append(p.Steps, s)
		}
		return p
	}
	fact := func() play.Fact {
		switch r.IntN(16) {
		case 0:
			return play.Queued{Ahead: r.IntN(5)}
		case 1:
			return play.Started{Attempt: 1 + r.IntN(2)}
		case 2:
			return plan()
		case 3:
			return play.Diagnosed{Diagnostic: play.Diagnostic{Rule: fmt.Sprint(r.IntN(3))}}
		case 4, 5, 6:
			return play.Vertex{Digest: digest(), Name: "v", Started: millis(), Completed: millis(), Cached: r.IntN(4) == 0,
				Error: []string{"", "", "", "exit code: 1", "context canceled"}[r.IntN(5)]}
		case 7:
			return play.Progress{Vertex: digest(), ID: []string{"resolve x", "sha256:1"}[r.IntN(2)], Current: int64(r.IntN(9))}
		case 8:
			return play.Requested{Vertex: []string{"", digest()}[r.IntN(2)], URL: "http://a.example"}
		case 9:
			return play.Truncated{Vertex: []string{"", digest()}[r.IntN(2)], What: "Much was left out."}
		case 10:
			return play.Exported{Digest: "sha256:i", Layers: []play.Layer{{Step: 1 + r.IntN(3)}, {}}}
		case 11:
			return play.Unknown{Name: "weather", Raw: json.RawMessage(`{"kind":"weather"}`)}
		default:
			return play.Output{Vertex: digest(), Stream: 1 + r.IntN(2), Data: output()}
		}
	}
	var log []play.Event
	at := time.Duration(0)
	add := func(f play.Fact) {
		at += time.Duration(r.IntN(30)) * time.Millisecond
		log = append(log, play.Event{Seq: int64(len(log) + 1), At: at, Fact: f})
	}
	add(plan())
	for range r.IntN(60) {
		add(fact())
	}
	if r.IntN(4) > 0 {
		outcomes := []play.Outcome{play.OK, play.Failed, play.LimitHit, play.Cancelled, play.Broken}
		add(play.Finished{Outcome: outcomes[r.IntN(len(outcomes))], Vertex: []string{"", digest()}[r.IntN(2)], Step: r.IntN(3)})
	}
	return log
}

// seen is all that a fold shows, so that two can be compared.
type seen struct {
	Head   view.Timeline
	Steps  []view.Step
	Others []view.Vertex
	Lines  []view.Line
}

func look(j *view.Job) seen {
	s := seen{Head: *j.Timeline(), Lines: j.Lines(0, 0)}
	s.Steps, s.Others = s.Head.Steps, s.Head.Others
	s.Head.Steps, s.Head.Others, s.Head.Seq, s.Head.At = nil, nil, 0, 0
	return s
}

func same(t *testing.T, law string, seed uint64, got, want seen) {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return
	}
	g, _ := json.MarshalIndent(got, "", " ")
	w, _ := json.MarshalIndent(want, "", " ")
	t.Fatalf("%s, seed %d:\ngot  %s\nwant %s", law, seed, g, w)
}

// reader draws only what Changed tells it to.
type reader struct {
	seen
	cursor int64
}

func (r *reader) read(j *view.Job) {
	c, now := j.Changed(r.cursor), look(j)
	if c.Head {
		r.Head = now.Head
	}
	if c.Others {
		r.Others = now.Others
	}
	if len(r.Steps) != len(now.Steps) { // a new plan: every step changed
		r.Steps = make([]view.Step, len(now.Steps))
		if now.Steps == nil {
			r.Steps = nil
		}
	}
	for _, n := range c.Steps {
		r.Steps[n-1] = now.Steps[n-1]
	}
	for _, l := range c.Lines {
		for len(r.Lines) < l.N {
			r.Lines = append(r.Lines, view.Line{})
		}
		r.Lines[l.N-1] = l
	}
	r.cursor = c.Seq
}

func TestLaws(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		log := randomLog(r)
		want := look(view.Fold(log))

		same(t, "a fold is pure", seed, look(view.Fold(log)), want)

		live, late := new(view.Job), reader{seen: seen{Head: view.Timeline{State: play.JobQueued}, Lines: []view.Line{}}}
		var kept []*view.Timeline
		var copies []string
		for i, e := range log {
			live.Apply(e)
			if live.Apply(e) {
				t.Fatalf("seed %d: event %d changed something twice", seed, e.Seq)
			}
			for range r.IntN(3) {
				live.Apply(log[r.IntN(i+1)])
			}
			kept = append(kept, live.Timeline())
			copies = append(copies, text(live.Timeline()))
			switch r.IntN(6) {
			case 0:
				late.read(live)
			case 1: // it dropped out and resumes at another node
				late.read(view.Fold(log[:i+1]))
			}
		}
		same(t, "live is replay, repeats are harmless", seed, look(live), want)
		late.read(live)
		same(t, "what changed is all that changed", seed, late.seen, want)
		for i := range kept {
			if text(kept[i]) != copies[i] {
				t.Fatalf("seed %d: the timeline of event %d changed later", seed, i+1)
			}
		}

		var stored []play.Event
		for _, e := range log {
			b, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			var back play.Event
			if err := json.Unmarshal(b, &back); err != nil {
				t.Fatal(err)
			}
			if u, ok := back.Fact.(play.Unknown); ok { // randomLog's has no head
				back.Seq, u.Raw = e.Seq, nil
			}
			stored = append(stored, back)
		}
		same(t, "stored is live", seed, look(view.Fold(stored)), want)

		var known []play.Event
		for _, e := range log {
			if _, ok := e.Fact.(play.Unknown); !ok {
				known = append(known, e)
			}
		}
		same(t, "unknown kinds are ignored", seed, look(view.Fold(known)), want)
	}
}

func text(t *view.Timeline) string {
	b, err := json.Marshal(t)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// The fold has no clock, no environment, no network and no chance in it.
func TestPurity(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			switch strings.Trim(i.Path.Value, `"`) {
			case "os", "net", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "log/slog", "context":
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && (s.Sel.Name == "Now" || s.Sel.Name == "Since") {
					t.Errorf("%s calls time.%s", name, s.Sel.Name)
				}
			}
			return true
		})
	}
}
