package dockerfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/moby/buildkit/frontend/dockerfile/command"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Rules of Outline.Problems.
const (
	ParseError          = "ParseError"
	UnknownInstruction  = "UnknownInstruction"
	InvalidFlag         = "InvalidFlag"
	UnterminatedHeredoc = "UnterminatedHeredoc"
	InvalidDirective    = "InvalidDirective"
	NoFrom              = "NoFrom"
)

// MaxLine is the longest line that BuildKit reads, in bytes: parser.go scans with bufio's default buffer.
const MaxLine = 65_535

// maxOpenHeredocs bounds how often the reading starts again behind a heredoc that nothing ends: each costs a pass
// over the rest of the text.
const maxOpenHeredocs = 32

// Parse reads any text; it never fails and never panics. A line that can't be read is a problem of the outline and
// takes nothing from the lines after it.
func Parse(src []byte) *Outline {
	r := &reader{o: &Outline{Source: src, Escape: parser.DefaultEscapeToken, lines: newLines(src)}}
	r.prepare()
	r.directives()
	r.read()
	r.o.arrange()
	return r.o
}

// reader reads one text. BuildKit's parser gives up at the first error, so it is started again behind each.
type reader struct {
	o      *Outline
	work   []byte // the text as BuildKit gets it: the same lines, some of them made comments
	starts []int  // offset in work of each line, and of the end
	open   int    // heredocs without an end so far
}

// prepare makes the text that BuildKit gets: no byte order mark, no line that it refuses for its length.
func (r *reader) prepare() {
	n := r.o.lines.count()
	r.work = make([]byte, 0, len(r.o.Source)+n)
	r.starts = make([]int, 0, n+1)
	for line := 1; line <= n; line++ {
		r.starts = append(r.starts, len(r.work))
		text := r.o.lines.text(line)
		if line == 1 {
			text = bytes.TrimPrefix(text, bom)
		}
		if len(text) > MaxLine {
			r.o.problem(ParseError, r.o.lines.trimmed(line), "This line has %d bytes; BuildKit reads lines of up to %d.", len(text), MaxLine)
			text = blank
		}
		r.work = append(append(r.work, text...), '\n')
	}
	r.starts = append(r.starts, len(r.work))
}

var (
	bom   = []byte("\xef\xbb\xbf")
	blank = []byte("#")
)

// line is a line of the text as BuildKit gets it, from 1.
func (r *reader) line(n int) []byte { return r.work[r.starts[n-1] : r.starts[n]-1] }

// source is the offset in the source of a byte of a line; the byte order mark makes the first line differ.
func (r *reader) source(line, offset int) int {
	_, end := r.o.lines.bounds(line)
	return end - len(r.line(line)) + offset
}

// directives reads the comments at the top that are parser directives.
func (r *reader) directives() {
	var dirs parser.DirectiveParser
	shebang := bytes.HasPrefix(r.line(1), []byte("#!"))
	for line := 1; line <= r.o.lines.count(); line++ {
		if line == 1 && shebang {
			continue
		}
		text := r.line(line)
		trimmed := bytes.TrimLeftFunc(text, unicode.IsSpace)
		d, err := dirs.ParseLine(trimmed)
		at := r.o.lines.trimmed(line)
		switch {
		case err != nil:
			r.o.problem(InvalidDirective, at, "This directive can't be read: %s.", reason(err))
			continue
		case d == nil:
			return
		case d.Name == "escape" && shebang, d.Name != "escape" && len(trimmed) < len(text):
			continue // BuildKit doesn't see it either
		}
		from := r.source(line, bytes.LastIndex(text, []byte(d.Value)))
		r.silence(line)
		dir := Directive{Name: d.Name, Value: d.Value, Range: at, ValueRange: r.o.span(from, from+len(d.Value))}
		r.o.Directives = append(r.o.Directives, dir)
		if d.Name != "escape" {
			continue
		}
		if d.Value != "`" && d.Value != `\` {
			r.o.problem(InvalidDirective, dir.ValueRange, "The escape character is either \\ or `, not %q.", d.Value)
			continue
		}
		r.o.Escape = rune(d.Value[0])
	}
}

