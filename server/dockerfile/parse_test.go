package dockerfile

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"slipway/server/play"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// texts are Dockerfiles of every kind: seeds of the fuzzers and input of the comparison with BuildKit.
var texts = []string{
	"",
	"\n\n",
	"# only a comment\n",
	"FROM scratch",
	"FROM alpine:3.20 AS build\nRUN echo hi\nFROM build\nCOPY --from=build --chown=1:2 /a /b\n",
	"\xef\xbb\xbfFROM scratch\nCOPY a b\n",
	"# syntax=docker/dockerfile:1\n# escape=`\n\nFROM windows\nRUN dir ` \n  c:\\\nCOPY a `\n# comment\n\n b\n",
	"FROM a\r\nRUN x && \\\r\n    y\r\nENV A=1 B='2 3' C=\"4\\\"5\"\r\n",
	"FROM a\nRUN <<EOF\necho 1\nEOF\nRUN <<-\"E1\" cat <<E2\n\ta\n\tE1\nb\nE2\nCMD [\"a\", \"b\"]\n",
	"FROM a\nCOPY <<a.txt <<\"b.txt\" /dst/\nx $A\na.txt\ny\nb.txt\nUSER x\n",
	"RUN a\nFROM b\nRUN c\n",
	"FROM a\nRUNN b\nRUN c\nENV x\nLABEL a=b c\nRUN d\nCOPY a\nRUN --moutn=type=cache e\nUSER f\n",
	"FROM a\nRUN <<EOF\nsome text\nRUN b\nUSER c\n",
	"FROM a\nONBUILD RUN --mount=type=cache,target=/x make\nONBUILD ONBUILD RUN x\nONBUILD COPY <<E /a\nb\nE\nONBUILD FROM x\n",
	"FROM a\nRUN [\"x\", 1]\nCMD [\"é\", \"\\u00e9\", \"a\\\"b\"]\nRUN [ \"unfinished\"\nSHELL [\"sh\"]\n",
	"FROM a\nHEALTHCHECK --interval=5s CMD [\"x\", \"y\"]\nHEALTHCHECK NONE\nHEALTHCHECK CMD curl -f http://x\n",
	"FROM a\nEXPOSE 80 443/tcp\\\n 8080\nVOLUME [\"/a\"]\nVOLUME /b /c\nSTOPSIGNAL 9\nWORKDIR /a b\nMAINTAINER me <a@b>\nARG A B=2 C=\"3 4\"\n",
	"FROM a\nENV A b c\nENV  k   v   w  \nLABEL a=\"x\\\n y\" b=2\n",
	"FROM a\nRUN a \\\n\n\n  b \\\n# c\n  d\nRUN e\\\\\nRUN f\\\n",
	"# escape=x\n# escape=`\n# syntax=a\nFROM b\n",
	"#!/bin/x\n# check=skip=all\n# escape=`\nFROM b\n",
	"FROM --platform=$BUILDPLATFORM \"a\" AS Q\nCOPY --from='Q' --exclude=\"a b\" \\\n  --link x y\nRUN -- --x\n",
	"\tFROM a\n  RUN b\nfrom c as d\ncopy --from=0 a b\n",
	"FROM a\nRUN \u00a0x\u00a0\nENV \u3000A=漢字\u3000B=\U0001F600\n\u2003USER é\n",
	"FROM ${A\nRUN b\n",
	"# check=skip=A\nFROM a\n# check=skip=B // why\nRUN b\n",
	"\x80\xffFROM\x80 a\nRUN\xff\n",
}

// TestSplitsAsBuildKit holds our splitting of an instruction, which knows places, against BuildKit's own, which
// doesn't.
func TestSplitsAsBuildKit(t *testing.T) {
	for _, text := range texts {
		sameAsBuildKit(t, []byte(text))
	}
}

// FuzzSplitsAsBuildKit: whatever BuildKit's parser reads, the outline has the same instructions, flags and words.
func FuzzSplitsAsBuildKit(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(sameAsBuildKit)
}

