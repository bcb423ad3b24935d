package server

import (
	"context"
	"slices"
	"strings"

	"slipway/server/dockerfile"
	"slipway/server/explain"
	"slipway/server/play"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// Text is a Dockerfile in its context, to be analysed without a build. It is data, so that it can be handed to
// the guarded process.
type Text struct {
	Files      []play.File       `json:"files"`      // contents only where they matter: see slim
	Dockerfile string            `json:"dockerfile"` // path; "" is "Dockerfile"
	Target     string            `json:"target"`
	BuildArgs  map[string]string `json:"build_args"`
	Platform   string            `json:"platform"`
}

func textOf(files []play.File, req play.BuildRequest) Text {
	return Text{Files: files, Dockerfile: req.Dockerfile, Target: req.Target, BuildArgs: req.BuildArgs, Platform: req.Platform}
}

// Request is the build that the text would be.
func (t Text) Request() play.BuildRequest {
	return play.BuildRequest{Dockerfile: t.Dockerfile, Target: t.Target, BuildArgs: t.BuildArgs, Platform: t.Platform}
}

// Explain is the annotated steps of the text, with what the linter found in it; base tells what is known of an
// image. A stranger's text belongs into the guarded process.
func (t Text) Explain(base func(ref string) (play.ImageConfig, bool), found []play.Diagnostic) []explain.Step {
	req := t.Request()
	return explain.Steps(dockerfile.Parse(t.content(req.File())), explain.Options{
		File: req.File(), Target: req.Target, BuildArgs: req.BuildArgs, Platform: req.Platform,
		Files: t.paths(), Ignored: t.ignored(), Base: base, Findings: found,
	})
}

func (t Text) content(path string) []byte {
	for _, f := range t.Files {
		if f.Path == path {
			return f.Content
		}
	}
	return nil
}

// paths are the sorted paths of the context.
func (t Text) paths() []string {
	paths := make([]string, 0, len(t.Files))
	for _, f := range t.Files {
		paths = append(paths, f.Path)
	}
	slices.Sort(paths)
	return paths
}

// ignoreFiles are the files that may say what stays out of the context; the first that is there counts.
func (t Text) ignoreFiles() [2]string {
	return [2]string{t.Request().File() + ".dockerignore", ".dockerignore"}
}

// ignored reports which files stay out of the context; nil if none does, or that can't be read.
func (t Text) ignored() func(path string) bool {
	for _, name := range t.ignoreFiles() {
		if !slices.ContainsFunc(t.Files, func(f play.File) bool { return f.Path == name }) {
			continue
		}
		patterns, err := ignorefile.ReadAll(strings.NewReader(string(t.content(name))))
		if err != nil {
			return nil
		}
		matcher, err := patternmatcher.New(patterns)
		if err != nil {
			return nil
		}
		return func(path string) bool {
			out, err := matcher.MatchesOrParentMatches(path)
			return err == nil && out
		}
	}
	return nil
}

// slim leaves out the contents that no analysis reads: up to megabytes that need not travel.
func (t Text) slim() Text {
	ignore := t.ignoreFiles()
	keep := []string{t.Request().File(), ignore[0], ignore[1]}
	t.Files = slices.Clone(t.Files)
	for i, f := range t.Files {
		if !slices.Contains(keep, f.Path) {
			t.Files[i].Content = nil
		}
	}
	return t
}

// check refuses a text that is not worth handing on to the guarded process.
func (s *Server) check(v play.Viewer, t Text) error {
	req := t.Request()
	if err := req.Check(); err != nil {
		return tooLarge(err)
	}
	rev, err := s.revision(t.Files)
	if err != nil {
		return err
	}
	f, ok := rev.File(req.File())
	if !ok {
		return play.Errorf(play.Invalid, "There is no file %s among the files.", req.File()).In(play.Place{File: req.File()})
	}
	if err := dockerfile.Preflight(req.File(), f.Content, t.BuildArgs, s.Limits); err != nil {
		return tooLarge(err)
	}
	return s.rates.texts.take(v, s.Now())
}

// lint is what the linter finds in a text. It is never nil without an error.
func (s *Server) lint(ctx context.Context, v play.Viewer, t Text) ([]play.Diagnostic, error) {
	if err := s.check(v, t); err != nil {
		return nil, err
	}
	found, err := s.Lint(ctx, t.slim())
	if found == nil {
		found = []play.Diagnostic{}
	}
	return found, tooLarge(err)
}

// explain is what each step of a text would do, with the findings. It is never nil without an error.
func (s *Server) explain(ctx context.Context, v play.Viewer, t Text) ([]explain.Step, error) {
	if err := s.check(v, t); err != nil {
		return nil, err
	}
	steps, err := s.Explain(ctx, t.slim())
	if steps == nil {
		steps = []explain.Step{}
	}
	return steps, tooLarge(err)
}
