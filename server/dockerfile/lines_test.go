package dockerfile

import (
	"testing"
	"unicode/utf8"

	"slipway/server/play"
)

func TestPositions(t *testing.T) {
	for _, c := range []struct {
		text   string
		offset int
		want   play.Position
	}{
		{"", 0, play.Position{Line: 1, Column: 1}},
		{"ab\ncd", 0, play.Position{Line: 1, Column: 1}},
		{"ab\ncd", 2, play.Position{Line: 1, Column: 3}},
		{"ab\ncd", 3, play.Position{Line: 2, Column: 1}},
		{"ab\ncd", 99, play.Position{Line: 2, Column: 3}},
		{"ab\r\ncd", 3, play.Position{Line: 1, Column: 3}},
		{"ab\r\ncd", 4, play.Position{Line: 2, Column: 1}},
		{"é漢\U0001F600x", 9, play.Position{Line: 1, Column: 4}},
		{"\xef\xbb\xbfFROM", 3, play.Position{Line: 1, Column: 2}},
		{"a\n", 2, play.Position{Line: 2, Column: 1}},
	} {
		if got := newLines([]byte(c.text)).position(c.offset); got != c.want {
			t.Errorf("%q at %d: %v, want %v", c.text, c.offset, got, c.want)
		}
	}
}

// FuzzPositions: places are ordered as offsets are, and Offset is the inverse of Position.
func FuzzPositions(f *testing.F) {
	f.Add([]byte("FROM a\r\nRUN é\n\n漢"))
	f.Add([]byte("\x80\x80\n\xff"))
	f.Fuzz(func(t *testing.T, src []byte) {
		o := Outline{Source: src, lines: newLines(src)}
		valid := utf8.Valid(src)
		last := play.Position{}
		for i := 0; i <= len(src); i++ {
			p := o.Position(i)
			if p.Before(last) {
				t.Fatalf("offset %d is at %v, the one before at %v", i, p, last)
			}
			last = p
			if i < len(src) && (!begins(src[i]) || src[i] == '\n') {
				continue
			}
			if back := o.Offset(p); valid && back != i {
				t.Fatalf("offset %d is at %v, which is offset %d", i, p, back)
			}
		}
	})
}
