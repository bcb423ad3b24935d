package view

import (
	"html"
	"slices"
	"strings"

	"slipway/server/play"
)

// maxSpans is how many changes of look a line may have in HTML. What follows has none.
const maxSpans = 256

// console is the lines of a job, in the order in which they began, and which of them changed when.
type console struct {
	lines   []*line
	changes []change // ascending by seq; an entry is stale if its line has changed again
}

type change struct {
	seq int64
	n   int
}

type line struct {
	n      int
	vertex *vertex
	stream int
	at     play.Millis
	seq    int64 // of the event that last changed it
	row    *row  // while it can still change
	text   string
	html   string
}

func (c *console) begin(v *vertex, stream int, at play.Millis, seq int64, r *row) {
	l := &line{n: len(c.lines) + 1, vertex: v, stream: stream, at: at, row: r}
	r.line = l
	c.lines = append(c.lines, l)
	v.lines = append(v.lines, l)
	c.touch(l, seq)
}

func (c *console) touch(l *line, seq int64) {
	if l.seq == seq {
		return
	}
	l.seq = seq
	if len(c.changes) > 2*len(c.lines)+64 {
		c.changes = slices.DeleteFunc(c.changes, func(ch change) bool { return c.lines[ch.n-1].seq != ch.seq })
	}
	c.changes = append(c.changes, change{seq, l.n})
}

// since are the lines that changed after seq, by number.
func (c *console) since(seq int64) []*line {
	i, _ := slices.BinarySearchFunc(c.changes, seq+1, func(ch change, s int64) int { return int(ch.seq - s) })
	var out []*line
	for _, ch := range c.changes[i:] {
		if l := c.lines[ch.n-1]; l.seq == ch.seq {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b *line) int { return a.n - b.n })
	return out
}

// seal makes the line final.
func (l *line) seal() {
	if l.row != nil {
		l.text, l.html = l.row.render()
		l.row = nil
	}
}

func (l *line) show() Line {
	out := Line{
		N: l.n, Step: l.vertex.step, Vertex: l.vertex.Digest, Stream: l.stream, At: l.at,
		Text: l.text, HTML: l.html,
	}
	if l.row != nil {
		out.Text, out.HTML = l.row.render()
		out.Open = !l.row.ended
	}
	return out
}

func show(lines []*line) []Line {
	out := make([]Line, len(lines))
	for i, l := range lines {
		out[i] = l.show()
	}
	return out
}

// render gives the row as plain text and as HTML: text, and for each run of one look a span with classes, or a
// link. Blanks at the end that can't be seen are left out.
func (r *row) render() (plain, markup string) {
	end := len(r.cells)
	for end > 0 && r.cells[end-1].r == ' ' && r.cells[end-1].style.plain() && r.marks[end-1] == "" {
		end--
	}
	var t, h strings.Builder
	t.Grow(end)
	spans, open, look := 0, "", style{}
	for i, c := range r.cells[:end] {
		if c.r == second {
			continue
		}
		if c.style != look {
			h.WriteString(open)
			open, look = "", c.style
			if look != (style{}) && spans < maxSpans {
				spans++
				open = r.tag(&h, look)
			}
		}
		t.WriteRune(c.r)
		escape(&h, c.r)
		if marks := r.marks[i]; marks != "" {
			t.WriteString(marks)
			h.WriteString(marks)
		}
	}
	h.WriteString(open)
	if h.String() == t.String() {
		return t.String(), t.String()
	}
	return t.String(), h.String()
}

// tag opens the element of a look and returns what closes it.
func (r *row) tag(h *strings.Builder, s style) string {
	classes := s.classes()
	if s.link == 0 {
		h.WriteString(`<span class="` + classes + `">`)
		return "</span>"
	}
	h.WriteString(`<a href="` + html.EscapeString((*r.links)[s.link-1]) + `" rel="nofollow noopener noreferrer" target="_blank"`)
	if classes != "" {
		h.WriteString(` class="` + classes + `"`)
	}
	h.WriteByte('>')
	return "</a>"
}

func escape(h *strings.Builder, r rune) {
	switch r {
	case '&':
		h.WriteString("&amp;")
	case '<':
		h.WriteString("&lt;")
	case '>':
		h.WriteString("&gt;")
	case '"':
		h.WriteString("&#34;")
	case '\'':
		h.WriteString("&#39;")
	default:
		h.WriteRune(r)
	}
}
