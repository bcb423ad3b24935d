package web

import (
	"fmt"
	"strings"
	"time"

	"slipway/server/explain"
	"slipway/server/play"
	"slipway/server/view"
)

// state is the word that the page's styles and script know the build by.
func (b Build) state() string {
	t := b.timeline()
	switch {
	case t.Finished != nil:
		return string(t.Finished.Outcome)
	case b.Job.State == play.JobFinished && b.Job.Outcome != "":
		return string(b.Job.Outcome)
	case t.State == play.JobRunning || t.Started != nil:
		return "running"
	}
	return "queued"
}

func (b Build) timeline() view.Timeline {
	if b.Timeline == nil {
		return view.Timeline{}
	}
	return *b.Timeline
}

func (b Build) live() bool { s := b.state(); return s == "queued" || s == "running" }

func (b Build) url() string { return "/b/" + b.Job.ID }

// headline is the state in a few words.
func (b Build) headline() string {
	t := b.timeline()
	switch b.state() {
	case "queued":
		switch {
		case t.Ahead > 0:
			return fmt.Sprintf("In line, %s before this one", count(t.Ahead, "build"))
		}
		return "Waiting for a builder"
	case "running":
		if n := b.current(); n > 0 {
			return fmt.Sprintf("Building, step %d of %d", n, len(t.Steps))
		}
		return "Building"
	case "ok":
		return "Built"
	case "failed":
		if t.Finished != nil && t.Finished.Step > 0 {
			return fmt.Sprintf("Failed at step %d", t.Finished.Step)
		}
		return "Failed"
	case "limit":
		return "Stopped at a limit"
	case "cancelled":
		return "Cancelled"
	}
	return "Something broke on our side"
}

// current is the first step that runs, or 0.
func (b Build) current() int {
	for _, s := range b.timeline().Steps {
		if s.Status == view.Running {
			return s.N
		}
	}
	return 0
}

// facts are the short statements behind the headline of a finished build.
func (b Build) facts() []string {
	t := b.timeline()
	var out []string
	add := func(s string) { out = append(out, s) }
	var ran, reused, skipped, stopped int
	for _, s := range t.Steps {
		switch s.Status {
		case view.Ran:
			ran++
		case view.Reused:
			reused++
		case view.Skipped:
			if s.Start != nil {
				stopped++
			} else {
				skipped++
			}
		}
	}
	if n := len(t.Steps); n > 0 {
		add(count(n, "step"))
	}
	if reused > 0 {
		add(group(reused) + " reused")
	}
	if ran > 0 {
		add(group(ran) + " ran")
	}
	if stopped > 0 {
		add(group(stopped) + " stopped")
	}
	if skipped > 0 && !b.live() {
		add(group(skipped) + " skipped")
	}
	if !b.live() {
		if d := t.At - t.StartedAt; t.Started != nil && d > 0 {
			add(span(d))
		}
	}
	if t.Exported != nil && t.Exported.Size > 0 {
		add("image " + size(t.Exported.Size))
	}
	return out
}

// runs is how many milliseconds the build has run by now, and how many it may still run (-1: not known).
func (b Build) runs() (ms, left int64) {
	t := b.timeline()
	d := max(b.elapsed()-t.StartedAt, 0)
	left = -1
	if t.Started != nil && t.Started.Limit > 0 {
		left = int64(max(t.Started.Limit-d, 0)) / 1e6
	}
	return int64(d) / 1e6, left
}

// omitted is how many lines of the log stand before those that the page shows.
func (b Build) omitted() int {
	if shown := last(b.Lines, LogLines); len(shown) > 0 {
		return shown[0].N - 1
	}
	return 0
}

// chunks cuts lines into blocks that the browser may leave undrawn while they are out of sight.
func chunks(lines []view.Line) [][]view.Line {
	const rows = 100
	var out [][]view.Line
	for len(lines) > 0 {
		n := min(rows, len(lines))
		out = append(out, lines[:n])
		lines = lines[n:]
	}
	return out
}

