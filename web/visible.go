package web

import (
	"fmt"
	"strings"
	"unicode"
)

// visible spells out the characters of a source text that would hide, reorder or break what stands beside them, as the
// log does. Tabs stay.
func visible(text string) string {
	hides := func(r rune) bool {
		return r != '\t' && r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029')
	}
	if !strings.ContainsFunc(text, hides) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if hides(r) {
			fmt.Fprintf(&b, "⟨U+%04X⟩", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
