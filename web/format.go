package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"slipway/server/play"
)

// size writes bytes as Docker does: powers of ten, two or three digits.
func size(n int64) string {
	f, unit := float64(n), "B"
	for _, u := range []string{"kB", "MB", "GB", "TB"} {
		if math.Abs(f) < 999.5 {
			break
		}
		f, unit = f/1000, u
	}
	if unit == "B" || math.Abs(f) >= 9.95 {
		return strconv.FormatFloat(f, 'f', 0, 64) + " " + unit
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + unit
}

// span writes a length of time: "84 ms", "6.1 s", "48 s", "2 min 5 s".
func span(m play.Millis) string {
	d := max(time.Duration(m), 0)
	switch {
	case d < 95*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute-500*time.Millisecond:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	s := int(d.Round(time.Second).Seconds())
	if s < 3600 {
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	}
	return fmt.Sprintf("%d h %d min", s/3600, s/60%60)
}

// count writes a number with its noun: count(1, "file") is "1 file", count(4312, "line") is "4,312 lines".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return group(n) + " " + noun + "s"
}

// group writes a number with a comma between thousands.
func group(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// shortDigest is a digest's algorithm and first twelve digits.
func shortDigest(d string) string {
	if i := strings.IndexByte(d, ':'); i >= 0 && len(d) > i+13 {
		return d[:i+13]
	}
	return d
}

// clip is the first n characters of a text's first line.
func clip(s string, n int) string {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		s = strings.TrimRight(s[:i], "\r")
		if utf8.RuneCountInString(s) <= n {
			return s + " …"
		}
	}
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n]) + "…"
}

// isText reports whether a form can carry b and give it back unchanged.
func isText(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	for i, c := range b {
		switch {
		case c == 0:
			return false
		case c == '\r' && (i+1 == len(b) || b[i+1] != '\n'):
			return false
		}
	}
	return true
}

// lineEnds is "crlf" if every line of b ends so; a text that mixes both is carried as it is by base64.
func lineEnds(b []byte) (eol string, mixed bool) {
	s := string(b)
	crlf, lf := strings.Count(s, "\r\n"), strings.Count(s, "\n")
	switch {
	case crlf == 0:
		return "", false
	case crlf == lf:
		return "crlf", false
	}
	return "", true
}
