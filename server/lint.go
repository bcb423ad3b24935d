package server

import (
	"context"

	"slipway/server/dockerfile"
	"slipway/server/explain"
	"slipway/server/play"
)

// Text is a Dockerfile in its context, to be analysed without a build.
type Text struct {
	Files      []play.File       `json:"files"`
	Dockerfile string            `json:"dockerfile"` // path; "" is "Dockerfile"
	Target     string            `json:"target"`
	BuildArgs  map[string]string `json:"build_args"`
}

// Request is the build that the text would be.
func (t Text) Request() play.BuildRequest {
	return play.BuildRequest{Dockerfile: t.Dockerfile, Target: t.Target, BuildArgs: t.BuildArgs}
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
	found, err := s.Lint(ctx, t)
	if found == nil {
		found = []play.Diagnostic{}
	}
	return found, tooLarge(err)
}

// explain is what each step of a text would do. It is never nil without an error.
func (s *Server) explain(ctx context.Context, v play.Viewer, t Text) ([]explain.Step, error) {
	if err := s.check(v, t); err != nil {
		return nil, err
	}
	steps, err := s.Explain(ctx, t)
	if steps == nil {
		steps = []explain.Step{}
	}
	return steps, tooLarge(err)
}