// moment is an absolute time for people, with its zone.
func moment(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// name is what the page calls the build.
func (p BuildPage) name() string {
	if p.Snippet != nil && strings.TrimSpace(p.Snippet.Title) != "" {
		return p.Snippet.Title
	}
	return "Build " + p.Build.Job.ID
}

// options are the build's options that differ from the usual.
func (b Build) options() []string {
	r := b.Job.Build
	var out []string
	if r.Dockerfile != "" && r.Dockerfile != "Dockerfile" {
		out = append(out, "file "+r.Dockerfile)
	}
	if r.Target != "" {
		out = append(out, "target "+r.Target)
	}
	for _, line := range argLines(r.BuildArgs) {
		out = append(out, "argument "+line)
	}
	if r.Platform != "" {
		out = append(out, "platform "+r.Platform)
	}
	if r.NoCache {
		out = append(out, "without cache")
	}
	if r.Network == play.NetworkOff {
		out = append(out, "without network")
	}
	return out
}

// cuts says what was left out and how much, if that is known. Of several counts of the same the last has all.
func cuts(list []play.Truncated) []string {
	var out []string
	for i, t := range list {
		if i+1 < len(list) && t.Bytes > 0 && list[i+1].Vertex == t.Vertex && list[i+1].Bytes >= t.Bytes {
			continue
		}
		words := t.What
		if t.Bytes > 0 {
			words = fmt.Sprintf("%s: %s, %s.", strings.TrimSuffix(t.What, "."), count(int(t.Lines), "line"), size(t.Bytes))
		}
		out = append(out, words)
	}
	return out
}

// buildFlags are the options of a build as docker build takes them, with a space behind each.
func buildFlags(b *Build) string {
	if b == nil {
		return ""
	}
	r, flags := b.Job.Build, ""
	add := func(flag, value string) {
		if value != "" {
			flags += flag + " " + quoted(value) + " "
		}
	}
	if r.File() != "Dockerfile" {
		add("-f", r.Dockerfile)
	}
	add("--target", r.Target)
	for _, line := range argLines(r.BuildArgs) {
		add("--build-arg", line)
	}
	add("--platform", r.Platform)
	return flags
}

// quoted is a word for a shell.
func quoted(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:@") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func unpacked(layers []play.Layer) int64 {
	var n int64
	for _, l := range layers {
		n += l.Unpacked
	}
	return n
}

// holds is the size of a layer's files; a layer without any still has the end of an archive.
func holds(l play.Layer) string {
	if l.Files == 0 {
		return size(0)
	}
	return size(l.Unpacked)
}

// madeBy is the instruction that made a layer: the step's text, or what the base image's history says.
func (b Build) madeBy(l play.Layer) string {
	for _, s := range b.Steps {
		if s.N == l.Step && l.Step > 0 {
			return visible(s.Text)
		}
	}
	return visible(l.CreatedBy)
}

func orWords(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// busy is how long a vertex ran.
func busy(v view.Vertex) string {
	var sum play.Millis
	for _, i := range v.Intervals {
		if i.End != nil {
			sum += *i.End - i.Start
		}
	}
	if sum == 0 {
		return ""
	}
	return span(sum)
}

// stateIcon is the icon of a build's state.
func stateIcon(state string) string {
	switch state {
	case "ok":
		return "ran"
	case "queued":
		return "waiting"
	case "running":
		return "running"
	case "cancelled":
		return "stop"
	}
	return "failed"
}

// failedAt is where on the page the failure stands.
func (b Build) failedAt() string {
	if f := b.timeline().Finished; f != nil && f.Step > 0 && f.Step <= len(b.Steps) {
		return fmt.Sprintf("#step-%d", f.Step)
	}
	return "#steps"
}

// failure is what the failed step says, or nil if no step failed.
func (b Build) failure() *explain.Failure {
	for _, s := range b.Steps {
		if s.Build != nil && s.Build.Failure != nil {
			return s.Build.Failure
		}
	}
	return nil
}

// message is why the build did not end well, unless the failed step says just this.
func (b Build) message() string {
	end := b.timeline().Finished
	if end == nil || end.Outcome == play.OK {
		return ""
	}
	m := end.Message
	if end.Outcome == play.Cancelled && m == "The build was cancelled." { // the headline says so
		return ""
	}
	if f := b.failure(); f != nil && strings.HasPrefix(m, strings.TrimSuffix(f.Message, ".")) {
		return ""
	}
	return m
}

// hint is a likely next move after a failure, unless the failed step has one.
func (b Build) hint() string {
	end := b.timeline().Finished
	if f := b.failure(); end == nil || end.Outcome == play.OK || f != nil && f.Hint != "" {
		return ""
	}
	return end.Hint
}

// engine is what built: versions, sandbox, attempt.
func (b Build) engine() string {
	s := b.timeline().Started
	words := []string{"BuildKit " + s.BuildKit, "Dockerfile frontend " + s.Frontend, "sandbox " + s.Sandbox}
	if s.Attempt > 1 {
		words = append(words, fmt.Sprintf("attempt %d", s.Attempt))
	}
	return strings.TrimSpace(strings.Join(words, ", ") + ". " + b.timeline().Plan.Syntax)
}
