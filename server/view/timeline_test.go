package view_test

import (
	"fmt"
	"testing"
	"time"

	"slipway/server/play"
	"slipway/server/view"
)

func ms(n int) *play.Millis { return new(play.Millis(n) * play.Millis(time.Millisecond)) }

func step(n int, instruction string, vertices ...string) play.Step {
	return play.Step{N: n, Instruction: instruction, Needed: true, Vertices: vertices}
}

func solver(steps ...play.Step) play.Planned { return play.Planned{Solver: true, Steps: steps} }

func job(facts ...play.Fact) *view.Job {
	var j view.Job
	for i, f := range facts {
		j.Apply(play.Event{Seq: int64(i + 1), At: time.Duration(i) * 10 * time.Millisecond, Fact: f})
	}
	return &j
}

func TestStatus(t *testing.T) {
	run, unneeded := solver(step(1, "RUN", "a")), solver(play.Step{N: 1, Instruction: "RUN", Vertices: []string{"a"}})
	tests := map[string]struct {
		facts  []play.Fact
		status view.Status
		reason string
		busy   *play.Millis
	}{
		"planned":              {[]play.Fact{run}, view.Waiting, "", ms(0)},
		"metadata, text plan":  {[]play.Fact{play.Planned{Steps: []play.Step{step(1, "ENV")}}}, view.Waiting, "", ms(0)},
		"metadata, solver":     {[]play.Fact{solver(step(1, "ENV"))}, view.Applied, "", ms(0)},
		"running":              {[]play.Fact{run, play.Vertex{Digest: "a", Started: ms(4)}}, view.Running, "", ms(6)},
		"known before planned": {[]play.Fact{play.Vertex{Digest: "a", Started: ms(4), Completed: ms(9)}, run}, view.Ran, "", ms(5)},
		"ran":                  {[]play.Fact{run, play.Vertex{Digest: "a", Started: ms(4)}, play.Vertex{Digest: "a", Started: ms(4), Completed: ms(20)}}, view.Ran, "", ms(16)},
		"ran twice":            {[]play.Fact{run, play.Vertex{Digest: "a", Started: ms(4), Completed: ms(6)}, play.Vertex{Digest: "a", Started: ms(10), Completed: ms(20)}}, view.Ran, "", ms(12)},
		"repeated":             {[]play.Fact{run, play.Vertex{Digest: "a", Started: ms(4), Completed: ms(6)}, play.Vertex{Digest: "a", Started: ms(4), Completed: ms(6)}}, view.Ran, "", ms(2)},
		"overlapping vertices": {[]play.Fact{solver(step(1, "ADD", "a", "b")), play.Vertex{Digest: "a", Started: ms(4), Completed: ms(10)}, play.Vertex{Digest: "b", Started: ms(8), Completed: ms(14)}}, view.Ran, "", ms(10)},
		"half done":            {[]play.Fact{solver(step(1, "ADD", "a", "b")), play.Vertex{Digest: "a", Started: ms(4), Completed: ms(10)}}, view.Waiting, "", ms(6)},
		"reused":               {[]play.Fact{run, play.Vertex{Digest: "a", Cached: true}}, view.Reused, "", ms(0)},
		"partly reused":        {[]play.Fact{solver(step(1, "COPY", "a", "b")), play.Vertex{Digest: "a", Cached: true}, play.Vertex{Digest: "b", Started: ms(1), Completed: ms(2)}}, view.Ran, "", ms(1)},
		"base at hand":         {[]play.Fact{solver(step(1, "FROM", "a")), play.Progress{Vertex: "a", ID: "resolve docker.io/x"}, play.Vertex{Digest: "a", Started: ms(1), Completed: ms(2)}}, view.Reused, "", ms(1)},
		"base pulled":          {[]play.Fact{solver(step(1, "FROM", "a")), play.Progress{Vertex: "a", ID: "sha256:1"}, play.Vertex{Digest: "a", Started: ms(1), Completed: ms(2)}}, view.Ran, "", ms(1)},
		"not even looked for":  {[]play.Fact{run, play.Finished{Outcome: play.OK}}, view.Reused, "", ms(0)},
		"failed":               {[]play.Fact{run, play.Vertex{Digest: "a", Started: ms(1), Completed: ms(2), Error: "exit code: 1"}}, view.Failing, "", ms(1)},
		"failed by limit":      {[]play.Fact{run, play.Vertex{Digest: "a", Started: ms(1)}, play.Finished{Outcome: play.LimitHit, Vertex: "a"}}, view.Failing, "", ms(19)},
		"failed by its place":  {[]play.Fact{play.Planned{Steps: []play.Step{step(1, "RNU")}}, play.Finished{Outcome: play.Failed, Step: 1}}, view.Failing, "", ms(0)},
		"stopped by another":   {[]play.Fact{run, play.Vertex{Digest: "a", Started: ms(1), Completed: ms(2), Error: "context canceled"}, play.Finished{Outcome: play.Failed, Vertex: "z"}}, view.Skipped, "The build failed while it ran.", ms(1)},
		"done, then stopped": {[]play.Fact{run, play.Vertex{Digest: "a", Started: ms(1), Completed: ms(2), Cached: true}, play.Vertex{Digest: "a", Started: ms(5), Completed: ms(6), Error: "context canceled: context canceled"}},
			view.Reused, "", ms(2)},
		"cancelled while":  {[]play.Fact{run, play.Vertex{Digest: "a", Started: ms(1)}, play.Finished{Outcome: play.Cancelled}}, view.Skipped, "The build was cancelled while it ran.", ms(19)},
		"cancelled before": {[]play.Fact{run, play.Finished{Outcome: play.Cancelled}}, view.Skipped, "The build was cancelled before it.", ms(0)},
		"limit before":     {[]play.Fact{run, play.Finished{Outcome: play.LimitHit}}, view.Skipped, "The build reached a limit before it.", ms(0)},
		"our fault before": {[]play.Fact{run, play.Finished{Outcome: play.Broken}}, view.Skipped, "The build ended before it.", ms(0)},
		"not needed":       {[]play.Fact{unneeded}, view.Skipped, "The target does not need it.", ms(0)},
		"nothing reported": {[]play.Fact{solver(step(1, "RUN")), play.Finished{Outcome: play.OK}}, view.Skipped, "The build ended before it.", ms(0)},
		"second attempt": {[]play.Fact{run, play.Started{Attempt: 1}, play.Vertex{Digest: "a", Started: ms(1)}, play.Started{Attempt: 2}},
			view.Waiting, "", ms(0)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := job(tt.facts...).Timeline().Steps[0]
			if s.Status != tt.status || s.Reason != tt.reason || s.Busy != *tt.busy {
				t.Errorf("%s %q %v, want %s %q %v", s.Status, s.Reason, time.Duration(s.Busy), tt.status, tt.reason, time.Duration(*tt.busy))
			}
		})
	}
}