// silence makes a line an empty comment, of the same length: a directive is no comment on the instruction below it.
func (r *reader) silence(line int) {
	text := r.line(line)
	copy(text, bytes.Repeat([]byte(" "), len(text)))
	text[0] = '#'
}

// preamble keeps BuildKit from taking a comment for a directive, wherever in the text the reading starts.
func (r *reader) preamble() string {
	if r.o.Escape == '`' {
		return "# escape=`\n#\n"
	}
	return "#\n"
}

// read reads the instructions, from the top and then again behind each that BuildKit's parser refuses or must not see.
func (r *reader) read() {
	first := 1
	for _, line := range r.deep() {
		r.readLines(first, line-1)
		head, end := r.join(line)
		in := r.o.newInstruction(head, line, end)
		in.Err = fmt.Errorf("variables are nested deeper than %d levels", maxNesting)
		r.o.problem(ParseError, r.o.head(in), "%s can't be read: %v.", clip(in.Name), in.Err)
		first = end + 1
	}
	r.readLines(first, r.o.lines.count())
}

// deep gives the lines of instructions that may have a heredoc and in which ${…} is nested so deeply that looking
// for the heredoc would take BuildKit's parser forever: it expands the whole line, in time that grows as the square.
func (r *reader) deep() []int {
	if !bytes.Contains(r.work, []byte("<<")) || !bytes.Contains(r.work, []byte("${")) {
		return nil
	}
	var found []int
	for line := 1; line <= r.o.lines.count(); {
		head, end := r.join(line)
		if bytes.Contains(head.text, []byte("<<")) && nested(string(head.text)) {
			found = append(found, line)
		}
		line = end + 1
	}
	return found
}

// readLines reads the instructions of some lines.
func (r *reader) readLines(first, last int) {
	for first <= last {
		nodes, bad, err := r.parse(first, last)
		if err == nil {
			r.take(nodes)
			return
		}
		if bad > first {
			if nodes, _, err := r.parse(first, bad-1); err == nil {
				r.take(nodes)
			}
		}
		first = r.refuse(bad, last, err)
	}
}

// parse gives BuildKit's nodes for some lines, or the line of the first instruction that it refuses.
func (r *reader) parse(first, last int) (nodes []*parser.Node, bad int, err error) {
	defer func() {
		if p := recover(); p != nil { // BuildKit's parser doesn't promise not to
			nodes, bad, err = nil, first, fmt.Errorf("the parser failed: %v", p)
		}
	}()
	pre := r.preamble()
	shift := first - 1 - strings.Count(pre, "\n")
	text := r.work[r.starts[first-1]:r.starts[last]]
	res, err := parser.Parse(io.MultiReader(strings.NewReader(pre), bytes.NewReader(text)))
	if err != nil {
		if where, ok := errors.AsType[*parser.LocationError](err); ok && len(where.Locations) > 0 && len(where.Locations[0]) > 0 {
			bad = where.Locations[0][0].Start.Line + shift
		}
		if start, ok := r.next(first, last); !ok {
			return nil, 0, nil // nothing but comments
		} else if bad < start {
			bad = start
		}
		return nil, bad, err
	}
	for _, n := range res.AST.Children {
		n.StartLine += shift
		n.EndLine += shift
	}
	return res.AST.Children, 0, nil
}

// next is the first line that is neither empty nor a comment.
func (r *reader) next(first, last int) (int, bool) {
	for line := first; line <= last; line++ {
		if t := bytes.TrimSpace(r.line(line)); len(t) > 0 && t[0] != '#' {
			return line, true
		}
	}
	return 0, false
}

func (r *reader) take(nodes []*parser.Node) {
	for _, n := range nodes {
		head, end := r.join(n.StartLine)
		in := r.o.newInstruction(head, n.StartLine, max(end, n.EndLine))
		r.heredocs(in, n, end)
		r.o.command(in, n)
	}
}

