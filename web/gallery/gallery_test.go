package gallery

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"slipway/server/explain"
	"slipway/server/play"
	"slipway/server/view"
	"slipway/web"

	"github.com/a-h/templ"
)

var update = flag.Bool("update", false, "write the golden files anew")

func render(t *testing.T, p Page) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.Render(t.Context(), &b); err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	return b.Bytes()
}

func draw(t *testing.T, c templ.Component) string {
	t.Helper()
	var b strings.Builder
	if err := c.Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Every page in every state is whole, labelled, free of inline code, and does its work without script.
func TestPagesAreSound(t *testing.T) {
	for _, p := range Pages() {
		wrong, err := Check(bytes.NewReader(render(t, p)))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range wrong {
			t.Errorf("%s: %s", p.Name, w)
		}
	}
}

// The checker sees what it is there to see.
func TestCheckFindsFaults(t *testing.T) {
	const page = `<html><title></title><h1>a</h1><h1>b</h1><p id=x><p id=x style=a onclick=b><script>1</script><a href=javascript:x>y</a>
		<form action=x><input name=n></form><button type=button>z</button><button></button><a href=#no>q</a><table><th></table><img>`
	wrong, err := Check(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(wrong, "\n")
	for _, want := range []string{"2 h1", `"x" is there 2`, "inline handler", "style attribute", "inline script", "javascript:x", "method", "no label", `"z" does nothing`, "no name", "leads nowhere", "no lang", "no title", "no scope", "<img>", "belongs to no form"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q was not found in:\n%s", want, all)
		}
	}
}

func TestOutlines(t *testing.T) {
	for _, p := range Pages() {
		got, err := Outline(bytes.NewReader(render(t, p)))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", p.Name+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s has another outline than %s; if that is meant, run go test ./web/gallery -update", p.Name, file)
		}
	}
}

// A page says the same thing twice in the same way: nothing in it comes from the clock, chance, or a map's order.
func TestPagesArePure(t *testing.T) {
	for _, p := range Pages() {
		if !bytes.Equal(render(t, p), render(t, p)) {
			t.Errorf("%s differs from one drawing to the next", p.Name)
		}
	}
}

// What a stranger typed is text, wherever it stands.
func TestHostileTextIsText(t *testing.T) {
	for _, p := range Pages() {
		doc, err := html.Parse(bytes.NewReader(render(t, p)))
		if err != nil {
			t.Fatal(err)
		}
		for n := range doc.Descendants() {
			if n.Type == html.ElementNode && n.Data == "script" && strings.Contains(text(n), "alert") {
				t.Errorf("%s: a stranger's script", p.Name)
			}
		}
	}
	if page := string(render(t, named(t, "build-hostile"))); strings.Count(page, "&lt;script&gt;alert(1)") < 20 {
		t.Error("the hostile page has lost the hostile text")
	}
}

// What would hide or reorder the source beside it is spelt out: a reader sees what was built.
func TestHiddenCharactersAreSeen(t *testing.T) {
	p := Hostile()
	odd := "echo \u202e\u2066\x07\x1b[8m"
	p.Build.Steps[3].Text = "RUN " + odd
	p.Revision.Files = []play.File{{Path: "Dockerfile", Content: []byte("FROM x\nRUN " + odd + "\n")}, {Path: "notes", Content: []byte(odd)}}
	var b bytes.Buffer
	if err := p.Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexAny(b.String(), "\u202e\u2066\x07\x1b"); i >= 0 {
		t.Errorf("it is there as it is: %q", b.String()[max(0, i-100):i+10])
	}
	if n := strings.Count(b.String(), "⟨U+202E⟩⟨U+2066⟩⟨U+0007⟩⟨U+001B⟩[8m"); n < 3 {
		t.Errorf("it is spelt out %d times", n)
	}
}

