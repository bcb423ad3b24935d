package dockerfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"slipway/server/play"

	"github.com/moby/buildkit/frontend/dockerfile/command"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/util/suggest"
)

// newInstruction appends the instruction of some lines and gives it back; it stays valid until the next one.
func (o *Outline) newInstruction(text joined, line, end int) *Instruction {
	in := o.parts(text)
	in.N = len(o.Instructions) + 1
	in.Range = play.Range{Start: o.lines.trimmed(line).Start, End: o.lines.trimmed(end).End}
	if head := o.head(&in).End; in.Range.End.Before(head) {
		in.Range.End = head
	}
	o.Instructions = append(o.Instructions, in)
	return &o.Instructions[len(o.Instructions)-1]
}

// arrange makes the stages, and says what is wrong with the order of things.
func (o *Outline) arrange() {
	for i := range o.Instructions {
		in := &o.Instructions[i]
		if in.Name == "FROM" {
			o.Stages = append(o.Stages, o.stage(in, i))
		}
		in.Stage = len(o.Stages) - 1
		if in.OnBuild != nil {
			in.OnBuild.Stage = in.Stage
		}
		if in.Stage >= 0 {
			s := &o.Stages[in.Stage]
			s.Steps = append(s.Steps, i)
			s.Range.End = in.Range.End
		}
	}
	o.early()
	names := newResolver(o, nil)
	for i := range o.Instructions {
		in := &o.Instructions[i]
		in.From = names.sources(in)
		in.Inputs = names.inputs(in)
	}
	slices.SortStableFunc(o.Problems, func(a, b play.Diagnostic) int {
		return o.lines.offset(a.Range.Start) - o.lines.offset(b.Range.Start)
	})
}

// early notes instructions that stand before the first FROM and may not.
func (o *Outline) early() {
	if len(o.Instructions) == 0 {
		o.problem(NoFrom, play.Range{Start: o.Position(0), End: o.Position(0)}, "There is no instruction: a Dockerfile begins with FROM and a base image.")
		return
	}
	for i := range o.Instructions {
		in := &o.Instructions[i]
		switch {
		case in.Stage >= 0:
			return
		case in.Err != nil || in.Name == "ARG":
		case len(o.Stages) == 0:
			o.problem(NoFrom, o.head(in), "There is no FROM: a Dockerfile begins with FROM and a base image.")
			return
		default:
			o.problem(NoFrom, o.head(in), "%s stands before the first FROM; only ARG may.", in.Name)
		}
	}
	if len(o.Stages) == 0 {
		o.problem(NoFrom, o.head(&o.Instructions[0]), "There is no FROM: a Dockerfile begins with FROM and a base image.")
	}
}

func (o *Outline) stage(in *Instruction, i int) Stage {
	s := Stage{Index: len(o.Stages), From: i, Range: in.Range}
	if st, ok := in.Command.(*instructions.Stage); ok {
		s.Name, s.Base, s.Platform = st.Name, st.BaseName, st.Platform
		return s
	}
	if len(in.Args) > 0 {
		s.Base = in.Args[0].Text
	}
	if len(in.Args) == 3 && strings.EqualFold(in.Args[1].Text, "as") {
		s.Name = strings.ToLower(in.Args[2].Text)
	}
	return s
}

// Plan is what the text alone says that a build would do: stages, steps, their inputs, and what the target
// needs. The target is a stage's name or index; "" is the last. Build arguments and the defaults of global ARGs
// are expanded in FROM.
func (o *Outline) Plan(target string, args map[string]string) (play.Planned, error) {
	names := newResolver(o, args)
	last, ok := names.target(target)
	if !ok {
		return play.Planned{}, play.Errorf(play.Invalid, "There is no stage %q to build; %s.", clip(target), names.choices())
	}
	p := play.Planned{Target: last, Syntax: o.syntaxNote()}
	inputs := make([][]int, len(o.Instructions))
	seen := map[string]bool{}
	for i := range o.Instructions {
		in := &o.Instructions[i]
		from := names.sources(in)
		inputs[i] = names.inputs(in)
		for _, src := range from {
			if in.Name != "FROM" && src.Stage < 0 && src.Ref != "scratch" && !seen[src.Ref] {
				seen[src.Ref] = true
				p.Images = append(p.Images, play.Base{Ref: src.Ref})
			}
		}
	}
	needed := o.needed(last, inputs)
	for _, s := range o.Stages {
		stage := play.Stage{Index: s.Index, Name: s.Name, Range: s.Range, Needed: needed[s.From]}
		for _, src := range names.sources(&o.Instructions[s.From]) {
			stage.Base.Ref = src.Ref
			if src.Stage >= 0 {
				stage.Base.Stage = &src.Stage
			}
		}
		p.Stages = append(p.Stages, stage)
	}
	for i, in := range o.Instructions {
		p.Steps = append(p.Steps, play.Step{
			N: in.N, Stage: in.Stage, Instruction: in.Name, Text: in.Text, Range: in.Range,
			Inputs: inputs[i], Needed: needed[i] || in.Stage < 0,
		})
	}
	return p, nil
}

// needed marks the instructions on whose result the last one of a stage depends.
func (o *Outline) needed(stage int, inputs [][]int) []bool {
	needed := make([]bool, len(o.Instructions))
	if stage < 0 {
		return needed
	}
	steps := o.Stages[stage].Steps
	todo := []int{steps[len(steps)-1]}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if needed[i] {
			continue
		}
		needed[i] = true
		for _, n := range inputs[i] {
			todo = append(todo, n-1)
		}
	}
	return needed
}

func (o *Outline) problem(rule string, at play.Range, format string, args ...any) {
	o.Problems = append(o.Problems, play.Diagnostic{
		Rule: rule, Severity: play.SeverityError, Range: at, Message: fmt.Sprintf(format, args...),
	})
}

func (o *Outline) span(from, to int) play.Range {
	return play.Range{Start: o.Position(from), End: o.Position(to)}
}

// nearest is the instruction whose name is most like a word, or "".
func nearest(word string) string {
	if len(word) > 32 {
		return ""
	}
	word = strings.ToLower(word)
	all := slices.Sorted(maps.Keys(command.Commands))
	for _, c := range all { // letters that changed places are the commonest slip
		if slices.Equal(slices.Sorted(strings.SplitSeq(c, "")), slices.Sorted(strings.SplitSeq(word, ""))) {
			return strings.ToUpper(c)
		}
	}
	near, _ := suggest.Search(word, all, true)
	return strings.ToUpper(near)
}

// reason is the first line of an error's text, without a full stop.
func reason(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return clip(strings.TrimSuffix(s, "."))
}

// clip keeps a quotation of somebody's text short.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !begins(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
