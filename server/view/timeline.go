package view

import (
	"slices"
	"strings"

	"slipway/server/play"
)

// Timeline is the job so far. It is the reader's own: later events don't change it.
func (j *Job) Timeline() *Timeline {
	if j.timeline != nil {
		return j.timeline
	}
	t := &Timeline{
		Seq: j.seq, At: j.at, State: play.JobQueued, Ahead: j.ahead,
		Started: j.started, StartedAt: j.startedAt, Plan: j.plan,
		Findings: slices.Clip(j.findings), Requests: slices.Clip(j.requests), Truncated: slices.Clip(j.truncated),
		Exported: j.exported, Finished: j.finished,
	}
	switch {
	case j.finished != nil:
		t.State = play.JobFinished
	case j.started != nil:
		t.State = play.JobRunning
	}
	layers := make(map[int]*play.Layer)
	if j.exported != nil {
		for i := range j.exported.Layers {
			if l := &j.exported.Layers[i]; l.Step != 0 {
				layers[l.Step] = l
			}
		}
	}
	for _, s := range j.plan.Steps {
		step := j.step(s)
		step.Layer = layers[s.N]
		t.Steps = append(t.Steps, step)
	}
	for _, v := range j.vertices {
		if v.step == 0 {
			t.Others = append(t.Others, j.state(v))
		}
	}
	j.timeline = t
	return t
}

// step joins a step to its vertices.
func (j *Job) step(p play.Step) Step {
	s := Step{Step: p}
	var all []Interval
	for _, d := range p.Vertices {
		v := j.byDigest[d]
		state := j.state(v)
		s.Vertices = append(s.Vertices, state)
		s.Requests = append(s.Requests, v.requests...)
		s.Truncated = append(s.Truncated, v.truncated...)
		s.Lines += len(v.lines)
		all = append(all, state.Intervals...)
		if s.Error == "" && state.Status == Failing {
			s.Error = state.Error
		}
		if s.Error == "" && j.finished != nil && j.finished.Vertex == d {
			s.Error = j.finished.Message
		}
		if n := len(all); n > 0 && all[n-1].End == nil { // counts up to its own last event
			all[n-1].End = new(max(all[n-1].Start, v.at))
		}
	}
	all = merge(all)
	for _, i := range all {
		s.Busy += *i.End - i.Start
	}
	s.Status, s.Reason = j.status(s)
	if len(all) > 0 {
		s.Start = &all[0].Start
		if s.Status != Running {
			s.End = all[len(all)-1].End
		}
	}
	if s.Status == Failing && s.Error == "" && j.finished != nil {
		s.Error = j.finished.Message
	}
	return s
}

// status follows from the step's vertices, the plan and the end. A step without vertices only sets metadata,
// which the solver's plan holds already.
func (j *Job) status(s Step) (Status, string) {
	count := make(map[Status]int)
	for _, v := range s.Vertices {
		count[v.Status]++
	}
	end := j.finished
	switch {
	case count[Failing] > 0, end != nil && end.Step == s.N && failed(end.Outcome):
		return Failing, ""
	case !s.Needed:
		return Skipped, "The target does not need it."
	case len(s.Vertices) == 0 && j.plan.Solver && !works(s.Instruction):
		return Applied, ""
	case count[Running] > 0:
		return Running, ""
	case len(s.Vertices) > 0 && count[Ran]+count[Reused] == len(s.Vertices):
		if count[Ran] > 0 && !(s.Instruction == "FROM" && !fetched(s)) {
			return Ran, ""
		}
		return Reused, ""
	case end == nil:
		return Waiting, ""
	case end.Outcome == play.OK && len(s.Vertices) > 0:
		return Reused, "" // a later step's result was in the cache, so its own was not even looked for
	case begun(s):
		return Skipped, ended(end.Outcome) + " while it ran."
	}
	return Skipped, ended(end.Outcome) + " before it."
}

// works reports whether an instruction always does something of its own in a build.
func works(instruction string) bool {
	return instruction == "RUN" || instruction == "COPY" || instruction == "ADD"
}

// fetched reports whether bytes of a base image moved. BuildKit reports the look-up of the name as "resolve …".
func fetched(s Step) bool {
	return slices.ContainsFunc(s.Vertices, func(v Vertex) bool {
		return slices.ContainsFunc(v.Progress, func(p play.Progress) bool { return !strings.HasPrefix(p.ID, "resolve ") })
	})
}

func begun(s Step) bool {
	return slices.ContainsFunc(s.Vertices, func(v Vertex) bool { return len(v.Intervals) > 0 })
}

func failed(o play.Outcome) bool { return o == play.Failed || o == play.LimitHit }

func ended(o play.Outcome) string {
	switch o {
	case play.Failed:
		return "The build failed"
	case play.LimitHit:
		return "The build reached a limit"
	case play.Cancelled:
		return "The build was cancelled"
	}
	return "The build ended"
}

// state is a vertex as people see it.
func (j *Job) state(v *vertex) Vertex {
	s := Vertex{
		Digest: v.Digest, Name: v.Name, Status: Waiting, Error: v.Error,
		Intervals: merge(v.intervals), Progress: slices.Clone(v.progress), Lines: len(v.lines),
	}
	end := j.finished
	open := len(s.Intervals) > 0 && s.Intervals[len(s.Intervals)-1].End == nil
	switch {
	case end != nil && end.Vertex == v.Digest && failed(end.Outcome):
		s.Status = Failing
	case v.Error != "" && !stopped(v.Error):
		s.Status = Failing
	case v.Error != "":
		s.Status = Skipped
	case v.Cached:
		s.Status = Reused
	case v.Completed != nil:
		s.Status = Ran
	case open && end == nil:
		s.Status = Running
	case end != nil && end.Outcome == play.OK:
		s.Status = Reused
	case end != nil:
		s.Status = Skipped
	}
	if open && end != nil {
		last := &s.Intervals[len(s.Intervals)-1]
		last.End = new(max(last.Start, j.finishedAt))
	}
	return s
}

// stopped reports whether BuildKit gave up the vertex because the build ended, by its own words for that.
func stopped(message string) bool { return strings.HasSuffix(message, "context canceled") }

// merge is the union of intervals: disjoint, in order, with at most the last one open.
func merge(in []Interval) []Interval {
	sorted := slices.Clone(in)
	slices.SortFunc(sorted, func(a, b Interval) int { return int(max(-1, min(1, a.Start-b.Start))) })
	var out []Interval
	for _, i := range sorted {
		if len(out) == 0 || out[len(out)-1].End != nil && *out[len(out)-1].End < i.Start {
			out = append(out, i)
			continue
		}
		last := &out[len(out)-1]
		if last.End != nil && (i.End == nil || *i.End > *last.End) {
			last.End = i.End
		}
	}
	return out
}
