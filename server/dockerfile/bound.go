package dockerfile

import (
	"unicode"
	"unicode/utf8"
)

// BuildKit expands variables without a bound: 22 lines of ENV A=$A$A make a gigabyte. This file says how long the
// result can be at most, from the lengths of the variables alone, without making it.

const (
	huge       = 1 << 40 // more than anything that is allowed
	maxNesting = 64      // of ${…} in ${…}
)

// bound is the most bytes that expanding the variables of a word can give. size tells the length of a variable.
func bound(word string, escape rune, size func(name string) int) int {
	b := bounder{text: word, escape: escape, size: size}
	return b.until(end, 0)
}

const end = rune(-1)

// nested reports whether ${…} is nested deeper than is allowed. Looking for heredocs, BuildKit takes a backslash for
// the escape character whatever the file says.
func nested(text string) bool {
	return bound(text, '\\', func(string) int { return 0 }) >= huge
}

type bounder struct {
	text   string
	pos    int
	escape rune
	size   func(string) int
}

func (b *bounder) peek() (rune, int) { return utf8.DecodeRuneInString(b.text[b.pos:]) }

// until reads up to and with a stop character that is neither quoted nor escaped, or to the end.
func (b *bounder) until(stop rune, depth int) int {
	n := 0
	for b.pos < len(b.text) {
		ch, width := b.peek()
		switch {
		case ch == stop:
			b.pos += width
			return n
		case ch == b.escape:
			b.pos += width
			_, next := b.peek()
			b.pos += next
			n = add(n, width+next)
		case ch == '\'':
			n = add(n, b.single())
		case ch == '"':
			b.pos += width
			n = add(n, add(2, b.double(depth)))
		case ch == '$':
			b.pos += width
			n = add(n, b.dollar(depth))
		default:
			b.pos += width
			n = add(n, width)
		}
	}
	return n
}

// single reads a single-quoted string.
func (b *bounder) single() int {
	start := b.pos
	b.pos++
	for b.pos < len(b.text) && b.text[b.pos] != '\'' {
		b.pos++
	}
	b.pos = min(b.pos+1, len(b.text))
	return b.pos - start
}

// double reads the rest of a double-quoted string.
func (b *bounder) double(depth int) int {
	n := 0
	for b.pos < len(b.text) {
		ch, width := b.peek()
		b.pos += width
		switch ch {
		case '"':
			return n
		case '$':
			n = add(n, b.dollar(depth))
		case b.escape:
			_, next := b.peek()
			b.pos += next
			n = add(n, width+next)
		default:
			n = add(n, width)
		}
	}
	return n
}

// dollar reads what follows a "$".
func (b *bounder) dollar(depth int) int {
	if b.pos >= len(b.text) || b.text[b.pos] != '{' {
		start := b.pos
		name := b.name()
		return add(1+b.pos-start, b.size(name))
	}
	start := b.pos
	b.pos++
	value := b.size(b.name())
	if b.pos >= len(b.text) {
		return add(value, b.pos-start)
	}
	if depth >= maxNesting {
		return huge
	}
	ch, width := b.peek()
	b.pos += width
	switch ch {
	case '}':
		// SkipUnsetEnv leaves an unset one as written
		return max(value, b.pos-start+1)
	case '/':
		pattern := b.until('/', depth+1)
		each := b.until('}', depth+1)
		// Every byte of the value may match, and the replacement may repeat the match: $0.
		return add(add(value, pattern), mul(2*(value+1), each))
	default: // :- :+ :? - + ? # %
		return add(add(value, b.until('}', depth+1)), 8)
	}
}

// name reads a variable's name.
func (b *bounder) name() string {
	start := b.pos
	for b.pos < len(b.text) {
		ch, width := b.peek()
		if !unicode.IsLetter(ch) && !unicode.IsDigit(ch) && ch != '_' {
			break
		}
		b.pos += width
	}
	return b.text[start:b.pos]
}

func add(a, b int) int { return min(a+b, huge) }

func mul(a, b int) int {
	if a > 0 && b > huge/a {
		return huge
	}
	return a * b
}
