package dockerfile

import (
	"bytes"
	"maps"
	"strconv"
	"strings"
	"unicode/utf8"

	"slipway/server/play"

	"github.com/distribution/reference"
)

// Preflight says why a Dockerfile is not worth handing on: an *play.Error with the place in file, or nil. It is cheap
// and takes memory in proportion to the text, whatever the text is; all that analyses or builds comes after it.
// What is merely wrong passes: that is the linter's to report.
func Preflight(file string, src []byte, args map[string]string, l play.Limits) error {
	fail := func(kind play.Kind, at play.Range, format string, a ...any) error {
		return play.Errorf(kind, format, a...).In(play.Place{File: file, Range: at})
	}
	if n := int64(len(src)); n > l.DockerfileBytes {
		return fail(play.Limited, play.Range{}, "The Dockerfile has %d bytes; at most %d are allowed.", n, l.DockerfileBytes)
	}
	lines := newLines(src)
	at := func(offset int) play.Range {
		p := lines.position(offset)
		return play.Range{Start: p, End: lines.position(offset + 1)}
	}
	if i := bytes.IndexByte(src, 0); i >= 0 {
		return fail(play.Invalid, at(i), "There is a NUL byte here: this is not a text file.")
	}
	if i := invalid(src); i >= 0 {
		return fail(play.Invalid, at(i), "The text is not valid UTF-8 here; save it as UTF-8.")
	}
	if n := lines.count(); n > l.DockerfileLines && len(bytes.TrimSpace(src[lines.starts[l.DockerfileLines]:])) > 0 {
		return fail(play.Limited, lines.trimmed(l.DockerfileLines+1), "The Dockerfile has %d lines; at most %d are allowed.", n, l.DockerfileLines)
	}
	for line := 1; line <= lines.count(); line++ {
		if n := len(lines.text(line)); n > MaxLine {
			return fail(play.Limited, lines.trimmed(line), "This line has %d bytes; BuildKit reads lines of up to %d. Break it with a \\ at the end of a line.", n, MaxLine)
		}
	}
	o := Parse(src)
	if ref, where := o.Syntax(); ref != "" && !Official(ref) {
		return fail(play.Invalid, where, "The frontend %s can't run here; only Docker's own, docker/dockerfile, is known. Take the line out, or name that one.", clip(ref))
	}
	if n := len(o.Stages); n > l.Stages {
		return fail(play.Limited, o.head(&o.Instructions[o.Stages[l.Stages].From]), "There are %d stages; at most %d are allowed.", n, l.Stages)
	}
	if n := len(o.Instructions); n > l.Instructions {
		return fail(play.Limited, o.head(&o.Instructions[l.Instructions]), "There are %d instructions; at most %d are allowed.", n, l.Instructions)
	}
	if in, why := o.expansion(args, int(l.ExpansionBytes)); in != nil {
		return fail(play.Limited, o.head(in), "%s", why)
	}
	return nil
}

// invalid is the offset of the first byte that is not UTF-8, or -1.
func invalid(src []byte) int {
	if utf8.Valid(src) {
		return -1
	}
	for i := 0; i < len(src); {
		r, width := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && width == 1 {
			return i
		}
		i += width
	}
	return -1
}

// Official reports whether a "# syntax=" names Docker's own Dockerfile frontend, in any version.
func Official(ref string) bool {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil || reference.Domain(named) != "docker.io" {
		return false
	}
	path := reference.Path(named)
	return path == "docker/dockerfile" || path == "docker/dockerfile-upstream"
}

const (
	// runEnv is how many times ExpansionBytes the environments of all RUN steps may take together: BuildKit writes
	// the whole environment into each.
	runEnv = 16
	// maxPorts bounds the ports that the EXPOSE ranges of a file may name; BuildKit keeps one string for each.
	maxPorts = 1 << 17
)

