package view_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"slipway/server/play"
	"slipway/server/view"

	"golang.org/x/net/html"
)

// FuzzConsole: whatever a program prints, in whatever pieces, the lines don't depend on the pieces, the HTML
// holds nothing but spans with classes and links to the web, and shows the same text.
func FuzzConsole(f *testing.F) {
	for _, s := range []string{
		"\x1b[31mred\x1b[0m\n", "10%\r100%\n", "\x1b]8;;http://a.example/\"><script>\x07x\x1b]8;;\x07",
		"\x1b]1338;url=http://evil.example/x.png\x07", "a\nb\n\x1b[2A\x1b[Jc", "\u202e你\u0301\b\b", "<script>alert(1)</script>",
		"\x1b]8;;javascript:alert(1)\x07x", "\x1b]8;id=\"onclick=\";http://\x07x\n\x1b[999C\x1b[38;2;1;2;3mx", "\x1b_bk;t=\x1b\\",
	} {
		f.Add(s, uint16(3))
	}
	f.Fuzz(func(t *testing.T, in string, size uint16) {
		in = strings.ToValidUTF8(in, "\ufffd")
		whole := fold(in)
		var pieces []string
		var part strings.Builder
		for _, r := range in {
			part.WriteRune(r)
			if part.Len() > int(size%17) {
				pieces = append(pieces, part.String())
				part.Reset()
			}
		}
		parts := fold(append(pieces, part.String())...)
		if len(parts) != len(whole) {
			t.Fatalf("%d lines in one piece, %d in several", len(whole), len(parts))
		}
		for i, l := range whole {
			if l != parts[i] {
				t.Fatalf("in one piece  %+v\nin several %+v", l, parts[i])
			}
			if l.N != i+1 || strings.ContainsAny(l.Text, "\x1b\n\r\x00") {
				t.Fatalf("line %d: %+v", i+1, l)
			}
			if shown := safe(t, l.HTML); shown != l.Text {
				t.Fatalf("the page shows %q for %q", shown, l.Text)
			}
		}
	})
}

// safe fails unless markup holds only what a line may, balanced, and returns its text.
func safe(t *testing.T, markup string) string {
	t.Helper()
	var shown strings.Builder
	z := html.NewTokenizer(strings.NewReader(markup))
	open := ""
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			if open != "" {
				t.Fatalf("<%s> is not closed: %q", open, markup)
			}
			return shown.String()
		case html.TextToken:
			shown.WriteString(z.Token().Data)
		case html.StartTagToken, html.EndTagToken:
			tok := z.Token()
			if kind == html.EndTagToken {
				if tok.Data != open {
					t.Fatalf("</%s> closes <%s>: %q", tok.Data, open, markup)
				}
				open = ""
				continue
			}
			if open != "" {
				t.Fatalf("<%s> in <%s>: %q", tok.Data, open, markup)
			}
			open = tok.Data
			for _, a := range tok.Attr {
				switch {
				case a.Key == "class" && strings.Trim(a.Val, "abcdefghijklmnopqrstuvwxyz0123456789- ") == "":
				case tok.Data == "a" && a.Key == "rel" && a.Val == "nofollow noopener noreferrer":
				case tok.Data == "a" && a.Key == "target" && a.Val == "_blank":
				case tok.Data == "a" && a.Key == "href" && (strings.HasPrefix(a.Val, "http://") || strings.HasPrefix(a.Val, "https://")):
				default:
					t.Fatalf("%s=%q: %q", a.Key, a.Val, markup)
				}
			}
			if tok.Data != "a" && tok.Data != "span" {
				t.Fatalf("<%s>: %q", tok.Data, markup)
			}
		default:
			t.Fatalf("%v in %q", kind, markup)
		}
	}
}

// FuzzFold: any log folds, and reading it changes nothing.
func FuzzFold(f *testing.F) {
	f.Add([]byte(`{"seq":1,"at":0,"kind":"planned","steps":[{"n":1,"instruction":"RUN","vertices":["a"]}]}` + "\n" +
		`{"seq":2,"at":1,"kind":"vertex","digest":"a","started":5,"completed":1}` + "\n" +
		`{"seq":3,"at":1,"kind":"output","vertex":"a","stream":7,"data":"x"}` + "\n" +
		`{"seq":4,"at":1,"kind":"finished","outcome":"failed","step":-1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var j view.Job
		for line := range strings.Lines(string(b)) {
			var e play.Event
			if e.UnmarshalJSON([]byte(line)) != nil {
				continue
			}
			j.Apply(e)
		}
		before := text(j.Timeline())
		var out strings.Builder
		if err := view.NewText(&out).Write(&j); err != nil {
			t.Fatal(err)
		}
		j.Changed(0)
		j.Summary()
		j.StepLines(1, 10)
		j.Lines(int(binary.BigEndian.Uint32(append(b[:min(4, len(b)):4], 0, 0, 0, 0))), 1)
		if text(j.Timeline()) != before {
			t.Fatal("reading changed the timeline")
		}
	})
}
