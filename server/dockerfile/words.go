package dockerfile

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"slipway/server/play"

	"github.com/moby/buildkit/frontend/dockerfile/command"
)

// This file splits an instruction's text as BuildKit's parser does (frontend/dockerfile/parser/line_parsers.go and
// split_command.go), keeping the places that BuildKit drops. A test holds the two against each other.

// span is a stretch of an instruction's text, in bytes.
type span struct{ from, to int }

// blanks are what separates words: not all that Unicode counts as white space.
const blanks = "\t\v\f\r "

func isBlank(b byte) bool { return strings.IndexByte(blanks, b) >= 0 }

// trim takes the white space off both ends of a span.
func trim(text []byte, s span) span {
	t := text[s.from:s.to]
	left := len(t) - len(bytes.TrimLeftFunc(t, unicode.IsSpace))
	s.from += left
	s.to = s.from + len(bytes.TrimRightFunc(t[left:], unicode.IsSpace))
	return s
}

// split gives the words between blanks.
func split(text []byte, from, to int) []span {
	var words []span
	start := -1
	for i := from; i <= to; i++ {
		switch blank := i == to || isBlank(text[i]); {
		case blank && start >= 0:
			words = append(words, span{start, i})
			start = -1
		case !blank && start < 0:
			start = i
		}
	}
	return words
}

// splitInstruction finds the name, the flags and the arguments.
func splitInstruction(text []byte, escape rune) (name span, flags []span, args span) {
	all := trim(text, span{0, len(text)})
	name = span{all.from, all.from}
	for name.to < all.to && !isBlank(text[name.to]) {
		name.to++
	}
	flags, rest := splitFlags(text, span{name.to, all.to}, byte(escape))
	return name, flags, trim(text, span{rest, all.to})
}

// splitFlags finds the words that begin with "--", and where the rest begins.
func splitFlags(text []byte, s span, escape byte) (flags []span, rest int) {
	for pos := s.from; ; {
		for pos < s.to && unicode.IsSpace(rune(text[pos])) {
			pos++
		}
		if pos+1 >= s.to || text[pos] != '-' || text[pos+1] != '-' {
			return flags, pos
		}
		start, quote := pos, byte(0)
		for ; pos < s.to && (quote != 0 || !unicode.IsSpace(rune(text[pos]))); pos++ {
			switch c := text[pos]; {
			case c == escape && pos+1 < s.to:
				pos++
			case c == escape:
				quote = 0
			case quote != 0 && c == quote:
				quote = 0
			case quote == 0 && (c == '\'' || c == '"'):
				quote = c
			}
		}
		pos = min(pos, s.to)
		if unquote(text[start:pos], escape) == "--" {
			return flags, pos
		}
		flags = append(flags, span{start, pos})
	}
}