func sameAsBuildKit(t *testing.T, src []byte) {
	res, err := parser.Parse(bytes.NewReader(src))
	if err != nil || !utf8.Valid(src) {
		return
	}
	o := Parse(src)
	if len(o.Instructions) != len(res.AST.Children) {
		t.Fatalf("%q: %d instructions, BuildKit has %d", src, len(o.Instructions), len(res.AST.Children))
	}
	for i, n := range res.AST.Children {
		in := o.Instructions[i]
		if got := string(in.text.text); got != n.Original {
			t.Fatalf("%q: the text of instruction %d is %q, BuildKit has %q", src, in.N, got, n.Original)
		}
		if !strings.EqualFold(in.Name, n.Value) {
			t.Fatalf("%q: instruction %d is %q, BuildKit has %q", src, in.N, in.Name, n.Value)
		}
		if start := n.StartLine; in.Range.Start.Line != start {
			t.Fatalf("%q: instruction %d is at %v, BuildKit has line %d", src, in.N, in.Range, start)
		}
		if (in.Form == ExecForm) != n.Attributes["json"] {
			t.Fatalf("%q: instruction %d has form %q, BuildKit has %v", src, in.N, in.Form, n.Attributes)
		}
		sameFlags(t, src, in, n)
		sameWords(t, src, in, n)
		if len(in.Heredocs) != len(n.Heredocs) {
			t.Fatalf("%q: instruction %d has %d heredocs, BuildKit has %d", src, in.N, len(in.Heredocs), len(n.Heredocs))
		}
		for j, h := range in.Heredocs {
			body := src[o.Offset(h.Range.Start):o.Offset(h.Range.End)]
			want := n.Heredocs[j].Content
			if len(body) > 0 && !strings.HasPrefix(want, string(body)) || strings.Trim(strings.TrimPrefix(want, string(body)), "\r\n") != "" {
				t.Fatalf("%q: the body of heredoc %s is %q, BuildKit has %q", src, h.Name, body, want)
			}
		}
	}
}

func sameFlags(t *testing.T, src []byte, in Instruction, n *parser.Node) {
	if len(in.Flags) != len(n.Flags) {
		t.Fatalf("%q: instruction %d has flags %v, BuildKit has %q", src, in.N, in.Flags, n.Flags)
	}
	for i, f := range in.Flags {
		// BuildKit takes the bytes of a flag for code points, so only ASCII can be compared.
		name, value, _ := strings.Cut(strings.TrimPrefix(n.Flags[i], "--"), "=")
		if ascii(f.Name+f.Value) && ascii(n.Flags[i]) && (f.Name != name || f.Value != value) {
			t.Fatalf("%q: instruction %d has flag %q=%q, BuildKit has %q", src, in.N, f.Name, f.Value, n.Flags[i])
		}
	}
}

func sameWords(t *testing.T, src []byte, in Instruction, n *parser.Node) {
	var want, got []string
	for w := n.Next; w != nil; w = w.Next {
		want = append(want, w.Value)
	}
	switch in.Name {
	case "ONBUILD":
		if len(in.Args) > 0 && n.Next.Children[0].Original != in.Args[0].Text {
			t.Fatalf("%q: instruction %d triggers %q, BuildKit has %q", src, in.N, in.Args[0].Text, n.Next.Children[0].Original)
		}
		return
	case "ENV", "LABEL":
		for _, w := range in.Args {
			sep := ""
			if w.Text == w.Key+"="+w.Value {
				sep = "="
			}
			got = append(got, w.Key, w.Value, sep)
		}
	case "FROM", "EXPOSE", "COPY", "ADD", "VOLUME", "RUN", "CMD", "ENTRYPOINT", "SHELL", "HEALTHCHECK", "USER", "WORKDIR", "STOPSIGNAL", "MAINTAINER":
		for _, w := range in.Args {
			got = append(got, w.Value)
		}
	case "ARG":
		for _, w := range in.Args {
			got = append(got, w.Text)
		}
	default:
		return
	}
	if strings.Join(got, "\x00") != strings.Join(want, "\x00") {
		t.Fatalf("%q: instruction %d has words %q, BuildKit has %q", src, in.N, got, want)
	}
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 126 || r < 32 })
}

// FuzzParse: every range lies inside the text, instructions are in order and apart from each other, and what they
// depend on exists.
func FuzzParse(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, src []byte) { lawful(t, Parse(src)) })
}

func TestLaws(t *testing.T) {
	for _, text := range texts {
		lawful(t, Parse([]byte(text)))
	}
}

