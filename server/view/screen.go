package view

import (
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

const (
	window   = 32   // rows above the last that a program can still reach
	maxCells = 8192 // characters of a line; a longer one goes on in the next
	maxJump  = 240  // column that a program can move to without writing; bounds the blanks a few bytes can make
	maxMarks = 8    // combining characters on one cell
	maxLinks = 1000 // links of one stream
)

// screen is a terminal without a top: the last rows of one stream, which the program can still change. Rows
// that leave the window are final. It exists rather than a library's because a page needs what those don't
// keep: which line a row is, from its first character on, and which rows have changed.
type screen struct {
	codes  codes
	rows   []*row
	x, y   int // the cursor; y is len(rows) before a new row's first character
	bottom int // the lowest y reached: len(rows), or the last row's while it has no end
	style  style
	links  *[]string // addresses; the rows share them

	begin func(*row) // gives a new row its line
	touch func(*row) // a row has changed
}

// row is one line of a screen.
type row struct {
	cells []cell
	marks map[int]string // combining characters by column
	links *[]string      // of the screen
	line  *line
	ended bool // a newline came
}

// cell is one column. The second column of a wide character holds no rune.
type cell struct {
	r     rune
	style style
}

const second = -1 // the rune of a wide character's second column

func newScreen(begin, touch func(*row)) *screen {
	return &screen{links: new([]string), begin: begin, touch: touch}
}

func (s *screen) write(data string) { s.codes.write(data, s) }

// row is where the cursor is, begun if need be.
func (s *screen) row() *row {
	if s.y == len(s.rows) {
		r := &row{links: s.links}
		s.begin(r)
		if len(s.rows) == window {
			s.rows[0].line.seal()
			r.cells = s.rows[0].cells[:0]
			s.rows = append(s.rows[:0], s.rows[1:]...)
			s.y--
			s.bottom--
		}
		s.rows = append(s.rows, r)
	}
	r := s.rows[s.y]
	s.touch(r)
	return r
}

func (s *screen) newline() {
	s.row().ended = true
	s.y++
	s.x = 0
	s.bottom = max(s.bottom, s.y)
}

// close ends what is open: the stream goes on, if it does, on a new line.
func (s *screen) close() {
	if s.bottom < len(s.rows) {
		s.rows[s.bottom].ended = true
		s.touch(s.rows[s.bottom])
	}
	for _, r := range s.rows {
		r.line.seal()
	}
	*s = *newScreen(s.begin, s.touch)
}

func (s *screen) char(r rune) {
	if r >= 0x300 {
		if unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			s.spell(r)
			return
		}
		if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
			s.combine(r)
			return
		}
		switch width.LookupRune(r).Kind() {
		case width.EastAsianWide, width.EastAsianFullwidth:
			s.put(r, 2)
			return
		}
	}
	s.put(r, 1)
}

// spell writes a character that would reorder or break the line by its code point.
func (s *screen) spell(r rune) {
	look := s.style
	s.style = style{attrs: control}
	for _, c := range "⟨U+" + strings.ToUpper(strconv.FormatInt(int64(r), 16)) + "⟩" {
		s.put(c, 1)
	}
	s.style = look
}

func (s *screen) put(r rune, columns int) {
	if s.x+columns > maxCells {
		s.newline()
	}
	row := s.row()
	row.clear(s.x, s.x+columns)
	row.grow(s.x + columns)
	row.cells[s.x] = cell{r, s.style}
	if columns == 2 {
		row.cells[s.x+1] = cell{second, s.style}
	}
	s.x += columns
}

// combine puts a character without width on the one before the cursor.
func (s *screen) combine(r rune) {
	if s.x == 0 {
		s.put(' ', 1)
	}
	row := s.row()
	at := s.x - 1
	row.grow(at + 1)
	if row.cells[at].r == second {
		at--
	}
	if row.marks == nil {
		row.marks = map[int]string{}
	}
	if marks := row.marks[at]; len([]rune(marks)) < maxMarks {
		row.marks[at] = marks + string(r)
	}
}

func (s *screen) control(r rune) {
	switch r {
	case '\n':
		s.newline()
	case '\r':
		s.x = 0
	case '\b':
		s.x = max(0, s.x-1)
	case '\t':
		s.x = min(max(s.x, maxCells-8), (s.x/8+1)*8)
	}
}

// sequence carries out what moves the cursor, erases, or sets the look. Positions counted from the top of the
// screen mean nothing here, and erasing the whole screen would erase a log: both are ignored.
func (s *screen) sequence(params string, final rune) {
	if final == 'm' {
		if strings.Trim(params, "0123456789;:") == "" {
			s.style = s.style.sgr(params)
		}
		return
	}
	n, err := strconv.Atoi(params)
	if params != "" && (err != nil || n < 0) {
		return // private or unknown, e.g. "?25h"
	}
	n = min(n, maxCells)
	count := max(1, n)
	switch final {
	case 'A':
		s.y = max(0, s.y-count)
	case 'B':
		s.y = min(s.bottom, s.y+count)
	case 'C':
		s.x = max(s.x, min(s.x+count, maxJump))
	case 'D':
		s.x = max(0, s.x-count)
	case 'E':
		s.x, s.y = 0, min(s.bottom, s.y+count)
	case 'F':
		s.x, s.y = 0, max(0, s.y-count)
	case 'G':
		s.x = min(count-1, max(s.x, maxJump))
	case 'J':
		if n == 0 {
			s.erase(s.y, s.x, maxCells)
			for y := s.y + 1; y < len(s.rows); y++ {
				s.erase(y, 0, maxCells)
			}
		}
	case 'K':
		switch n {
		case 0:
			s.erase(s.y, s.x, maxCells)
		case 1:
			s.erase(s.y, 0, s.x+1)
		case 2:
			s.erase(s.y, 0, maxCells)
		}
	}
}

func (s *screen) erase(y, from, to int) {
	if y >= len(s.rows) {
		return
	}
	r := s.rows[y]
	r.clear(from, to)
	if to >= len(r.cells) && from < len(r.cells) {
		r.cells = r.cells[:from]
	}
	s.touch(r)
}

// link makes what follows a link, if the address is one of the web.
func (s *screen) link(address string) {
	s.style.link = 0
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || len(*s.links) >= maxLinks {
		return
	}
	*s.links = append(*s.links, u.String())
	s.style.link = uint16(len(*s.links))
}

// clear blanks the columns from up to to, and the other half of every wide character that it cuts.
func (r *row) clear(from, to int) {
	to = min(to, len(r.cells))
	if from >= to {
		return
	}
	if r.cells[from].r == second {
		from--
	}
	if to < len(r.cells) && r.cells[to].r == second {
		to++
	}
	for i := from; i < to; i++ {
		r.cells[i] = cell{r: ' '}
	}
	for i := range r.marks {
		if i >= from && i < to {
			delete(r.marks, i)
		}
	}
}

func (r *row) grow(n int) {
	for len(r.cells) < n {
		r.cells = append(r.cells, cell{r: ' '})
	}
}
