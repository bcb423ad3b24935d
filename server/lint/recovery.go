package lint

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"sort"
	"strings"

	"slipway/server/dockerfile"
	"slipway/server/play"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	bklint "github.com/moby/buildkit/frontend/subrequests/lint"
)

// maxRuns bounds how often BuildKit is asked again behind an error.
const maxRuns = 32

// run asks BuildKit, and again without the instruction at which it stopped, until it comes through.
func (r *report) run(ctx context.Context, f *frontend) error {
	if len(r.o.Instructions) == 0 {
		return nil
	}
	d := newDraft(r.o)
	for range maxRuns {
		res, err := f.lint(ctx, d.text())
		if err != nil {
			return err
		}
		for _, w := range res.Warnings {
			r.warning(d, w)
		}
		if res.Error == nil {
			return nil
		}
		i, err := r.culprit(ctx, f, d, res.Error)
		if err != nil {
			return err
		}
		if i < 0 {
			r.find(InvalidInstruction, play.Range{}, "A build stops at this: "+oneLine(res.Error.Message)+".")
			return nil
		}
		in := &r.o.Instructions[i]
		r.find(InvalidInstruction, head(r.o, in), "A build stops at this "+in.Name+": "+oneLine(res.Error.Message)+".")
		d.drop(i)
	}
	r.find(TooManyErrors, play.Range{}, fmt.Sprintf("There are more than %d errors: some findings may be missing until these are mended.", maxRuns))
	return nil
}

// culprit is the index of the instruction at which BuildKit stopped, or -1. An error without a place is that of the
// last instruction of the shortest beginning of the file that has such an error.
func (r *report) culprit(ctx context.Context, f *frontend, d *draft, e *bklint.BuildError) (int, error) {
	if i := d.instruction(placed(e)); i >= 0 {
		return i, nil
	}
	var failed error
	n := len(r.o.Instructions)
	i := sort.Search(n, func(k int) bool {
		part := d.first(k + 1)
		if failed != nil || !part.builds() {
			return false
		}
		res, err := f.lint(ctx, part.text())
		if err != nil {
			failed = err
			return false
		}
		return res.Error != nil && placed(res.Error) == 0
	})
	if failed != nil || i == n || d.dropped[i] {
		return -1, failed
	}
	return i, nil
}

// placed is the first line of an error, or 0.
func placed(e *bklint.BuildError) int {
	if len(e.Location.Ranges) == 0 {
		return 0
	}
	return int(e.Location.Ranges[0].Start.Line)
}

// warning takes over one finding of BuildKit's.
func (r *report) warning(d *draft, w bklint.Warning) {
	if w.Location == nil || len(w.Location.Ranges) == 0 {
		return
	}
	i := d.instruction(int(w.Location.Ranges[0].Start.Line))
	if i < 0 || w.RuleName == undefinedVar && d.lost[quoted(w.Detail)] {
		return // about what this package put in, or about what a broken instruction may define
	}
	r.warned(&r.o.Instructions[i], w.RuleName, w.Description, w.Detail)
}

// warned notes a finding of one of BuildKit's rules.
func (r *report) warned(in *dockerfile.Instruction, id, about, msg string) {
	at := head(r.o, in)
	rule, ok := Find(id)
	if ok && rule.place != nil {
		if narrow, ok := rule.place(r.o, in, msg); ok {
			at = narrow
		}
	}
	found := r.diagnostic(id, at, msg)
	found.Severity = r.severity
	if id == undefinedVar && r.unknown[in.Stage] {
		found.Severity = play.SeverityInfo
		found.Detail = "The variable is not defined in this file; the base image may define it, which isn't known here."
	}
	if !ok {
		found.Detail = about
	}
	r.found = append(r.found, found)
}

// broken checks what can be checked of instructions that BuildKit can't read, which are the three that it looks at
// before it reads them: a run leaves them out.
func (r *report) broken(cfg linter.Config) {
	for i := range r.o.Instructions {
		in := &r.o.Instructions[i]
		if in.Err == nil || in.Name != "FROM" && in.Name != "ARG" && in.Name != "MAINTAINER" {
			continue
		}
		cfg.Warn = func(id, about, _, msg string, _ []parser.Range) { r.warned(in, id, about, msg) }
		if res, err := parser.Parse(strings.NewReader(in.Text)); err == nil {
			instructions.ParseInstructionWithLinter(res.AST.Children[0], linter.New(&cfg)) // its error is reported
		}
	}
}

// unknownStages marks the stages that begin, by whatever way, with an image of which nothing is known.
func (r *report) unknownStages(known images) map[int]bool {
	unknown := map[int]bool{-1: true}
	for _, s := range r.o.Stages {
		for _, src := range r.o.Instructions[s.From].From {
			_, ok := known.find(src.Ref)
			switch {
			case src.Stage >= 0:
				unknown[s.Index] = unknown[src.Stage]
			case src.Ref != "scratch" && !ok:
				unknown[s.Index] = true
			}
		}
	}
	return unknown
}

