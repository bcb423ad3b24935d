package web

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"slipway/server/play"
)

// file is one file as the form carries it.
type file struct {
	n       int
	path    string
	text    string
	eol     string
	base64  string // in place of text
	exec    bool
	size    int
	isFront bool
}

// files are the page's files, the Dockerfile first, then in order of path.
func (p EditorPage) files() []file {
	front := p.Open
	if front == "" {
		front = p.Options.File()
	}
	out := make([]file, 0, len(p.Revision.Files))
	for _, f := range p.Revision.Files {
		d := file{path: f.Path, exec: f.Executable(), size: len(f.Content), isFront: f.Path == front}
		eol, mixed := lineEnds(f.Content)
		if mixed || !isText(f.Content) {
			d.base64 = base64.StdEncoding.EncodeToString(f.Content)
		} else {
			d.text, d.eol = strings.ReplaceAll(string(f.Content), "\r\n", "\n"), eol
		}
		out = append(out, d)
	}
	slices.SortStableFunc(out, func(a, b file) int {
		return int(first(b.path, p.Options.File())) - int(first(a.path, p.Options.File()))
	})
	for i := range out {
		out[i].n = i
	}
	return out
}

func first(path, dockerfile string) (rank byte) {
	if path == dockerfile {
		rank = 1
	}
	return rank
}

func (f file) field(name string) string { return fmt.Sprintf("%s.%d", name, f.n) }

// rows is the height of the file's text area where there is no editor.
func (f file) rows() string {
	return fmt.Sprint(min(max(strings.Count(f.text, "\n")+2, 4), 30))
}

func argLines(args map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(args)) {
		out = append(out, name+"="+args[name])
	}
	return out
}

func (p EditorPage) args() string {
	if p.Args != "" {
		return p.Args
	}
	return strings.Join(argLines(p.Options.BuildArgs), "\n")
}

// targets are the stages that can be chosen: their names, or numbers for those that have none.
func (p EditorPage) targets() []string {
	stages := p.Stages
	if len(stages) == 0 && p.Build != nil {
		stages = p.Build.timeline().Plan.Stages
	}
	var out []string
	for _, s := range stages {
		name := s.Name
		if name == "" {
			name = fmt.Sprint(s.Index)
		}
		out = append(out, name)
	}
	if t := p.Options.Target; t != "" && !slices.Contains(out, t) {
		out = append(out, t)
	}
	return out
}

// result is what the right side shows: the last build, or the steps of the text.
func (p EditorPage) result() Build {
	if p.Build != nil {
		return *p.Build
	}
	return Build{Steps: p.Steps}
}

// shownFindings is how many findings a list shows.
const shownFindings = 200

// beside are the examples beside a snippet that is new.
func (p EditorPage) beside() []Example {
	if p.Snippet.ID != "" || p.Build != nil {
		return nil
	}
	return p.Examples
}

// describe says in a sentence what the page is of, for those who see only its link.
func (p EditorPage) describe() string {
	if p.Snippet.ID == "" {
		return "Write a Dockerfile, build it for real, and see what every step did."
	}
	from := ""
	if stages := p.Stages; len(stages) > 0 && stages[len(stages)-1].Base.Ref != "" {
		from = " from " + stages[len(stages)-1].Base.Ref
	}
	return fmt.Sprintf("A Dockerfile%s with %s and %s, to read, change and build for real.", from, count(len(p.result().Steps), "step"), count(len(p.Revision.Files), "file"))
}

func (p EditorPage) readOnly() bool { return p.Old }

// saveWord is what saving does for this viewer.
func (p EditorPage) saveWord() string {
	if p.Snippet.ID != "" && !p.Owner {
		return "Save a copy"
	}
	return "Save"
}

func (p EditorPage) heading() string {
	if p.Title != "" {
		return p.Title
	}
	if p.Snippet.Title != "" {
		return p.Snippet.Title
	}
	return "New snippet"
}

// limits is the limits on files as a sentence.
func limitWords(l play.Limits) string {
	return fmt.Sprintf("At most %s, %s each, %s in all.", count(l.Files, "file"), binarySize(l.FileBytes), binarySize(l.TotalBytes))
}

// binarySize writes a limit, which is a round number of powers of two.
func binarySize(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return size(n)
}
