package dockerfile

import (
	"bytes"
	"sort"

	"slipway/server/play"
)

// lines finds places in a text: lines end with "\n" or "\r\n" and count from 1, columns are code points and count
// from 1. A column is counted as the bytes before it that begin a code point, so that invalid UTF-8 has places too.
type lines struct {
	src    []byte
	starts []int // offset of each line; the first is 0
	runes  []int // code points before offset i*stride: keeps a look-up in a long line short
}

const stride = 64

func newLines(src []byte) lines {
	l := lines{src: src, starts: []int{0}, runes: make([]int, 0, len(src)/stride+1)}
	n := 0
	for i, b := range src {
		if i%stride == 0 {
			l.runes = append(l.runes, n)
		}
		if begins(b) {
			n++
		}
		if b == '\n' {
			l.starts = append(l.starts, i+1)
		}
	}
	if len(src)%stride == 0 {
		l.runes = append(l.runes, n)
	}
	return l
}

func begins(b byte) bool { return b&0xC0 != 0x80 }

// count is the number of lines; a text that ends with a line end has an empty last line.
func (l lines) count() int { return len(l.starts) }

// bounds are the offsets of a line, from 1, without its line end.
func (l lines) bounds(line int) (start, end int) {
	start, end = l.starts[line-1], len(l.src)
	if line < len(l.starts) {
		end = l.starts[line] - 1
		if end > start && l.src[end-1] == '\r' {
			end--
		}
	}
	return start, end
}

func (l lines) text(line int) []byte {
	start, end := l.bounds(line)
	return l.src[start:end]
}

func (l lines) line(offset int) int {
	return sort.Search(len(l.starts), func(i int) bool { return l.starts[i] > offset })
}

// before is the number of code points that begin before offset.
func (l lines) before(offset int) int {
	n := l.runes[offset/stride]
	for _, b := range l.src[offset/stride*stride : offset] {
		if begins(b) {
			n++
		}
	}
	return n
}

func (l lines) position(offset int) play.Position {
	offset = max(0, min(offset, len(l.src)))
	line := l.line(offset)
	start, end := l.bounds(line)
	return play.Position{Line: line, Column: 1 + l.before(min(offset, end)) - l.before(start)}
}

func (l lines) offset(p play.Position) int {
	switch {
	case p.Line < 1:
		return 0
	case p.Line > l.count():
		return len(l.src)
	}
	start, end := l.bounds(p.Line)
	want := l.before(start) + p.Column
	return start + sort.Search(end-start, func(i int) bool { return l.before(start+i+1) >= want })
}

// trimmed is the range of a line without the white space around it.
func (l lines) trimmed(line int) play.Range {
	start, end := l.bounds(line)
	t := l.src[start:end]
	start = end - len(bytes.TrimLeft(t, " \t\r\v\f"))
	end = start + len(bytes.TrimSpace(l.src[start:end]))
	return play.Range{Start: l.position(start), End: l.position(end)}
}

// joined is an instruction's text made from pieces of the source, and the way back.
type joined struct {
	text   []byte
	pieces []piece
}

// piece says that text[at:] comes from src[from:], until the next piece.
type piece struct{ at, from int }

func (j *joined) add(src []byte, from, to int) {
	if from == to && len(j.pieces) > 0 {
		return // but the first piece says where a text without a byte is
	}
	j.pieces = append(j.pieces, piece{at: len(j.text), from: from})
	j.text = append(j.text, src[from:to]...)
}

// slice is the joined text from an offset on.
func (j joined) slice(at int) joined {
	out := joined{text: j.text[at:]}
	for i, p := range j.pieces {
		if i+1 < len(j.pieces) && j.pieces[i+1].at <= at {
			continue
		}
		ahead := max(0, at-p.at)
		out.pieces = append(out.pieces, piece{at: p.at + ahead - at, from: p.from + ahead})
	}
	return out
}

// source is the offset in the source of text[at].
func (j joined) source(at int) int {
	if len(j.pieces) == 0 {
		return 0
	}
	at = max(0, min(at, len(j.text)))
	i := sort.Search(len(j.pieces), func(i int) bool { return j.pieces[i].at > at }) - 1
	return j.pieces[i].from + at - j.pieces[i].at
}

// sourceEnd is the offset in the source of the end of text[:at]: behind its last byte, not before the next one.
func (j joined) sourceEnd(at int) int {
	if at <= 0 {
		return j.source(0)
	}
	return j.source(at-1) + 1
}