func named(t *testing.T, name string) Page {
	t.Helper()
	for _, p := range Pages() {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no page %s", name)
	return Page{}
}

// The editor's form carries every file to the byte, as a browser reads and sends it.
func TestFormCarriesFiles(t *testing.T) {
	doc, err := html.Parse(bytes.NewReader(render(t, named(t, "editor-odd-files"))))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for set := range doc.Descendants() {
		if set.Data != "fieldset" {
			continue
		}
		var path, content, eol string
		for n := range set.Descendants() {
			name, _, _ := strings.Cut(attr(n, "name"), ".")
			switch name {
			case "path":
				path = attr(n, "value")
			case "base64":
				content = "base64 " + attr(n, "value")
			case "eol":
				eol = attr(n, "value")
			case "content":
				content = text(n)
			}
		}
		if eol == "crlf" {
			content = strings.ReplaceAll(content, "\n", "\r\n")
		}
		got[path] = content
	}
	for _, f := range Odd().Files {
		want := string(f.Content)
		switch f.Path {
		case "logo.png":
			want = "base64 iVBORw0KGgoAAA=="
		case "mixed.txt":
			want = "base64 b25lDQp0d28K"
		}
		if got[f.Path] != want {
			t.Errorf("%s: %q, want %q", f.Path, got[f.Path], want)
		}
	}
}

// Nothing that is missing stops a page from being drawn.
func TestZeroValues(t *testing.T) {
	for name, p := range map[string]Page{
		"editor":   {Render: web.EditorPage{}.Render},
		"build":    {Render: web.BuildPage{}.Render},
		"examples": {Render: web.ExamplesPage{}.Render},
		"rules":    {Render: web.RulesPage{}.Render},
		"rule":     {Render: web.RulePage{}.Render},
		"api":      {Render: web.APIPage{}.Render},
		"error":    {Render: web.ErrorPage{}.Render},
		"timeline": {Render: web.BuildPage{Build: web.Build{Timeline: &view.Timeline{Finished: &play.Finished{}, Exported: &play.Exported{}, Started: &play.Started{}}, Steps: []explain.Step{{}}}}.Render},
	} {
		p.Name = name
		if page := render(t, p); !bytes.Contains(page, []byte("</html>")) {
			t.Errorf("%s is not whole", name)
		}
	}
}

// Every fragment of the live stream has its place on the page that the build began with.
func TestFragmentsFindTheirPlace(t *testing.T) {
	var page bytes.Buffer
	queued := Queued()
	if err := (web.BuildPage{Build: queued}).Render(t.Context(), &page); err != nil {
		t.Fatal(err)
	}
	b := Finished()
	parts := []templ.Component{web.StatusFragment(b), web.ResultFragment(b), web.StepsFragment(b)}
	for i, s := range b.Steps {
		parts = append(parts, web.StepFragment(b.Job.ID, s, &b.Timeline.Steps[i], 0))
	}
	for _, c := range parts {
		nodes, err := html.ParseFragment(strings.NewReader(draw(t, c)), &html.Node{Type: html.ElementNode, Data: "div", DataAtom: atom.Div})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			if n.Type == html.TextNode && strings.TrimSpace(n.Data) == "" {
				continue
			}
			if id := attr(n, "id"); id == "" || !strings.Contains(page.String(), `id="`+id+`"`) {
				t.Errorf("<%s id=%q> has no place on the page", n.Data, attr(n, "id"))
			}
		}
	}
}

// A patched step leaves its log lines out, and keeps their place.
func TestStepFragment(t *testing.T) {
	b := Finished()
	s := draw(t, web.StepFragment(b.Job.ID, b.Steps[3], &b.Timeline.Steps[3], 0))
	if strings.Contains(s, `class="line"`) || !strings.Contains(s, `id="log-4" data-keep`) {
		t.Errorf("the step's log: %s", s)
	}
}

// White space in a line is the line's own.
func TestLinesFragment(t *testing.T) {
	got := draw(t, web.LinesFragment([]view.Line{
		{N: 7, Step: 4, Text: "  a <b>", HTML: "  a &lt;b&gt;"},
		{N: 8, Text: "", HTML: ""},
	}))
	const want = `<div class="line hue-4" id="L7" data-step="4"><a href="#L7" class="ln" tabindex="-1">7</a><span>  a &lt;b&gt;</span></div>` +
		`<div class="line" id="L8"><a href="#L8" class="ln" tabindex="-1">8</a><span></span></div>`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A page shows a bounded part of a long log, and says so.
func TestLongLog(t *testing.T) {
	page := string(render(t, named(t, "build-long")))
	if n := strings.Count(page, `id="L`); n != 5000 {
		t.Errorf("%d lines are shown", n)
	}
	if !strings.Contains(page, "45,000") || !strings.Contains(page, "/log.txt") {
		t.Error("what is left out is not said")
	}
}
