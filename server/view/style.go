package view

import (
	"strconv"
	"strings"
)

// style is how a character looks. The zero value is the terminal's own look.
type style struct {
	fg, bg uint16 // 0: the default; else one more than an index into the palette of 256 colours
	attrs  attrs
	link   uint16 // 0: none; else one more than an index into the screen's links
}

type attrs uint8

const (
	bold attrs = 1 << iota
	faint
	italic
	underline
	blink
	reverse
	strike
	control // not the program's doing: marks a control character that is shown in words
)

// attrClasses are the names that buildkite/terminal-to-html gives the same looks.
var attrClasses = [...]string{"term-fg1", "term-fg2", "term-fg3", "term-fg4", "term-fg5", "term-reverse", "term-fg9", "term-ctl"}

// plain reports whether a blank in this style can't be seen.
func (s style) plain() bool {
	return s.bg == 0 && s.attrs&(underline|reverse|strike) == 0
}

// classes are the style's CSS classes: term-fg30 to 37 and term-fgi90 to 97 for the sixteen named colours,
// term-fgx16 to 255 for the rest, the same with bg, and one for each attribute.
func (s style) classes() string {
	var b strings.Builder
	add := func(parts ...string) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		for _, p := range parts {
			b.WriteString(p)
		}
	}
	colour := func(c uint16, ground string, base int) {
		switch i := int(c) - 1; {
		case i < 0:
		case i < 8:
			add("term-", ground, strconv.Itoa(base+i))
		case i < 16:
			add("term-", ground, "i", strconv.Itoa(base+60+i-8))
		default:
			add("term-", ground, "x", strconv.Itoa(i))
		}
	}
	colour(s.fg, "fg", 30)
	colour(s.bg, "bg", 40)
	for i, class := range attrClasses {
		if s.attrs&(1<<i) != 0 {
			add(class)
		}
	}
	return b.String()
}

// sgr applies the parameters of one "select graphic rendition" sequence. A colour's parts may be separated by
// semicolons or, as the standard has it, by colons.
func (s style) sgr(params string) style {
	fields := strings.Split(params, ";")
	for i := 0; i < len(fields); i++ {
		head, sub, colons := strings.Cut(fields[i], ":")
		n, err := strconv.Atoi(head)
		if head == "" {
			n, err = 0, nil
		}
		if err != nil {
			continue
		}
		switch {
		case n == 38 || n == 48:
			var c uint16
			if colons {
				parts := strings.Split(sub, ":")
				if len(parts) == 5 { // 2:<colour space>:r:g:b
					parts = append(parts[:1], parts[2:]...)
				}
				c, _ = palette(parts)
			} else {
				var used int
				c, used = palette(fields[i+1:])
				i += used
			}
			if c == 0 {
				continue
			}
			if n == 38 {
				s.fg = c
			} else {
				s.bg = c
			}
		case n == 4 && colons && sub == "0":
			s.attrs &^= underline
		default:
			s = s.simple(n)
		}
	}
	return s
}

func (s style) simple(n int) style {
	switch {
	case n == 0:
		return style{link: s.link}
	case n == 1:
		s.attrs |= bold
	case n == 2:
		s.attrs |= faint
	case n == 3:
		s.attrs |= italic
	case n == 4:
		s.attrs |= underline
	case n == 5 || n == 6:
		s.attrs |= blink
	case n == 7:
		s.attrs |= reverse
	case n == 9:
		s.attrs |= strike
	case n == 21:
		s.attrs |= underline
	case n == 22:
		s.attrs &^= bold | faint
	case n == 23:
		s.attrs &^= italic
	case n == 24:
		s.attrs &^= underline
	case n == 25:
		s.attrs &^= blink
	case n == 27:
		s.attrs &^= reverse
	case n == 29:
		s.attrs &^= strike
	case n >= 30 && n <= 37:
		s.fg = uint16(n - 30 + 1)
	case n == 39:
		s.fg = 0
	case n >= 40 && n <= 47:
		s.bg = uint16(n - 40 + 1)
	case n == 49:
		s.bg = 0
	case n >= 90 && n <= 97:
		s.fg = uint16(n - 90 + 8 + 1)
	case n >= 100 && n <= 107:
		s.bg = uint16(n - 100 + 8 + 1)
	}
	return s
}

// palette reads what follows 38 or 48: "5;n", or "2;r;g;b", which is brought to the nearest of the 256 colours
// because a page without inline styles has no others. It returns 0 for what it can't read, and how many
// fields it used.
func palette(fields []string) (colour uint16, used int) {
	part := func(s string) (int, bool) {
		n, err := strconv.Atoi(s)
		return n, err == nil && n >= 0 && n <= 255
	}
	switch {
	case len(fields) >= 2 && fields[0] == "5":
		if n, ok := part(fields[1]); ok {
			return uint16(n + 1), 2
		}
		return 0, 2
	case len(fields) >= 4 && fields[0] == "2":
		r, okR := part(fields[1])
		g, okG := part(fields[2])
		b, okB := part(fields[3])
		if okR && okG && okB {
			return nearest(r, g, b), 4
		}
		return 0, 4
	}
	return 0, len(fields)
}

// nearest is the closest colour of the palette's 6×6×6 cube or of its 24 greys, as xterm lays them out.
func nearest(r, g, b int) uint16 {
	step := func(v int) (index, level int) {
		if v < 48 {
			return 0, 0
		}
		i := max(1, (v-35)/40)
		return i, 55 + 40*i
	}
	ri, rl := step(r)
	gi, gl := step(g)
	bi, bl := step(b)
	grey := min(23, max(0, ((r+g+b)/3-3)/10))
	level := 8 + 10*grey
	far := func(x, y, z int) int { return (x-r)*(x-r) + (y-g)*(y-g) + (z-b)*(z-b) }
	if far(level, level, level) < far(rl, gl, bl) {
		return uint16(232 + grey + 1)
	}
	return uint16(16 + 36*ri + 6*gi + bi + 1)
}
