package lint

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"slipway/server/play"

	"golang.org/x/tools/txtar"
)

// found is a finding as tests write it: "line:column-line:column Rule".
func found(d play.Diagnostic) string {
	return fmt.Sprintf("%d:%d-%d:%d %s", d.Range.Start.Line, d.Range.Start.Column, d.Range.End.Line, d.Range.End.Column, d.Rule)
}

func lint(t *testing.T, in Input) []play.Diagnostic {
	t.Helper()
	all, err := Lint(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		if d.File == "" || d.Message == "" || d.Detail == "" || d.URL != "/rules/"+d.Rule {
			t.Errorf("an incomplete finding: %+v", d)
		}
	}
	return all
}

// TestRules holds every rule to its page: the first example fires it, the second doesn't and has no errors.
func TestRules(t *testing.T) {
	for _, r := range Rules() {
		page, err := r.Page()
		if err != nil {
			t.Fatal(err)
		}
		if r.Title == "" || !strings.HasSuffix(r.Title, ".") || len(page.Text) < 200 || strings.Count(page.Text, "```") != 4 {
			t.Errorf("%s: the page is not as pages are", r.ID)
		}
		if got := rulesOf(t, page.Bad); !slices.Contains(got, r.ID) {
			t.Errorf("%s: the bad example gives %v", r.ID, got)
		}
		good := rulesOf(t, page.Good)
		if slices.Contains(good, r.ID) {
			t.Errorf("%s: the good example gives it too", r.ID)
		}
		for _, id := range good {
			if other, _ := Find(id); other.Severity == play.SeverityError && r.Severity != play.SeverityInfo {
				t.Errorf("%s: the good example gives %s", r.ID, id)
			}
		}
	}
	pages, err := docs.ReadDir("docs")
	if err != nil || len(pages) != len(Rules()) {
		t.Errorf("%d pages for %d rules (%v)", len(pages), len(Rules()), err)
	}
}

func rulesOf(t *testing.T, e Example) []string {
	t.Helper()
	in := input(t, e.Files)
	in.Target = e.Target
	in.Images = map[string]Image{"registry.example.com/tools:s390x-only": {Platform: "linux/s390x"}}
	var ids []string
	for _, d := range lint(t, in) {
		ids = append(ids, d.Rule)
	}
	return ids
}

func input(t *testing.T, files []txtar.File) Input {
	t.Helper()
	var all []play.File
	for _, f := range files {
		all = append(all, play.File{Path: f.Name, Content: f.Data})
	}
	in, err := NewInput(all, play.BuildRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// TestFindings runs the cases of testdata: the input's files, and in "want" the findings with their ranges.
func TestFindings(t *testing.T) {
	cases, err := os.ReadDir("testdata/findings")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name(), func(t *testing.T) {
			a, err := txtar.ParseFile("testdata/findings/" + c.Name())
			if err != nil {
				t.Fatal(err)
			}
			last := len(a.Files) - 1
			if a.Files[last].Name != "want" {
				t.Fatal("the last file is not want")
			}
			in := input(t, a.Files[:last])
			var got strings.Builder
			for _, d := range lint(t, in) {
				fmt.Fprintf(&got, "%s %s: %s\n", found(d), d.Severity, d.Message)
			}
			if want := string(a.Files[last].Data); got.String() != want {
				t.Errorf("got\n%s\nwant\n%s", got.String(), want)
			}
		})
	}
}