func TestIntervals(t *testing.T) {
	v := func(start, end *play.Millis) play.Vertex {
		return play.Vertex{Digest: "a", Started: start, Completed: end}
	}
	tests := map[string]struct {
		facts []play.Fact
		want  string
	}{
		"open":                   {[]play.Fact{v(ms(1), nil)}, "1-"},
		"closed":                 {[]play.Fact{v(ms(1), nil), v(ms(1), ms(3))}, "1-3"},
		"closed stays closed":    {[]play.Fact{v(ms(1), ms(3)), v(ms(1), nil)}, "1-3"},
		"apart":                  {[]play.Fact{v(ms(1), ms(3)), v(ms(5), ms(6))}, "1-3 5-6"},
		"out of order":           {[]play.Fact{v(ms(5), ms(6)), v(ms(1), ms(3))}, "1-3 5-6"},
		"overlapping":            {[]play.Fact{v(ms(1), ms(3)), v(ms(2), ms(6))}, "1-6"},
		"touching":               {[]play.Fact{v(ms(1), ms(3)), v(ms(3), ms(6))}, "1-6"},
		"inside":                 {[]play.Fact{v(ms(1), ms(9)), v(ms(3), ms(6))}, "1-9"},
		"ends what was open":     {[]play.Fact{v(ms(1), nil), v(ms(5), ms(6))}, "1-6"},
		"ends before its start":  {[]play.Fact{v(ms(5), ms(1))}, "5-5"},
		"never begun":            {[]play.Fact{v(nil, ms(1))}, ""},
		"again, still going":     {[]play.Fact{v(ms(1), ms(3)), v(ms(5), nil)}, "1-3 5-"},
		"the end of the build":   {[]play.Fact{v(ms(1), nil), play.Finished{Outcome: play.Broken}}, "1-10"},
		"attempts don't add up":  {[]play.Fact{play.Started{Attempt: 1}, v(ms(1), ms(3)), play.Started{Attempt: 2}, v(ms(40), ms(50))}, "40-50"},
		"one attempt said twice": {[]play.Fact{play.Started{Attempt: 1}, v(ms(1), ms(3)), play.Started{Attempt: 1}}, "1-3"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			for _, i := range job(tt.facts...).Timeline().Others[0].Intervals {
				if got != "" {
					got += " "
				}
				got += fmt.Sprintf("%d-", time.Duration(i.Start).Milliseconds())
				if i.End != nil {
					got += fmt.Sprint(time.Duration(*i.End).Milliseconds())
				}
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// A vertex that two steps share is told of in both; its lines stand at the first.
func TestSharedVertex(t *testing.T) {
	j := job(solver(step(1, "RUN", "a"), step(2, "RUN", "a")), play.Output{Vertex: "a", Stream: 1, Data: "x\n"})
	if c := j.Changed(1); fmt.Sprint(c.Steps) != "[1 2]" || c.Others || c.Head || c.Lines[0].Step != 1 {
		t.Errorf("%+v", c)
	}
	if len(j.StepLines(1, 0)) != 1 || len(j.StepLines(2, 1)) != 1 || len(j.StepLines(0, 0)) != 0 {
		t.Error("lines of the steps")
	}
}

// What was told of a vertex before the solver's plan joins its step afterwards.
func TestLinesJoinLater(t *testing.T) {
	j := job(play.Output{Vertex: "a", Stream: 1, Data: "x\n"}, play.Diagnosed{Diagnostic: play.Diagnostic{Rule: "A"}},
		play.Diagnosed{Diagnostic: play.Diagnostic{Rule: "A"}}, play.Requested{Vertex: "a"}, solver(step(1, "ENV"), step(2, "RUN", "a")))
	now := j.Timeline()
	if len(now.Others) != 0 || now.Steps[1].Lines != 1 || len(now.Steps[1].Requests) != 1 || len(now.Findings) != 1 {
		t.Errorf("%+v", now)
	}
	if c := j.Changed(4); len(c.Lines) != 1 || c.Lines[0].Step != 2 {
		t.Errorf("%+v", c)
	}
}

func TestTook(t *testing.T) {
	for m, want := range map[play.Millis]string{
		-1: "0 ms", *ms(45): "45 ms", *ms(100): "0.1 s", *ms(6149): "6.1 s", *ms(59_940): "59.9 s",
		*ms(59_960): "1 min 0 s", *ms(125_400): "2 min 5 s", *ms(3_600_000): "1 h 0 min",
	} {
		if got := view.Took(m); got != want {
			t.Errorf("Took(%v) = %q, want %q", time.Duration(m), got, want)
		}
	}
}
