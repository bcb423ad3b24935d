package lint

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"slipway/server/dockerfile"
	"slipway/server/play"
)

// check is a case of "docker build --check": a Dockerfile and what BuildKit says about it.
type check struct {
	ID           string
	Dockerfile   string
	Dockerignore string
	Attrs        map[string]string // of the frontend
	Warnings     []struct {
		Rule, Detail string
		Line         int
	}
	LintError bool `json:"lint_error"`
	ErrorLine int  `json:"error_line"`
	// LinesChecked is false if the case doesn't know the lines.
	LinesChecked *bool `json:"lines_checked"`
}

// TestChecks holds the linter against "docker build --check": the same rules with the same words for the same
// instructions. SLIPWAY_LINT_CASES names a file of more cases in the same form, one JSON object a line.
func TestChecks(t *testing.T) {
	files := []string{"testdata/checks.jsonl"}
	if more := os.Getenv("SLIPWAY_LINT_CASES"); more != "" {
		files = append(files, more)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n, good := 0, 0
		for line := range bytes.Lines(src) {
			lines := true
			c := check{LinesChecked: &lines}
			if err := json.Unmarshal(line, &c); err != nil {
				t.Fatal(err)
			}
			n++
			if t.Run(c.ID, func(t *testing.T) { c.run(t) }) {
				good++
			}
		}
		t.Logf("%s: %d of %d", file, good, n)
	}
}

func (c check) run(t *testing.T) {
	in := Input{File: "Dockerfile", Source: c.Dockerfile, IgnoreFile: ".dockerignore", Ignore: c.Dockerignore, BuildArgs: map[string]string{}}
	for k, v := range c.Attrs {
		if name, ok := strings.CutPrefix(k, "build-arg:"); ok {
			in.BuildArgs[name] = v
		}
	}
	var want, got []string
	at := func(line int) string {
		if !*c.LinesChecked {
			return "?"
		}
		return strconv.Itoa(line)
	}
	for _, w := range c.Warnings {
		want = append(want, at(w.Line)+" "+w.Rule+": "+w.Detail)
	}
	if c.LintError {
		want = append(want, at(c.ErrorLine)+" error")
	}
	o := dockerfile.Parse([]byte(c.Dockerfile))
	for _, d := range lint(t, in) {
		line := at(firstLine(o, d.Range.Start))
		if d.Severity == play.SeverityError {
			got = append(got, line+" error")
		} else {
			got = append(got, line+" "+d.Rule+": "+d.Message)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if want, got := slices.Compact(want), slices.Compact(got); !slices.Equal(want, got) {
		t.Errorf("%s\ngot  %q\nwant %q", c.Dockerfile, got, want)
	}
}

// firstLine is the line at which the instruction of a place begins.
func firstLine(o *dockerfile.Outline, p play.Position) int {
	for _, in := range o.Instructions {
		if !p.Before(in.Range.Start) && !in.Range.End.Before(p) {
			return in.Range.Start.Line
		}
	}
	return p.Line
}