// unquote takes quotes and escapes out of a flag.
func unquote(word []byte, escape byte) string {
	if bytes.IndexByte(word, escape) < 0 && !bytes.ContainsAny(word, `'"`) {
		return string(word)
	}
	var out []byte
	quote := byte(0)
	for i := 0; i < len(word); i++ {
		switch c := word[i]; {
		case c == escape && i+1 < len(word):
			i++
			out = append(out, word[i])
		case c == escape:
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// pairs gives the words of an ENV, LABEL or ARG: between white space, with quotes and escapes left as they are.
func pairs(text []byte, s span, escape rune) []span {
	var words []span
	start, quote := -1, rune(0)
	for pos := s.from; pos < s.to; {
		ch, width := utf8.DecodeRune(text[pos:s.to])
		switch {
		case quote == 0 && unicode.IsSpace(ch):
			if start >= 0 {
				words = append(words, span{start, pos})
				start = -1
			}
			pos += width
			continue
		case start < 0:
			start = pos
		}
		switch {
		case quote != 0 && ch == quote:
			quote = 0
		case quote == 0 && (ch == '\'' || ch == '"'):
			quote = ch
		}
		if ch == escape && quote != '\'' && pos+width < s.to {
			pos += width
			_, width = utf8.DecodeRune(text[pos:s.to])
		}
		pos += width
	}
	if start >= 0 {
		words = append(words, span{start, s.to})
	}
	return words
}

// elements gives the strings of a JSON array, or ok=false if the text is none.
func elements(text []byte, s span) (words []span, values []string, ok bool) {
	raw := text[s.from:s.to]
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &values) != nil {
		return nil, nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	for {
		before := int(dec.InputOffset())
		tok, err := dec.Token()
		if err != nil {
			return words, values, len(words) == len(values)
		}
		if _, isString := tok.(string); !isString {
			if tok == nil {
				return nil, nil, false // null is no string, whatever Unmarshal says
			}
			continue
		}
		end := int(dec.InputOffset())
		start := before + bytes.IndexByte(raw[before:end], '"')
		words = append(words, span{s.from + start, s.from + end})
	}
}

// parts reads one instruction: everything but what BuildKit says about it.
func (o *Outline) parts(text joined) Instruction {
	name, flags, args := splitInstruction(text.text, o.Escape)
	in := Instruction{text: text, Name: strings.ToUpper(string(text.text[name.from:name.to]))}
	in.Text = string(bytes.TrimRightFunc(text.text, unicode.IsSpace))
	in.NameRange = o.Span(&in, name.from, name.to)
	in.Range.Start = in.NameRange.Start
	for _, f := range flags {
		in.Flags = append(in.Flags, o.flag(&in, f))
	}
	o.args(&in, args)
	return in
}

func (o *Outline) flag(in *Instruction, s span) Flag {
	raw := in.text.text[s.from:s.to]
	name, value, _ := strings.Cut(strings.TrimPrefix(unquote(raw, byte(o.Escape)), "--"), "=")
	f := Flag{Name: name, Value: value, Range: o.Span(in, s.from, s.to)}
	if i := bytes.IndexByte(raw, '='); i >= 0 {
		f.ValueRange = o.Span(in, s.from+i+1, s.to)
	}
	return f
}

// args splits the arguments as the instruction wants them.
func (o *Outline) args(in *Instruction, s span) {
	if s.from >= s.to {
		return
	}
	text := in.text.text
	switch strings.ToLower(in.Name) {
	case command.Run, command.Cmd, command.Entrypoint, command.Shell:
		o.command1(in, s)
	case command.Healthcheck:
		kind := split(text, s.from, s.to)[0]
		o.word(in, kind)
		if rest := trim(text, span{kind.to, s.to}); rest.from < rest.to {
			o.command1(in, rest)
		}
	case command.Copy, command.Add, command.Volume:
		in.Form = ShellForm
		if words, values, ok := elements(text, s); ok {
			o.exec(in, words, values)
			return
		}
		o.words(in, split(text, s.from, s.to))
	case command.Env, command.Label, command.Arg:
		o.pairs(in, s)
	case command.Maintainer, command.StopSignal, command.User, command.Workdir, command.Onbuild:
		o.word(in, s)
	default:
		o.words(in, split(text, s.from, s.to))
	}
}

// command1 reads a command: a JSON array, or text for the shell.
func (o *Outline) command1(in *Instruction, s span) {
	in.Form = ShellForm
	if words, values, ok := elements(in.text.text, s); ok {
		o.exec(in, words, values)
		return
	}
	o.word(in, s)
}

func (o *Outline) exec(in *Instruction, words []span, values []string) {
	in.Form = ExecForm
	for i, w := range words {
		o.word(in, w).Value = values[i]
	}
}

func (o *Outline) pairs(in *Instruction, s span) {
	words := pairs(in.text.text, s, o.Escape)
	first := in.text.text[words[0].from:words[0].to]
	if in.Name != "ARG" && bytes.IndexByte(first, '=') < 0 { // the old way: a name, blanks, and the value
		w := o.word(in, s)
		w.Key, w.Value = w.Text, ""
		if i := strings.IndexAny(w.Text, blanks); i >= 0 {
			w.Key, w.Value = w.Text[:i], strings.TrimLeft(w.Text[i:], blanks)
		}
		return
	}
	for _, at := range words {
		w := o.word(in, at)
		w.Key, w.Value, _ = strings.Cut(w.Text, "=")
	}
}

func (o *Outline) words(in *Instruction, at []span) {
	for _, s := range at {
		o.word(in, s)
	}
}

func (o *Outline) word(in *Instruction, s span) *Word {
	text := string(in.text.text[s.from:s.to])
	in.Args = append(in.Args, Word{Text: text, Value: text, Offset: s.from, Range: o.Span(in, s.from, s.to)})
	return &in.Args[len(in.Args)-1]
}

// head is the range of an instruction without its heredoc bodies.
func (o *Outline) head(in *Instruction) play.Range {
	end := o.Span(in, 0, len(in.Text)).End
	return play.Range{Start: in.NameRange.Start, End: end}
}