// expansion walks the file as BuildKit will and gives the instruction at which its variables have grown too much.
func (o *Outline) expansion(args map[string]string, limit int) (*Instruction, string) {
	e := expansion{o: o, args: args, limit: limit, env: sizes{}, global: sizes{}, done: make([]state, len(o.Stages))}
	names := newResolver(o, args)
	for i := range o.Instructions {
		in := &o.Instructions[i]
		if in.Name == "FROM" && in.Stage >= 0 {
			e.begin(in.Stage, names.bases[in.Stage].Stage)
		}
		if why := e.step(in); why != "" {
			return in, why
		}
		if in.OnBuild != nil {
			e.triggers = append(e.triggers, in.OnBuild)
		}
	}
	return nil, ""
}

// sizes are lengths of variables, in bytes.
type sizes map[string]int

// state is what a stage hands on to one that begins with it.
type state struct {
	env      sizes
	triggers []*Instruction
}

type expansion struct {
	o           *Outline
	args        map[string]string
	limit       int
	env, global sizes
	triggers    []*Instruction // ONBUILD of this stage
	pending     []*Instruction // ONBUILD of the stage that this one begins with
	done        []state        // of the stages so far
	grown       int            // bytes that expansion adds, so far
	carried     int            // bytes of environment of all RUN steps, so far
	ports       int
}

// begin ends what came before, and starts a stage on another stage, or on an image if base is -1.
func (e *expansion) begin(stage, base int) {
	if stage == 0 {
		e.global = e.env
	} else {
		e.done[stage-1] = state{env: e.env, triggers: e.triggers}
	}
	e.env, e.triggers, e.pending = sizes{}, nil, nil
	if base >= 0 {
		e.env = maps.Clone(e.done[base].env)
		e.pending = e.done[base].triggers
	}
}

// step counts one instruction, and what it triggers if it is a FROM.
func (e *expansion) step(in *Instruction) string {
	for _, t := range append([]*Instruction{in}, e.pending...) {
		if why := e.count(t); why != "" {
			return why
		}
	}
	e.pending = nil
	return ""
}

func (e *expansion) count(in *Instruction) string {
	e.grow(in.Text)
	for _, h := range in.Heredocs {
		if h.Expand || in.Name == "RUN" {
			e.grow(h.Content)
		}
	}
	switch in.Name {
	case "ENV":
		for _, w := range in.Args {
			e.env[w.Key] = e.size(w.Value)
		}
	case "ARG":
		for _, w := range in.Args {
			if v, ok := e.args[w.Key]; ok {
				e.env[w.Key] = len(v)
			} else if strings.Contains(w.Text, "=") {
				e.env[w.Key] = e.size(w.Value)
			} else if v, ok := e.global[w.Key]; ok && in.Stage >= 0 {
				e.env[w.Key] = v
			}
		}
	case "RUN":
		for name, n := range e.env {
			e.carried = add(e.carried, len(name)+n)
		}
	case "EXPOSE":
		for _, w := range in.Args {
			e.ports += span16(w.Text)
		}
	}
	switch {
	case e.grown > e.limit:
		return "The variables of this Dockerfile expand to more than " + strconv.Itoa(e.limit) + " bytes; the limit is reached here."
	case e.carried > mul(e.limit, runEnv):
		return "The RUN steps of this Dockerfile carry more than " + strconv.Itoa(mul(e.limit, runEnv)) + " bytes of environment together; the limit is reached here."
	case e.ports > maxPorts:
		return "The EXPOSE ranges of this Dockerfile name more than " + strconv.Itoa(maxPorts) + " ports; the limit is reached here."
	}
	return ""
}

func (e *expansion) size(text string) int {
	return bound(text, e.o.Escape, func(name string) int { return e.env[name] })
}

func (e *expansion) grow(text string) {
	if strings.IndexByte(text, '$') >= 0 {
		e.grown = add(e.grown, max(0, e.size(text)-len(text)))
	}
}

// span16 is how many ports a range like "8000-8080/tcp" names.
func span16(word string) int {
	word, _, _ = strings.Cut(word, "/")
	word = word[strings.LastIndexByte(word, ':')+1:]
	first, last, isRange := strings.Cut(word, "-")
	if !isRange {
		return 1
	}
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(last, 10, 16)
	if errA != nil || errB != nil || b < a {
		return 1
	}
	return int(b-a) + 1
}
