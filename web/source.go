package web

import (
	"html"
	"slices"
	"strings"

	"github.com/alecthomas/chroma/v2"
	"github.com/alecthomas/chroma/v2/lexers"

	"slipway/server/play"
)

// A build page shows at most this much source; the rest is a download away.
const (
	shownFile  = 64 << 10
	shownFiles = 512 << 10
)

// sourceFile is one file of a build page, cut into lines with their colours.
type sourceFile struct {
	path       string
	size       int
	dockerfile bool
	note       string // in place of lines
	lines      []sourceLine
}

// sourceLine is one line of source: safe HTML, and the step that it belongs to (0: none).
type sourceLine struct {
	n    int
	step int
	html string
}

// sources are the files of the build, its Dockerfile first.
func (p BuildPage) sources() []sourceFile {
	dockerfile := p.Build.Job.Build.File()
	files := slices.Clone(p.Revision.Files)
	if i := slices.IndexFunc(files, func(f play.File) bool { return f.Path == dockerfile }); i > 0 {
		f := files[i]
		files = slices.Insert(slices.Delete(files, i, i+1), 0, f)
	}
	var out []sourceFile
	total := 0
	for _, f := range files {
		s := sourceFile{path: f.Path, size: len(f.Content), dockerfile: f.Path == dockerfile}
		switch {
		case !isText(f.Content):
			s.note = "This file is not text."
		case len(f.Content) == 0:
			s.note = "This file is empty."
		case !s.dockerfile && (len(f.Content) > shownFile || total+len(f.Content) > shownFiles):
			s.note = "This file is too long to show here."
		default:
			total += len(f.Content)
			s.lines = highlight(f.Path, string(f.Content), s.dockerfile)
		}
		if s.dockerfile {
			colour(s.lines, p.Build)
		}
		out = append(out, s)
	}
	return out
}

// highlight cuts a text into lines of safe HTML, with the classes of chroma's tokens.
func highlight(path, text string, dockerfile bool) []sourceLine {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	lexer := lexers.Match(path)
	if dockerfile {
		lexer = lexers.Get("docker")
	}
	if lexer == nil || len(text) > shownFile {
		return plain(text)
	}
	tokens, err := chroma.Coalesce(lexer).Tokenise(&chroma.TokeniseOptions{State: "root", EnsureLF: false}, text)
	if err != nil {
		return plain(text)
	}
	var out []sourceLine
	for _, line := range chroma.SplitTokensIntoLines(tokens.Tokens()) {
		var b strings.Builder
		for _, t := range line {
			word := html.EscapeString(visible(strings.TrimSuffix(t.Value, "\n")))
			if class := chroma.StandardTypes[t.Type]; class != "" && word != "" {
				b.WriteString(`<span class="` + class + `">` + word + `</span>`)
			} else {
				b.WriteString(word)
			}
		}
		out = append(out, sourceLine{n: len(out) + 1, html: b.String()})
	}
	if n := len(out); n > 1 && out[n-1].html == "" {
		out = out[:n-1]
	}
	return out
}

func plain(text string) []sourceLine {
	var out []sourceLine
	for line := range strings.Lines(text) {
		out = append(out, sourceLine{n: len(out) + 1, html: html.EscapeString(visible(strings.TrimSuffix(line, "\n")))})
	}
	return out
}

// colour gives every line of the Dockerfile its step.
func colour(lines []sourceLine, b Build) {
	for _, s := range b.Steps {
		end := s.Range.End.Line
		if s.Range.End.Column == 1 && end > s.Range.Start.Line {
			end--
		}
		for n := max(s.Range.Start.Line, 1); n <= min(end, len(lines)); n++ {
			lines[n-1].step = s.N
		}
	}
}

// describe is the page in a sentence, for search engines and link previews.
func (p BuildPage) describe() string {
	words := []string{p.Build.headline()}
	words = append(words, p.Build.facts()...)
	return strings.Join(words, ", ") + ": what every step of this Dockerfile did."
}
