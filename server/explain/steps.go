package explain

import (
	"fmt"
	"slices"
	"strings"

	"slipway/server/dockerfile"
	"slipway/server/play"
)

// reference is where the facts about instructions come from.
const reference = "https://docs.docker.com/reference/dockerfile/"

// reader walks an outline.
type reader struct {
	o      *dockerfile.Outline
	opt    Options
	plan   play.Planned
	global state   // before the first FROM
	ends   []state // of the stages so far
}

// Steps annotates every instruction of an outline, in file order. The outline must have passed
// dockerfile.Preflight, which bounds what its variables can expand to.
func Steps(o *dockerfile.Outline, opt Options) []Step {
	plan, err := o.Plan(opt.Target, opt.BuildArgs)
	if err != nil { // there is no such target; that is said elsewhere
		plan, _ = o.Plan("", opt.BuildArgs)
	}
	r := &reader{o: o, opt: opt, plan: plan, global: state{State: State{Stage: -1, Shell: []string{}}}}
	steps := make([]Step, 0, len(o.Instructions))
	now := r.global
	for i := range o.Instructions {
		in := &o.Instructions[i]
		before := now
		if in.Stage < 0 {
			now = r.apply(now, in)
			r.global = now
		} else {
			if in.Name == "FROM" {
				before = r.global
				now = r.begin(in)
			} else {
				now = r.apply(now, in)
			}
			r.end(in.Stage, now)
		}
		steps = append(steps, Step{
			N: in.N, Stage: in.Stage, StageName: r.stageName(in.Stage), Instruction: in.Name, Text: in.Text,
			Source: r.source(in), Range: in.Range, Needed: i >= len(plan.Steps) || plan.Steps[i].Needed,
			What: r.what(in, before), Why: r.why(in, before, now), URL: r.url(in.Name),
			Before: before.shown(), After: now.shown(),
		})
	}
	attach(steps, o.Problems)
	attach(steps, opt.Findings)
	if opt.Job != nil {
		return Build(steps, opt.Job, opt.Files)
	}
	return steps
}

// begin is the state after a FROM.
func (r *reader) begin(in *dockerfile.Instruction) state {
	stage := r.plan.Stages[in.Stage]
	var s state
	switch base := stage.Base; {
	case base.Stage != nil && *base.Stage < len(r.ends):
		parent := r.ends[*base.Stage]
		s = state{State: parent.shown(), unset: slices.Clip(parent.unset)}
		s.Base = parent.Base
		for i := range parent.onBuild {
			trigger := parent.onBuild[i]
			trigger.N = in.N
			s = r.apply(s, &trigger)
		}
	case base.Ref == "scratch":
		s.State = scratch()
	default:
		s.State = unknown(base.Ref)
		if r.opt.Base != nil {
			if c, ok := r.opt.Base(base.Ref); ok {
				s.State = based(base.Ref, c)
			}
		}
	}
	s.Stage = in.Stage
	return s
}

func (r *reader) end(stage int, s state) {
	for len(r.ends) <= stage {
		r.ends = append(r.ends, state{})
	}
	r.ends[stage] = s
}

func (r *reader) stageName(i int) string {
	if i < 0 || i >= len(r.o.Stages) {
		return ""
	}
	return r.o.Stages[i].Name
}

// called is how people speak of a stage.
func (r *reader) called(i int) string {
	s := r.o.Stages[i]
	if s.Name != "" {
		return fmt.Sprintf("the stage %s (line %d)", s.Name, s.Range.Start.Line)
	}
	return fmt.Sprintf("stage %d (line %d)", i, s.Range.Start.Line)
}

// source is the lines of an instruction as they are written.
func (r *reader) source(in *dockerfile.Instruction) string {
	from, to := r.o.Offset(in.Range.Start), r.o.Offset(in.Range.End)
	return strings.ToValidUTF8(string(r.o.Source[from:max(from, to)]), "\ufffd")
}

func (r *reader) url(instruction string) string {
	switch instruction {
	case "FROM", "RUN", "CMD", "LABEL", "MAINTAINER", "EXPOSE", "ENV", "ADD", "COPY", "ENTRYPOINT", "VOLUME", "USER",
		"WORKDIR", "ARG", "ONBUILD", "STOPSIGNAL", "HEALTHCHECK", "SHELL":
		if instruction == "MAINTAINER" {
			return reference + "#maintainer-deprecated"
		}
		return reference + "#" + strings.ToLower(instruction)
	}
	return reference + "#overview"
}

// attach puts findings at the steps on whose lines they begin.
func attach(steps []Step, findings []play.Diagnostic) {
	for _, d := range findings {
		line := d.Range.Start.Line
		i, found := slices.BinarySearchFunc(steps, line, func(s Step, line int) int {
			switch {
			case s.Range.Start.Line > line:
				return 1
			case s.Range.End.Line < line:
				return -1
			}
			return 0
		})
		if !found || slices.ContainsFunc(steps[i].Findings, func(o play.Diagnostic) bool {
			return o.Rule == d.Rule && o.Range == d.Range
		}) {
			continue
		}
		steps[i].Findings = append(steps[i].Findings, d)
	}
}

// say makes a sentence.
func say(format string, args ...any) Sentence { return Sentence{Text: fmt.Sprintf(format, args...)} }

// about makes a sentence about a range of the file.
func about(at play.Range, format string, args ...any) Sentence {
	s := say(format, args...)
	if at.Start.Line > 0 {
		s.About = &at
	}
	return s
}

// list joins words as people do: "a", "a and b", "a, b and c".
func list(words []string) string {
	switch n := len(words); n {
	case 0:
		return ""
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
}

// some is list with at most n words, and how many more there are.
func some(words []string, n int) string {
	if len(words) <= n {
		return list(words)
	}
	return fmt.Sprintf("%s and %d more", strings.Join(words[:n], ", "), len(words)-n)
}

// plural is "1 file" or "2 files".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
