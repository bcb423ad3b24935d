package dockerfile

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"slipway/server/play"

	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

func TestPreflight(t *testing.T) {
	l := play.DefaultLimits()
	for _, c := range []struct {
		name, text string
		kind       play.Kind // "" if it passes
		at         string
		says       string
	}{
		{"nothing", "", "", "", ""},
		{"a byte order mark and CRLF", "\xef\xbb\xbfFROM scratch\r\nCOPY a b\r\n", "", "", ""},
		{"errors are the linter's", "RUNN x\nFROM\n", "", "", ""},
		{"NUL", "FROM a\nRUN b\x00\n", play.Invalid, "f:2:6", "NUL"},
		{"not UTF-8", "FROM a\nRUN é\xffx\n", play.Invalid, "f:2:6", "UTF-8"},
		{"UTF-16", "\xff\xfeF\x00R\x00", play.Invalid, "f:1:4", "NUL"},
		{"too big", strings.Repeat("#\n", 200_000), play.Limited, "f", "400000 bytes"},
		{"too many lines", strings.Repeat("\n", 5000) + "FROM a", play.Limited, "f:5001:1", "5001 lines"},
		{"empty lines at the end", "FROM a" + strings.Repeat("\n", 6000), "", "", ""},
		{"a long line", "FROM a\nRUN " + strings.Repeat("x", 65_532), play.Limited, "f:2:1", "65536 bytes"},
		{"just not too long", "FROM a\nRUN " + strings.Repeat("x", 65_531), "", "", ""},
		{"stages", strings.Repeat("FROM a\n", 41), play.Limited, "f:41:1", "41 stages"},
		{"instructions", "FROM a\n" + strings.Repeat("USER b\n", 300), play.Limited, "f:301:1", "301 instructions"},

		{"official syntax", "# syntax=docker/dockerfile:1.7-labs\nFROM a\n", "", "", ""},
		{"official syntax in full", "# syntax = docker.io/docker/dockerfile:1@sha256:" + strings.Repeat("a", 64) + "\nFROM a\n", "", "", ""},
		{"foreign syntax", "# escape=\\\n#SynTax= example.com/evil:1 x\nFROM a\n", play.Invalid, "f:2:1", "example.com/evil:1"},
		{"behind a shebang", "#!/usr/bin/env x\n# syntax=evil\nFROM a\n", play.Invalid, "f:2:1", "evil"},
		{"in the way of C", "// syntax=evil\nFROM a\n", play.Invalid, "f:1:1", "evil"},
		{"in JSON", `{"syntax": "evil"}`, play.Invalid, "f:1:1", "evil"},
		{"behind a byte order mark", "\xef\xbb\xbf# syntax=evil\n", play.Invalid, "f:1:1", "evil"},
		{"a namesake elsewhere", "# syntax=example.com/docker/dockerfile:1\n", play.Invalid, "f:1:1", "example.com"},
		{"a namesake's child", "# syntax=docker/dockerfile/x\n", play.Invalid, "f:1:1", "docker/dockerfile/x"},
		{"a comment later", "FROM a\n# syntax=evil\n", "", "", ""},

		{"doubling", "FROM a\nENV A=aaaaaaaaaaaaaaaa\n" + strings.Repeat("ENV A=$A$A\n", 22), play.Limited, "", "expand"},
		{"doubling of ARG", "ARG A=aaaaaaaaaaaaaaaa\n" + strings.Repeat("ARG A=${A}${A}\n", 22) + "FROM $A\n", play.Limited, "", "expand"},
		{"doubling in defaults", "FROM a\nENV A=aaaaaaaaaaaaaaaa\n" + strings.Repeat("ENV A=${B:-$A$A}\n", 22), play.Limited, "", "expand"},
		{"doubling over stages", "FROM a AS s0\nENV A=aaaaaaaa\n" + doubling(20), play.Limited, "", "expand"},
		{"doubling in triggers", "FROM a AS b\nENV A=aaaaaaaaaaaaaaaa\n" + strings.Repeat("ONBUILD ENV A=$A$A\n", 22) + "FROM b\n", play.Limited, "f:25:1", "expand"},
		{"replacing", "FROM a\nENV A=" + strings.Repeat("a", 4000) + "\nENV B=${A//a/" + strings.Repeat("b", 4000) + "}\n", play.Limited, "f:3:1", "expand"},
		{"replacing with the match", "FROM a\nENV A=aaaaaaaa\n" + strings.Repeat("ENV A=${A//*/\\$0\\$0}\n", 22), play.Limited, "", "expand"},
		{"many uses", "FROM a\nENV A=" + strings.Repeat("a", 4000) + "\nRUN " + strings.Repeat("$A", 100) + "\n", play.Limited, "f:3:1", "expand"},
		{"a heredoc", "FROM a\nENV A=" + strings.Repeat("a", 4000) + "\nCOPY <<E /b\n" + strings.Repeat("$A\n", 100) + "E\n", play.Limited, "f:3:1", "expand"},
		{"environment for all", "FROM a\n" + strings.Repeat("ENV X"+"=1\n", 1) + environment(60, 2000) + strings.Repeat("RUN x\n", 200), play.Limited, "", "environment"},
		{"ports", "FROM a\n" + strings.Repeat("EXPOSE 1-65535\n", 3), play.Limited, "f:4:1", "ports"},
		{"deep nesting", "FROM a\nENV A=" + strings.Repeat("${A:-", 2000) + strings.Repeat("}", 2000), play.Limited, "f:2:1", "expand"},

		{"what people write", "FROM a\nENV PATH=/x:$PATH P=$PATH:$PATH\nRUN for i in $(seq 10); do echo \"$i ${x:-y} ${x//a/b}\" $i$i$i; done\nEXPOSE 80 8000-8100\n", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Preflight("f", []byte(c.text), nil, l)
			if c.kind == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			e, ok := errors.AsType[*play.Error](err)
			if !ok || e.Kind != c.kind || !strings.Contains(e.Msg, c.says) || e.At == nil {
				t.Fatalf("%v, %v", err, play.KindOf(err))
			}
			if c.at != "" && e.At.String() != c.at {
				t.Errorf("at %s: %v", e.At, err)
			}
		})
	}
}