// draft is the text with some instructions taken out. Every line keeps its number.
type draft struct {
	o       *dockerfile.Outline
	lines   [][]byte
	dropped map[int]bool    // indexes of instructions
	lost    map[string]bool // names that dropped instructions may have defined
	added   int             // the line behind which a FROM was put in, or -1
	starts  []int           // first line of each instruction
}

// newDraft takes out what can't be read anyway, and puts in a FROM if there is none.
func newDraft(o *dockerfile.Outline) *draft {
	d := &draft{o: o, lines: lines(o.Source), dropped: map[int]bool{}, lost: map[string]bool{}, added: -1}
	for i := range d.lines {
		if len(d.lines[i]) > dockerfile.MaxLine {
			d.lines[i] = comment
		}
	}
	d.directives()
	for i := range o.Instructions {
		in := &o.Instructions[i]
		d.starts = append(d.starts, in.Range.Start.Line)
		if in.Err != nil || in.Stage < 0 && in.Name != "ARG" && len(o.Stages) > 0 {
			d.drop(i)
		}
	}
	return d
}

// comment is a line that says nothing, and ends the comments above it.
var comment = []byte("#")

// directives takes broken ones out; the escape character of the rest must stay.
func (d *draft) directives() {
	last, broken := 0, false
	for _, dir := range d.o.Directives {
		last = max(last, dir.Range.End.Line)
	}
	for _, p := range d.o.Problems {
		if p.Rule == dockerfile.InvalidDirective {
			last, broken = max(last, p.Range.End.Line), true
		}
	}
	if len(d.o.Stages) == 0 {
		d.added = last
		if last == 0 && bytes.HasPrefix(d.lines[0], []byte("#!")) {
			d.added = 1
		}
	}
	if !broken {
		return
	}
	for i := range last {
		d.lines[i] = comment
	}
	if d.o.Escape == '`' {
		d.lines[0] = []byte("# escape=`")
	}
}

var (
	name      = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)
	stageName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-_.]*$`) // as instructions.parseBuildStageName wants it
)

// drop takes an instruction out; a FROM becomes one that can't fail.
func (d *draft) drop(i int) {
	in := &d.o.Instructions[i]
	d.dropped[i] = true
	for line := in.Range.Start.Line; line <= in.Range.End.Line; line++ {
		d.lines[line-1] = comment
	}
	if in.Name != "FROM" {
		for _, n := range name.FindAllString(in.Text, -1) {
			d.lost[n] = true
		}
		return
	}
	from := in.Text[:len(in.Name)] + " scratch" // in the case that it is written in
	if len(in.Args) == 3 && strings.EqualFold(in.Args[1].Text, "as") && stageName.MatchString(in.Args[2].Text) {
		from += " " + in.Args[1].Text + " " + in.Args[2].Text
	}
	d.lines[in.Range.Start.Line-1] = []byte(from)
}

// first is a draft of the first n instructions alone.
func (d *draft) first(n int) *draft {
	part := *d
	if n < len(d.starts) {
		part.lines = d.lines[:d.starts[n]-1]
	}
	return &part
}

// builds reports whether there is a stage to build.
func (d *draft) builds() bool {
	return d.added >= 0 || d.o.Instructions[d.o.Stages[0].From].Range.Start.Line <= len(d.lines)
}

// text is what BuildKit gets.
func (d *draft) text() []byte {
	all := d.lines
	if d.added >= 0 {
		from := []byte("FROM scratch")
		if first := d.o.Instructions[0].Text; strings.HasPrefix(first, strings.ToLower(d.o.Instructions[0].Name)) {
			from = bytes.ToLower(from)
		}
		all = append(append(append([][]byte{}, all[:d.added]...), from), all[d.added:]...)
	}
	return append(bytes.Join(all, []byte("\n")), '\n')
}

// instruction is the index of the instruction at a line of the text, or -1.
func (d *draft) instruction(line int) int {
	if d.added >= 0 && line > d.added {
		line--
		if line == d.added {
			return -1
		}
	}
	i := sort.Search(len(d.starts), func(i int) bool { return d.starts[i] > line }) - 1
	if i < 0 || line > d.o.Instructions[i].Range.End.Line || d.dropped[i] {
		return -1
	}
	return i
}

// head is the range of an instruction without its heredoc bodies.
func head(o *dockerfile.Outline, in *dockerfile.Instruction) play.Range {
	return o.Span(in, 0, len(in.Text))
}

// oneLine is the first line of a message, without a full stop.
func oneLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return strings.TrimSuffix(s, ".")
}
