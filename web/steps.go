package web

import (
	"fmt"
	"slices"
	"strings"

	"slipway/server/explain"
	"slipway/server/play"
	"slipway/server/view"
)

// step is one step as it is drawn.
type step struct {
	explain.Step
	build string // ID, or ""
	seen  *view.Step
	now   play.Millis
	lines []view.Line
	heads bool // whether the heading of its stage stands above it
}

func stepOf(build string, s explain.Step, seen *view.Step, now play.Millis) step {
	return step{Step: s, build: build, seen: seen, now: now}
}

// steps is the list as it is drawn.
type steps struct {
	build string
	list  []step
}

func stepsOf(b Build) steps {
	out := steps{build: b.Job.ID}
	seen := map[int]*view.Step{}
	if b.Timeline != nil {
		for i := range b.Timeline.Steps {
			seen[b.Timeline.Steps[i].N] = &b.Timeline.Steps[i]
		}
	}
	lines := b.StepLines
	if lines == nil {
		lines = map[int][]view.Line{}
		for _, l := range b.Lines {
			lines[l.Step] = append(lines[l.Step], l)
		}
	}
	for _, s := range b.Steps {
		st := stepOf(b.Job.ID, s, seen[s.N], b.elapsed())
		st.lines = last(lines[s.N], StepLines)
		out.list = append(out.list, st)
	}
	out.head()
	return out
}

// head puts the stages' headings above their first steps, if there are stages to tell apart.
func (s steps) head() {
	var firsts []int
	stage := -1
	for i, st := range s.list {
		if st.Stage > stage {
			stage = st.Stage
			firsts = append(firsts, i)
		}
	}
	for _, i := range firsts {
		s.list[i].heads = len(firsts) > 1 || s.list[i].StageName != ""
	}
}

func last[T any](s []T, n int) []T { return s[max(0, len(s)-n):] }

// elapsed is the time since the job was created, at the moment of drawing.
func (b Build) elapsed() play.Millis {
	if b.Job.Created.IsZero() || b.Now.IsZero() {
		return 0
	}
	return play.Millis(b.Now.Sub(b.Job.Created))
}

// color is the class that gives step n its colour: hue-1 to hue-8, then again.
func color(n int) string { return fmt.Sprintf("hue-%d", (max(n, 1)-1)%8+1) }

func (s step) id() string { return fmt.Sprintf("step-%d", s.N) }

func (s step) status() view.Status {
	switch {
	case s.Build != nil:
		return s.Build.Status
	case s.seen != nil:
		return s.seen.Status
	}
	return ""
}

// word is the status as people read it.
func (s step) word() string {
	switch st := s.status(); st {
	case "":
		if !s.Needed {
			return "not needed"
		}
		return ""
	case view.Skipped:
		if s.stopped() {
			return "stopped"
		}
		return string(st)
	default:
		return string(st)
	}
}

// stopped reports whether the end of the build came while the step ran.
func (s step) stopped() bool {
	return s.seen != nil && s.status() == view.Skipped && s.seen.Start != nil
}

func (s step) icon() string {
	if s.stopped() {
		return "stop"
	}
	return string(s.status())
}

// took is how long the step ran, or "".
func (s step) took() string {
	switch {
	case s.status() == view.Running, s.status() == view.Waiting, s.status() == view.Reused, s.status() == view.Skipped && !s.stopped():
		return ""
	case s.Build != nil && s.Build.Duration != nil && *s.Build.Duration >= 1e6:
		return span(*s.Build.Duration)
	case s.seen != nil && s.seen.Busy >= 1e6:
		return span(s.seen.Busy)
	}
	return ""
}

// runs is how many milliseconds a running step has run by now, for a clock that the page lets tick.
func (s step) runs() (ms int64, ok bool) {
	if s.seen == nil || s.status() != view.Running || s.seen.Start == nil {
		return 0, false
	}
	return int64(max(s.now-*s.seen.Start, 0)) / 1e6, true
}

// adds is what the step added to the image, or "".
func (s step) adds() string {
	switch {
	case s.Build != nil && s.Build.Added != nil && s.Build.Files != nil && *s.Build.Files > 0:
		return size(*s.Build.Added)
	case s.seen != nil && s.seen.Layer != nil && s.seen.Layer.Files > 0:
		return size(s.seen.Layer.Unpacked)
	}
	return ""
}

// transfers are the progress records that say something while the step runs.
func (s step) transfers() []play.Progress {
	if s.seen == nil || s.status() != view.Running {
		return nil
	}
	var out []play.Progress
	for _, v := range s.seen.Vertices {
		for _, p := range v.Progress {
			if !p.Completed && (p.Total > 0 || p.Current > 0) {
				out = append(out, p)
			}
		}
	}
	return last(out, 6)
}

func (s step) reason() string {
	if s.seen != nil {
		return s.seen.Reason
	}
	return ""
}