func doubling(stages int) string {
	var b strings.Builder
	for i := range stages {
		fmt.Fprintf(&b, "FROM s%d AS s%d\nENV A=$A$A\n", i, i+1)
	}
	return b.String()
}

func environment(n, size int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "ENV V%d=%s\n", i, strings.Repeat("x", size))
	}
	return b.String()
}

// TestPreflightArgs: what a build argument brings counts too.
func TestPreflightArgs(t *testing.T) {
	text := []byte("FROM a\nARG A\nRUN " + strings.Repeat("$A", 100) + "\n")
	if err := Preflight("f", text, nil, play.DefaultLimits()); err != nil {
		t.Error(err)
	}
	args := map[string]string{"A": strings.Repeat("a", 4000)}
	if err := Preflight("f", text, args, play.DefaultLimits()); play.KindOf(err) != play.Limited {
		t.Error(err)
	}
}

// TestPreflightIsCheap: what BuildKit makes a gigabyte of costs little more than its own size.
func TestPreflightIsCheap(t *testing.T) {
	text := []byte("FROM a\nENV A=aaaaaaaaaaaaaaaa\n" + strings.Repeat("ENV A=$A$A\n", 40))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := Preflight("f", text, nil, play.DefaultLimits()); err == nil {
		t.Error("it passes")
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("%d bytes allocated", n)
	}
}

// FuzzBound: an expansion is never longer than its bound.
func FuzzBound(f *testing.F) {
	for _, word := range []string{"$A${B}x", "${A:-$B}", `"${A//a/'}'${B}}"`, "${A//*/$0$B}", `${A//a/\$0}`, "${A#a*}", "'$A'\\$B", "${A:+${B:-${A/a/$B}}}", "<<$A"} {
		f.Add(word, "aaaa", "b c")
	}
	f.Fuzz(func(t *testing.T, word, a, b string) {
		if !utf8.ValidString(word) || !utf8.ValidString(a) || !utf8.ValidString(b) {
			return // Preflight refuses that
		}
		for _, escape := range []rune{'\\', '`'} {
			env := vars{"A": a, "B": b}
			most := bound(word, escape, func(name string) int { return len(env[name]) })
			if most > 1<<20 {
				continue
			}
			if got, _, err := shell.NewLex(escape).ProcessWord(word, lookup(env.get)); err == nil && len(got) > most {
				t.Fatalf("%q with A=%q, B=%q: %d bytes %q, the bound is %d", word, a, b, len(got), got, most)
			}
		}
	})
}