// refuse notes the instruction at a line, which BuildKit's parser can't read, and says where to go on.
func (r *reader) refuse(line, last int, err error) int {
	head, end := r.join(line)
	name, _, args := splitInstruction(head.text, r.o.Escape)
	word := string(head.text[name.from:name.to])
	doc, at := r.openHeredoc(head, word, args)
	if doc == nil {
		in := r.o.newInstruction(head, line, end)
		in.Err = err
		r.o.problem(ParseError, r.o.head(in), "%s can't be read: %s.", in.Name, reason(err))
		return end + 1
	}
	// The body goes on to the next line that looks like an instruction.
	r.open++
	next := end + 1
	for next <= last && (r.open > maxOpenHeredocs || !looksLikeInstruction(r.line(next), word)) {
		next++
	}
	in := r.o.newInstruction(head, line, next-1)
	in.Err = err
	r.o.problem(UnterminatedHeredoc, r.o.Span(in, at, at+len(doc.Name)+2), "The heredoc is never ended: no line after it is just %s.", doc.Name)
	return next
}

// openHeredoc is the first heredoc of an instruction that nothing ends, and its place in the text.
func (r *reader) openHeredoc(head joined, name string, args span) (*parser.Heredoc, int) {
	switch strings.ToLower(name) {
	case command.Run, command.Copy, command.Add, command.Onbuild:
	default:
		return nil, 0
	}
	for _, w := range split(head.text, args.from, args.to) {
		if doc := parser.MustParseHeredoc(string(head.text[w.from:w.to])); doc != nil {
			return doc, w.from
		}
	}
	return nil, 0
}

// looksLikeInstruction reports whether a line begins with the name of an instruction, in the case of another one.
func looksLikeInstruction(line []byte, other string) bool {
	word, _, found := strings.Cut(string(line), " ")
	_, known := command.Commands[strings.ToLower(word)]
	inCase := strings.ToUpper
	if other == strings.ToLower(other) {
		inCase = strings.ToLower
	}
	return found && known && word == inCase(word)
}

// join joins the lines of the instruction that begins at a line as BuildKit does, and gives its last line without
// heredoc bodies.
func (r *reader) join(line int) (joined, int) {
	var j joined
	first := line
	for ; line <= r.o.lines.count(); line++ {
		text := bytes.TrimRight(r.line(line), "\r\n")
		from := 0
		if trimmed := bytes.TrimLeftFunc(text, unicode.IsSpace); line == first {
			from = len(text) - len(trimmed)
		} else if len(trimmed) == 0 || trimmed[0] == '#' {
			continue
		}
		to, more := continued(text, byte(r.o.Escape))
		j.add(r.o.Source, r.source(line, from), r.source(line, max(from, to)))
		if !more {
			return j, line
		}
	}
	return j, line - 1
}

// continued gives the end of a line without the continuation character, and whether there is one.
func continued(text []byte, escape byte) (int, bool) {
	t := bytes.TrimRight(text, " \t")
	n := len(t)
	if n > 0 && t[n-1] == escape && (n == 1 || t[n-2] != escape) {
		return n - 1, true
	}
	return len(text), false
}

// heredocs adds the bodies, which begin behind the line end.
func (r *reader) heredocs(in *Instruction, n *parser.Node, end int) {
	line := end + 1
	for _, doc := range n.Heredocs {
		lines := strings.Count(doc.Content, "\n")
		h := Heredoc{Name: doc.Name, Content: doc.Content, Expand: doc.Expand, Chomp: doc.Chomp}
		if doc.Chomp {
			h.Content = parser.ChompHeredocContent(doc.Content)
		}
		from, to := r.o.lines.starts[line-1], r.o.lines.starts[line-1]
		if lines > 0 {
			_, to = r.o.lines.bounds(line + lines - 1)
		}
		h.Range = r.o.span(from, to)
		in.Heredocs = append(in.Heredocs, h)
		line += lines + 1
	}
}
