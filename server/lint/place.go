package lint

import (
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"slipway/server/dockerfile"
	"slipway/server/play"
)

// BuildKit names lines. These functions find the words: from the instruction, and from what BuildKit's message quotes.

func nameOf(_ *dockerfile.Outline, in *dockerfile.Instruction, _ string) (play.Range, bool) {
	return in.NameRange, true
}

// arg is the n-th argument.
func arg(n int) func(*dockerfile.Outline, *dockerfile.Instruction, string) (play.Range, bool) {
	return func(_ *dockerfile.Outline, in *dockerfile.Instruction, _ string) (play.Range, bool) {
		if n >= len(in.Args) {
			return play.Range{}, false
		}
		return in.Args[n].Range, true
	}
}

func flag(name string) func(*dockerfile.Outline, *dockerfile.Instruction, string) (play.Range, bool) {
	return func(_ *dockerfile.Outline, in *dockerfile.Instruction, _ string) (play.Range, bool) {
		for _, f := range in.Flags {
			if f.Name == name {
				return f.Range, true
			}
		}
		return play.Range{}, false
	}
}

var quotation = regexp.MustCompile(`'([^']*)'|"([^"]*)"`)

// quoted is the first thing that a message quotes, without the "$" of a variable.
func quoted(msg string) string {
	m := quotation.FindStringSubmatch(msg)
	if m == nil {
		return ""
	}
	return strings.TrimPrefix(m[1]+m[2], "$")
}

func wordIn(_ *dockerfile.Outline, in *dockerfile.Instruction, msg string) (play.Range, bool) {
	return match(in, func(w dockerfile.Word) bool { return w.Value == quoted(msg) })
}

// pathIn finds a path, which BuildKit quotes after cleaning it.
func pathIn(_ *dockerfile.Outline, in *dockerfile.Instruction, msg string) (play.Range, bool) {
	return match(in, func(w dockerfile.Word) bool { return path.Clean(w.Value) == quoted(msg) })
}

func match(in *dockerfile.Instruction, is func(dockerfile.Word) bool) (play.Range, bool) {
	for _, w := range in.Args {
		if is(w) {
			return w.Range, true
		}
	}
	return play.Range{}, false
}

// keyIn finds the name of a pair.
func keyIn(o *dockerfile.Outline, in *dockerfile.Instruction, msg string) (play.Range, bool) {
	for _, w := range in.Args {
		if w.Key == quoted(msg) {
			return o.Span(in, w.Offset, w.Offset+len(w.Key)), true
		}
	}
	return play.Range{}, false
}

// variableIn finds the first use of a variable, in the instruction or in its heredocs.
func variableIn(o *dockerfile.Outline, in *dockerfile.Instruction, msg string) (play.Range, bool) {
	name := quoted(msg)
	if from, to := use(in.Text, name); to > 0 {
		return o.Span(in, from, to), true
	}
	for _, h := range in.Heredocs {
		start := o.Offset(h.Range.Start)
		if from, to := use(string(o.Source[start:o.Offset(h.Range.End)]), name); to > 0 {
			return play.Range{Start: o.Position(start + from), End: o.Position(start + to)}, true
		}
	}
	return play.Range{}, false
}

// use is where $name or ${name stands in a text; to is 0 if nowhere.
func use(text, name string) (from, to int) {
	for i := strings.IndexByte(text, '$'); i >= 0 && i < len(text); i++ {
		if text[i] != '$' {
			continue
		}
		rest, braced := strings.CutPrefix(text[i+1:], "{")
		after, ok := strings.CutPrefix(rest, name)
		if next, _ := utf8.DecodeRuneInString(after); !ok || next == '_' || unicode.IsLetter(next) || unicode.IsDigit(next) {
			continue
		}
		to := len(text) - len(after)
		if braced && strings.HasPrefix(after, "}") {
			to++
		}
		return i, to
	}
	return 0, 0
}

// emptyLine finds the first empty line inside an instruction.
func emptyLine(o *dockerfile.Outline, in *dockerfile.Instruction, _ string) (play.Range, bool) {
	for line := in.Range.Start.Line + 1; line <= in.Range.End.Line; line++ {
		at := play.Range{Start: play.Position{Line: line, Column: 1}, End: play.Position{Line: line + 1, Column: 1}}
		if strings.TrimSpace(string(o.Source[o.Offset(at.Start):o.Offset(at.End)])) == "" {
			at.End = o.Position(o.Offset(at.End)) // the last line may have no next one
			return at, true
		}
	}
	return play.Range{}, false
}
