package lint

import (
	"slices"
	"strings"
	"testing"

	"slipway/server/dockerfile"
	"slipway/server/play"
)

// broken are lines that a build stops at, for different reasons and at different times.
var brokenLines = []string{
	"RUNN apt-get update",
	"ENV lonely",
	"RUN [\"x\", 1]",
	"COPY --form=x a b",
	"EXPOSE 99999",
	"COPY --from=99 a b",
	"COPY --from=$x a b",
	"RUN --mount=type=nope,target=/x y",
	"STOPSIGNAL ${nothing}",
	"ONBUILD FROM x",
	"ENV a=\"open",
}

// TestNothingLost puts each broken line before each instruction of each example: every finding of the example stays,
// in its line and with its words, and the broken line is reported too.
func TestNothingLost(t *testing.T) {
	for _, r := range Rules() {
		page, err := r.Page()
		if err != nil {
			t.Fatal(err)
		}
		if r.ID == TooManyErrors || r.ID == dockerfile.UnterminatedHeredoc {
			continue // the one loses some and says so, the other takes in what doesn't look like an instruction
		}
		in := input(t, page.Bad.Files)
		in.Target = page.Bad.Target
		in.Images = map[string]Image{"registry.example.com/tools:s390x-only": {Platform: "linux/s390x"}}
		want := lint(t, in)
		o := dockerfile.Parse([]byte(in.Source))
		for i := range o.Instructions {
			if o.Instructions[i].Stage < 0 || o.Instructions[i].Name == "FROM" {
				continue // a comment or a stage would be cut off
			}
			for _, broken := range brokenLines {
				nothingLost(t, in, o.Instructions[i].Range.Start.Line, broken, want)
			}
		}
		for _, broken := range brokenLines {
			nothingLost(t, in, strings.Count(in.Source, "\n")+1, broken, want)
		}
	}
}

// nothingLost puts a broken line before a line.
func nothingLost(t *testing.T, in Input, line int, broken string, want []play.Diagnostic) {
	t.Helper()
	all := strings.SplitAfter(in.Source, "\n")
	in.Source = strings.Join(all[:line-1], "") + broken + "\n" + strings.Join(all[line-1:], "")
	got := lint(t, in)
	more := strings.Count(broken, "\n") + 1
	for _, w := range want {
		if w.File == in.File && w.Range.Start.Line >= line {
			w.Range.Start.Line += more
			w.Range.End.Line += more
		}
		if !slices.ContainsFunc(got, func(d play.Diagnostic) bool {
			return d.File == w.File && d.Rule == w.Rule && d.Message == w.Message && d.Range.Start == w.Range.Start
		}) {
			t.Errorf("%q before line %d of\n%s\nlost %s %q; it gives %v", broken, line, in.Source, found(w), w.Message, got)
		}
	}
	if !slices.ContainsFunc(got, func(d play.Diagnostic) bool {
		return d.Severity == play.SeverityError && d.Range.Start.Line >= line && d.Range.Start.Line < line+more+1
	}) {
		t.Errorf("%q before line %d of\n%s\nis not reported: %v", broken, line, in.Source, got)
	}
}

// TestManyErrors: the errors that BuildKit finds late are found one after the other, up to a bound that is said.
func TestManyErrors(t *testing.T) {
	for _, n := range []int{1, maxRuns - 1, maxRuns, maxRuns + 10} {
		got := lint(t, Input{File: "Dockerfile", Source: "FROM scratch\n" + strings.Repeat("EXPOSE 99999\n", n)})
		late := slices.DeleteFunc(slices.Clone(got), func(d play.Diagnostic) bool { return d.Rule != InvalidInstruction })
		if want := min(n, maxRuns); len(late) != want {
			t.Errorf("%d errors of %d", len(late), n)
		}
		if said := got[0].Rule == TooManyErrors; said != (n >= maxRuns) {
			t.Errorf("%d errors: %v", n, got[0])
		}
	}
}