func (s step) failure() *explain.Failure {
	if s.Build == nil {
		return nil
	}
	return s.Build.Failure
}

func (s step) lineCount() int {
	switch {
	case s.seen != nil:
		return s.seen.Lines
	case s.Build != nil:
		return s.Build.Lines
	}
	return 0
}

func (s step) requests() []play.Requested {
	switch {
	case s.Build != nil && len(s.Build.Requests) > 0:
		return s.Build.Requests
	case s.seen != nil:
		return s.seen.Requests
	}
	return nil
}

// where is the lines of the file that the step stands on: "line 4" or "lines 4–6".
func (s step) where() string {
	a, b := s.Range.Start.Line, s.Range.End.Line
	if b > a && s.Range.End.Column == 1 {
		b--
	}
	if b <= a {
		return fmt.Sprintf("line %d", a)
	}
	return fmt.Sprintf("lines %d–%d", a, b)
}

// rest is the text of the instruction after its name.
func (s step) rest() string {
	if len(s.Text) >= len(s.Instruction) && strings.EqualFold(s.Text[:len(s.Instruction)], s.Instruction) {
		return visible(s.Text[len(s.Instruction):])
	}
	return " " + visible(s.Text)
}

// settings are the rows of the state after the step: what holds, and whether this step changed it.
func (s step) settings() []setting {
	a, b := s.After, s.Before
	fresh := s.Instruction == "FROM"
	var out []setting
	add := func(name, now, was string) {
		if now != "" {
			out = append(out, setting{name: name, value: now, changed: !fresh && now != was})
		}
	}
	add("user", a.User, b.User)
	add("working directory", a.WorkingDir, b.WorkingDir)
	add("shell", words(a.Shell), words(b.Shell))
	add("entrypoint", words(a.Entrypoint), words(b.Entrypoint))
	add("command", words(a.Cmd), words(b.Cmd))
	add("exposed ports", strings.Join(a.Exposed, ", "), strings.Join(b.Exposed, ", "))
	add("volumes", strings.Join(a.Volumes, ", "), strings.Join(b.Volumes, ", "))
	add("stop signal", a.StopSignal, b.StopSignal)
	add("health check", a.Health, b.Health)
	return out
}

// setting is one field of a state.
type setting struct {
	name, value string
	changed     bool
}

func words(list []string) string {
	if len(list) == 0 {
		return ""
	}
	quoted := make([]string, len(list))
	for i, w := range list {
		quoted[i] = fmt.Sprintf("%q", w)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// stage is what people call the step's stage: its name, or its number.
func (s step) stage() string {
	if s.StageName != "" {
		return s.StageName
	}
	return fmt.Sprint(s.Stage)
}

func severityIcon(s play.Severity) string {
	switch s {
	case play.SeverityError:
		return "error"
	case play.SeverityWarning:
		return "warning"
	}
	return "info"
}

// gravest is the gravest severity of findings, of which there is at least one.
func gravest(found []play.Diagnostic) play.Severity {
	for _, s := range []play.Severity{play.SeverityError, play.SeverityWarning} {
		if slices.ContainsFunc(found, func(d play.Diagnostic) bool { return d.Severity == s }) {
			return s
		}
	}
	return play.SeverityInfo
}

// list joins words with commas.
func list(of []string) string { return strings.Join(of, ", ") }

// lastLine is the newest line of output, which a running step shows.
func (s step) lastLine() string {
	if len(s.lines) == 0 {
		return ""
	}
	return clip(s.lines[len(s.lines)-1].Text, 200)
}

// sentences writes them one after the other.
func sentences(list []explain.Sentence) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = s.Text
	}
	return strings.Join(texts, " ")
}

// showsLog reports whether the step's log says more than what stands with its failure.
func (s step) showsLog() bool {
	n := max(s.lineCount(), len(s.lines))
	if f := s.failure(); f != nil {
		return n > len(f.Tail)
	}
	return n > 0
}

// afterWords is the heading over the state after the step.
func (s step) afterWords() string {
	switch s.status() {
	case view.Failing, view.Skipped:
		return "What would hold after this step"
	}
	return "What holds after this step"
}

// tail is the last lines of output before a failure.
func tail(f explain.Failure) string {
	lines := make([]string, len(f.Tail))
	for i, l := range f.Tail {
		lines[i] = clip(l, 2000)
	}
	return strings.Join(lines, "\n")
}

// base says where the image of a FROM came from, once that is known.
func (s step) base() string {
	if s.Build == nil || s.Build.Base == nil || s.Build.Base.Stage != nil {
		return ""
	}
	switch b := s.Build.Base; b.Origin {
	case "":
		return ""
	case play.OriginCatalogue:
		return "A stand-in from this server's catalogue, not the official image."
	default:
		return "From " + b.Origin + "."
	}
}

// link is where the step stands for ever, or here if it was not built.
func (s step) link() string {
	if s.build == "" {
		return "#" + s.id()
	}
	return "/b/" + s.build + "#" + s.id()
}