func lawful(t *testing.T, o *Outline) {
	last := play.Position{Line: 1, Column: 1}
	for i, in := range o.Instructions {
		if in.N != i+1 || in.Stage >= len(o.Stages) {
			t.Fatalf("%q: instruction %d has N %d, stage %d", o.Source, i, in.N, in.Stage)
		}
		if in.Range.Start.Before(last) {
			t.Fatalf("%q: instruction %d begins at %v, before %v", o.Source, in.N, in.Range.Start, last)
		}
		last = in.Range.End
		inside(t, o, in.Range)
		within := func(r play.Range) {
			inside(t, o, r)
			if r.Start.Before(in.Range.Start) || in.Range.End.Before(r.End) {
				t.Fatalf("%q: %v is outside of its instruction %v", o.Source, r, in.Range)
			}
		}
		within(in.NameRange)
		for _, f := range in.Flags {
			within(f.Range)
		}
		for _, w := range in.Args {
			within(w.Range)
			if got := in.Text[min(w.Offset, len(in.Text)):]; !strings.HasPrefix(got, w.Text) {
				t.Fatalf("%q: word %q is not at %d of %q", o.Source, w.Text, w.Offset, in.Text)
			}
		}
		for _, h := range in.Heredocs {
			within(h.Range)
		}
		if in.OnBuild != nil {
			within(in.OnBuild.Range)
			for _, w := range in.OnBuild.Args {
				within(w.Range)
			}
		}
		for _, n := range in.Inputs {
			if n < 1 || n > len(o.Instructions) || n == in.N {
				t.Fatalf("%q: instruction %d depends on %d", o.Source, in.N, n)
			}
		}
		if (in.Err == nil) == (in.Command == nil) {
			t.Fatalf("%q: instruction %d has command %v and error %v", o.Source, in.N, in.Command, in.Err)
		}
	}
	for _, p := range o.Problems {
		inside(t, o, p.Range)
		if p.Message == "" || p.Rule == "" {
			t.Fatalf("%q: %+v", o.Source, p)
		}
	}
	for _, s := range o.Stages {
		inside(t, o, s.Range)
	}
	for _, d := range o.Directives {
		inside(t, o, d.Range)
		inside(t, o, d.ValueRange)
	}
	if _, err := o.Plan("", nil); err != nil {
		t.Fatalf("%q: %v", o.Source, err)
	}
}

// inside checks that a range begins and ends in the text, in this order.
func inside(t *testing.T, o *Outline, r play.Range) {
	t.Helper()
	for _, p := range []play.Position{r.Start, r.End} {
		if got := o.Position(o.Offset(p)); got != p && begins(byteAt(o.Source, o.Offset(p))) {
			t.Fatalf("%q: %v is not a place of the text; the nearest is %v", o.Source, p, got)
		}
	}
	if r.End.Before(r.Start) {
		t.Fatalf("%q: %v ends before it begins", o.Source, r)
	}
}

func byteAt(src []byte, i int) byte {
	if i < len(src) {
		return src[i]
	}
	return 0
}

// TestDeepNesting: what BuildKit's parser would take minutes for is left out, and refused; the rest is read.
func TestDeepNesting(t *testing.T) {
	deep := "RUN <<" + strings.Repeat("${A:-", 9000) + strings.Repeat("}", 9000)
	for _, text := range []string{deep, strings.ReplaceAll(deep, "}}}}", "}\\\n}}}"), "ONBUILD " + deep} {
		src := []byte("FROM a\n" + text + "\nRUN <<E\nx\nE\nUSER b\n")
		o := Parse(src)
		if len(o.Instructions) != 4 || len(o.Problems) != 1 || o.Problems[0].Range.Start.Line != 2 {
			t.Fatalf("%d instructions, problems %v", len(o.Instructions), o.Problems)
		}
		if h := o.Instructions[2].Heredocs; len(h) != 1 || h[0].Content != "x\n" {
			t.Errorf("%+v", h)
		}
		lawful(t, o)
		if err := Preflight("f", src, nil, play.DefaultLimits()); play.KindOf(err) != play.Limited {
			t.Error(err)
		}
	}
}

// BenchmarkParse grows with the text, whatever the text is.
func BenchmarkParse(b *testing.B) {
	for _, c := range []struct{ name, unit string }{
		{"plain", "RUN apt-get update && \\\n    apt-get install -y curl\nCOPY --chown=1:1 a b /c/\nENV A=1 B='2 3'\n\n"},
		{"broken", "ENV\nRUNN x\nCOPY --x=y a b\nRUN [1]\n"},
		{"wide", "LABEL 漢字=\"é è\"\\\n ü=1 ö=2\n"},
	} {
		for _, lines := range []int{50, 500, 5000} {
			b.Run(fmt.Sprintf("%s/%d", c.name, lines), func(b *testing.B) {
				src := []byte("FROM a\n" + strings.Repeat(c.unit, lines/strings.Count(c.unit, "\n")))
				b.SetBytes(int64(len(src)))
				for b.Loop() {
					Parse(src)
				}
			})
		}
	}
}
