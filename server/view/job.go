package view

import (
	"slices"

	"slipway/server/play"
)

// Job is the fold of one job's events: its timeline and its console. The zero value is the fold of no events.
// It is not safe for concurrent use; what it returns is, and stays as it is while the fold goes on.
type Job struct {
	seq, head, others int64 // of the last event; of the last that changed the head, and the others
	whole             int64 // of the last event that may have changed every step
	at                play.Millis
	ahead             int
	started           *play.Started
	startedAt         play.Millis
	plan              play.Planned
	planned           bool
	findings          []play.Diagnostic
	found             map[finding]bool
	requests          []play.Requested
	exported          *play.Exported
	truncated         []play.Truncated
	finished          *play.Finished
	finishedAt        play.Millis

	vertices []*vertex // in the order in which they were first heard of
	byDigest map[string]*vertex
	console  console
	timeline *Timeline // of seq, or nil
}

// finding is what makes two diagnostics one: a later attempt reports them again.
type finding struct {
	rule, file, message string
	at                  play.Range
}

// vertex is what is known of one vertex.
type vertex struct {
	play.Vertex
	step      int   // the first step that it belongs to, or 0
	seq       int64 // of the last event that changed it
	at        play.Millis
	intervals []Interval
	progress  []play.Progress
	transfers map[string]int // id → index into progress
	requests  []play.Requested
	truncated []play.Truncated
	screens   map[int]*screen // by stream
	lines     []*line
}

// Apply folds in one event and reports whether it changed anything that people see. An event that was seen
// already, or that comes after the end, is ignored; one of an unknown kind only moves the cursor.
func (j *Job) Apply(e play.Event) bool {
	if e.Seq <= j.seq || j.finished != nil {
		return false
	}
	j.seq, j.at = e.Seq, max(j.at, play.Millis(e.At))
	j.timeline = nil
	switch f := e.Fact.(type) {
	case play.Queued:
		j.ahead = f.Ahead
		j.head = e.Seq
	case play.Started:
		j.start(f)
	case play.Planned:
		j.replan(f)
	case play.Diagnosed:
		return j.find(f.Diagnostic)
	case play.Vertex:
		v := j.vertex(f.Digest)
		v.snapshot(f)
		j.changed(v)
	case play.Progress:
		v := j.vertex(f.Vertex)
		v.transfer(f)
		j.changed(v)
	case play.Output:
		v := j.vertex(f.Vertex)
		j.screen(v, f.Stream).write(f.Data)
		j.changed(v)
	case play.Requested:
		if f.Vertex == "" {
			j.requests = append(j.requests, f)
			j.head = e.Seq
			break
		}
		v := j.vertex(f.Vertex)
		v.requests = append(v.requests, f)
		j.changed(v)
	case play.Exported:
		j.exported = &f
		j.head, j.whole = e.Seq, e.Seq
	case play.Truncated:
		if f.Vertex == "" {
			j.truncated = append(j.truncated, f)
			j.head = e.Seq
			break
		}
		v := j.vertex(f.Vertex)
		v.truncated = append(v.truncated, f)
		j.changed(v)
	case play.Finished:
		j.finish(f)
	default:
		return false
	}
	return true
}

// start begins an attempt. What vertices did in an earlier one, whose worker is gone, counts no more; what
// they wrote stays.
func (j *Job) start(f play.Started) {
	again := j.started != nil && j.started.Attempt != f.Attempt
	j.started, j.startedAt = &f, j.at
	j.head, j.whole = j.seq, j.seq
	if !again {
		return
	}
	for _, v := range j.vertices {
		v.Started, v.Completed, v.Cached, v.Error = nil, nil, false, ""
		v.intervals, v.progress, v.transfers, v.requests, v.truncated = nil, nil, nil, nil, nil
		v.close()
		j.changed(v)
	}
	j.requests, j.truncated, j.exported = nil, nil, nil
}

func (j *Job) replan(f play.Planned) {
	j.plan, j.planned = f, true
	j.head, j.whole, j.others = j.seq, j.seq, j.seq
	step := make(map[string]int)
	for _, s := range f.Steps {
		for _, d := range s.Vertices {
			if step[d] == 0 {
				step[d] = s.N
				j.vertex(d)
			}
		}
	}
	for _, v := range j.vertices {
		if v.step == step[v.Digest] {
			continue
		}
		v.step = step[v.Digest]
		for _, l := range v.lines {
			j.console.touch(l, j.seq)
		}
	}
}

func (j *Job) find(d play.Diagnostic) bool {
	at := finding{d.Rule, d.File, d.Message, d.Range}
	if j.found[at] {
		return false
	}
	if j.found == nil {
		j.found = make(map[finding]bool)
	}
	j.found[at] = true
	j.findings = append(j.findings, d)
	j.head = j.seq
	return true
}

func (j *Job) finish(f play.Finished) {
	j.finished, j.finishedAt = &f, j.at
	j.head, j.whole, j.others = j.seq, j.seq, j.seq
	for _, v := range j.vertices {
		v.close()
	}
}

