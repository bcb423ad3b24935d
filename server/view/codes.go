package view

import "unicode/utf8"

// codes splits a stream of text into characters, controls and escape sequences. It keeps its place between
// two writes, so a sequence may come in pieces; it holds at most maxCode bytes of one.
//
// Only what changes the text on a screen or its look gets through: control sequences, which the screen picks
// from, and OSC 8, which makes links. Everything else a terminal understands (titles, images, device control,
// application commands) is dropped here. A sequence that never ends is given up at the end of its line, so
// that it can't swallow what comes after it.
type codes struct {
	state codeState
	buf   []byte // of the sequence so far, without its introducer
	lost  bool   // the sequence is longer than maxCode
}

type codeState uint8

const (
	text      codeState = iota
	afterEsc            // after ESC
	charset             // ESC and an intermediate byte: one more follows
	csi                 // control sequence
	osc                 // operating system command
	opaque              // a string that nobody here reads: DCS, SOS, PM, APC
	oscEnd              // ESC inside an OSC
	opaqueEnd           // ESC inside an opaque string
)

// maxCode is the longest escape sequence that is read, in bytes: more than the 2,083 characters that browsers
// agree on for an address.
const maxCode = 4096

// handler is what codes found; the screen implements it.
type handler interface {
	char(r rune)                        // a character to show
	control(r rune)                     // \n, \r, \b, \t
	sequence(params string, final rune) // CSI
	link(url string)                    // OSC 8; "" ends the link
}

func (c *codes) write(data string, h handler) {
	for len(data) > 0 {
		r, n := utf8.DecodeRuneInString(data)
		data = data[n:]
		c.next(r, h)
	}
}

func (c *codes) next(r rune, h handler) {
	switch {
	case r == 0x18 || r == 0x1a: // CAN and SUB end any sequence
		c.state = text
		return
	case r == '\n' && c.state != text: // nothing goes over the end of a line
		if c.state != csi {
			c.state = text
		}
		h.control(r)
		return
	}
	switch c.state {
	case text:
		c.plain(r, h)
	case afterEsc:
		c.begin(r)
	case charset:
		if r < 0x20 || r > 0x2f {
			c.state = text
		}
	case csi:
		switch {
		case r == 0x1b:
			c.state = afterEsc
		case r == '\r' || r == '\b':
			h.control(r)
		case r >= 0x20 && r < 0x40:
			c.keep(r)
		case r >= 0x40 && r <= 0x7e:
			c.state = text
			if !c.lost {
				h.sequence(string(c.buf), r)
			}
		case r > 0x7e: // not a sequence after all
			c.state = text
			c.plain(r, h)
		}
	case osc, oscEnd:
		switch {
		case r == 0x07 || r == 0x9c || c.state == oscEnd && r == '\\':
			c.state = text
			c.command(h)
		case c.state == oscEnd: // ESC begins another sequence
			c.begin(r)
		case r == 0x1b:
			c.state = oscEnd
		default:
			c.keep(r)
		}
	case opaque, opaqueEnd:
		switch {
		case r == 0x07 || r == 0x9c || c.state == opaqueEnd && r == '\\':
			c.state = text
		case c.state == opaqueEnd:
			c.begin(r)
		case r == 0x1b:
			c.state = opaqueEnd
		}
	}
}

func (c *codes) plain(r rune, h handler) {
	switch {
	case r == 0x1b:
		c.state = afterEsc
	case r == '\n' || r == '\r' || r == '\b' || r == '\t':
		h.control(r)
	case r < 0x20 || r == 0x7f:
	case r >= 0x80 && r < 0xa0: // the eight-bit forms of ESC and a letter
		if r == 0x90 || r >= 0x98 {
			c.begin(r - 0x40)
		}
	default:
		h.char(r)
	}
}

// begin takes the character after ESC.
func (c *codes) begin(r rune) {
	c.buf, c.lost = c.buf[:0], false
	switch {
	case r == '[':
		c.state = csi
	case r == ']':
		c.state = osc
	case r == 'P' || r == 'X' || r == '^' || r == '_':
		c.state = opaque
	case r >= 0x20 && r <= 0x2f:
		c.state = charset
	case r == 0x1b:
		c.state = afterEsc
	default:
		c.state = text
	}
}

func (c *codes) keep(r rune) {
	if len(c.buf) >= maxCode {
		c.lost = true
		return
	}
	c.buf = utf8.AppendRune(c.buf, r)
}

// command takes a whole OSC: "8;parameters;address" is a link, and nothing else is known here.
func (c *codes) command(h handler) {
	if c.lost || len(c.buf) < 3 || string(c.buf[:2]) != "8;" {
		return
	}
	for i, b := range c.buf[2:] {
		if b == ';' {
			h.link(string(c.buf[2+i+1:]))
			return
		}
	}
}
