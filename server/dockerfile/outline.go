// Package dockerfile is the one reading of a Dockerfile: a fault-tolerant outline on BuildKit's own parser, with
// exact positions, and the cheap check that comes before any deeper analysis of a stranger's text.
//
// It reads text only: no network, no clock, no files, no build. Whatever the text is, Parse gives an outline.
package dockerfile

import "slipway/server/play"

// Outline is a Dockerfile as far as it can be read.
type Outline struct {
	Source       []byte
	Escape       rune // '\\' or '`'
	Directives   []Directive
	Stages       []Stage
	Instructions []Instruction     // all of them, in file order; comments excluded
	Problems     []play.Diagnostic // what can't be read, with the rule and the place but no file; in file order

	lines lines
}

// Directive is a parser directive: "# syntax=", "# escape=" or "# check=".
type Directive struct {
	Name       string // lower case
	Value      string
	Range      play.Range // the whole comment
	ValueRange play.Range
}

// Stage is one FROM and what follows it.
type Stage struct {
	Index    int    // from 0
	Name     string // lower case; "" without AS
	Base     string // as written, not expanded
	Platform string // as written, not expanded
	Range    play.Range
	From     int   // index into Outline.Instructions
	Steps    []int // indexes into Outline.Instructions, From first
}

// Form says how a RUN, CMD, ENTRYPOINT, SHELL, HEALTHCHECK, COPY, ADD or VOLUME is written.
type Form string

const (
	ShellForm Form = "shell" // plain text
	ExecForm  Form = "exec"  // a JSON array
)

// Instruction is one instruction as written.
type Instruction struct {
	N         int    // from 1
	Stage     int    // index; -1 before the first FROM
	Name      string // upper case
	Range     play.Range
	NameRange play.Range
	Text      string // continuation lines joined, comments inside and heredoc bodies left out
	Flags     []Flag
	Args      []Word
	Form      Form
	Heredocs  []Heredoc
	Command   any          // BuildKit's typed instruction, e.g. *instructions.RunCommand or *instructions.Stage; nil if it doesn't parse
	Err       error        // why Command is nil
	OnBuild   *Instruction // what an ONBUILD triggers; its N is that of the ONBUILD
	From      []Source     // stages and images that it takes files from, or that a FROM begins with
	Inputs    []int        // N of the steps of the file whose result it uses

	text joined
}

// Flag is one "--name=value".
type Flag struct {
	Name       string // without the dashes
	Value      string // unquoted
	Range      play.Range
	ValueRange play.Range // zero if there is no "="
}

// Word is one argument. A shell-form RUN, CMD, ENTRYPOINT or HEALTHCHECK has a single word, the shell's text. An
// ENV, LABEL or ARG has one word for each pair.
type Word struct {
	Text   string // as it stands in Instruction.Text
	Value  string // of a JSON element: decoded; of a pair: what follows the "=", as written; else Text
	Key    string // of a pair, as written
	Offset int    // in Instruction.Text, in bytes
	Range  play.Range
}

// Heredoc is one heredoc of an instruction.
type Heredoc struct {
	Name    string
	Content string     // leading tabs are chomped if it is "<<-"
	Expand  bool       // whether the delimiter is unquoted
	Chomp   bool       // "<<-"
	Range   play.Range // of the body, without the delimiter that ends it
}

// Source is where an instruction takes files from.
type Source struct {
	Ref   string // an image reference, a stage's name or number, or "scratch"; expanded where possible
	Stage int    // index of the stage, or -1
	Range play.Range
}

// Position is the place of a byte of Source. An offset outside is taken as the nearest one inside.
func (o *Outline) Position(offset int) play.Position { return o.lines.position(offset) }

// Offset is the byte of Source at a place: the inverse of Position. A place outside is taken as the nearest one inside.
func (o *Outline) Offset(p play.Position) int { return o.lines.offset(p) }

// At is the place in Source of a byte of the instruction's Text.
func (o *Outline) At(in *Instruction, offset int) play.Position {
	return o.lines.position(in.text.source(offset))
}

// Span is the range in Source of Text[from:to] of the instruction.
func (o *Outline) Span(in *Instruction, from, to int) play.Range {
	return play.Range{Start: o.At(in, from), End: o.lines.position(in.text.sourceEnd(to))}
}