// vertex is the vertex of a digest, new if it was not heard of.
func (j *Job) vertex(digest string) *vertex {
	if v, ok := j.byDigest[digest]; ok {
		return v
	}
	v := &vertex{Vertex: play.Vertex{Digest: digest}}
	if j.byDigest == nil {
		j.byDigest = make(map[string]*vertex)
	}
	j.byDigest[digest] = v
	j.vertices = append(j.vertices, v)
	return v
}

func (j *Job) changed(v *vertex) {
	v.seq, v.at = j.seq, j.at
	if v.step == 0 {
		j.others = j.seq
	}
}

func (j *Job) screen(v *vertex, stream int) *screen {
	if s, ok := v.screens[stream]; ok {
		return s
	}
	if v.screens == nil {
		v.screens = make(map[int]*screen)
	}
	s := newScreen(
		func(r *row) { j.console.begin(v, stream, j.at, j.seq, r) },
		func(r *row) { j.console.touch(r.line, j.seq) })
	v.screens[stream] = s
	return s
}

// snapshot takes the vertex's state as it is now. Its times add to those it had: it may run more than once. What
// was done once stays done when the end of the build stops it from being done again.
func (v *vertex) snapshot(f play.Vertex) {
	if f.Name == "" {
		f.Name = v.Name
	}
	if stopped(f.Error) && v.Completed != nil && v.Error == "" {
		f.Error, f.Cached = "", v.Cached
	}
	v.Vertex = f
	if f.Started == nil {
		return
	}
	now := Interval{Start: *f.Started}
	i, again := slices.BinarySearchFunc(v.intervals, now.Start, func(i Interval, t play.Millis) int {
		return int(max(-1, min(1, i.Start-t)))
	})
	if !again {
		v.intervals = slices.Insert(v.intervals, i, now)
	}
	if f.Completed == nil {
		return
	}
	for k := range v.intervals[:i+1] { // what ran before this end has ended by it
		if old := &v.intervals[k]; old.End == nil || k == i && *old.End < *f.Completed {
			old.End = new(max(old.Start, *f.Completed))
		}
	}
}

func (v *vertex) transfer(f play.Progress) {
	if i, ok := v.transfers[f.ID]; ok {
		v.progress[i] = f
		return
	}
	if v.transfers == nil {
		v.transfers = make(map[string]int)
	}
	v.transfers[f.ID] = len(v.progress)
	v.progress = append(v.progress, f)
}

// close makes the vertex's lines final.
func (v *vertex) close() {
	streams := make([]int, 0, len(v.screens))
	for n := range v.screens {
		streams = append(streams, n)
	}
	slices.Sort(streams)
	for _, n := range streams {
		v.screens[n].close()
	}
}

// Changed says what to draw again for a reader who has seen everything up to the event since. A reader who
// has seen nothing gives 0.
func (j *Job) Changed(since int64) Changes {
	c := Changes{Seq: j.seq, Others: j.others > since, Head: j.head > since}
	for _, s := range j.plan.Steps {
		if j.whole > since || slices.ContainsFunc(s.Vertices, func(d string) bool { return j.byDigest[d].seq > since }) {
			c.Steps = append(c.Steps, s.N)
		}
	}
	c.Lines = show(j.console.since(since))
	return c
}

// Lines are the lines after the one numbered after, at most limit of them, or all if limit is 0.
func (j *Job) Lines(after, limit int) []Line {
	lines := j.console.lines[min(max(0, after), len(j.console.lines)):]
	if limit > 0 {
		lines = lines[:min(limit, len(lines))]
	}
	return show(lines)
}

// StepLines are the last lines of a step's output, at most limit of them, or all if limit is 0. Step 0 is what
// belongs to no step. A vertex that two steps share is in both.
func (j *Job) StepLines(n, limit int) []Line {
	var out []*line
	if n == 0 {
		for _, v := range j.vertices {
			if v.step == 0 {
				out = append(out, v.lines...)
			}
		}
	}
	for _, s := range j.plan.Steps {
		if s.N == n {
			for _, d := range s.Vertices {
				out = append(out, j.byDigest[d].lines...)
			}
		}
	}
	slices.SortFunc(out, func(a, b *line) int { return a.n - b.n })
	if limit > 0 {
		out = out[max(0, len(out)-limit):]
	}
	return show(out)
}

// Fold is the fold of a whole log.
func Fold(events []play.Event) *Job {
	j := new(Job)
	for _, e := range events {
		j.Apply(e)
	}
	return j
}

// Summarize is the summary of a log.
func Summarize(events []play.Event) play.Summary { return Fold(events).Summary() }

// Summary is what lists and badges show: the steps that the target needs, how many of them were reused, and
// the image.
func (j *Job) Summary() play.Summary {
	t := j.Timeline()
	var s play.Summary
	for _, step := range t.Steps {
		if step.Needed {
			s.Steps++
		}
		if step.Status == Reused {
			s.Cached++
		}
	}
	if t.Finished != nil {
		s.Message = t.Finished.Message
		if t.Started != nil {
			s.Duration = j.finishedAt - t.StartedAt
		}
	}
	if t.Exported != nil {
		s.Image, s.Digest, s.Size = t.Exported.Image, t.Exported.Digest, t.Exported.Size
	}
	return s
}
