package main

import (
	"context"

	"slipway/sandbox/registry"
	"slipway/sandbox/registry/catalog"
	"slipway/server"
	"slipway/server/dockerfile"
	"slipway/server/explain"
	"slipway/server/lint"
	"slipway/server/play"
)

// texts reads Dockerfiles without building them: what the linter, the explanation and the plan say of the text
// alone, with what the catalogue knows of base images.
type texts struct{ catalog *catalog.Catalog }

func (t texts) lint(ctx context.Context, text server.Text) ([]play.Diagnostic, error) {
	in, err := lint.NewInput(text.Files, text.Request())
	if err != nil {
		return nil, err
	}
	in.Images = map[string]lint.Image{}
	o := dockerfile.Parse([]byte(in.Source))
	for _, s := range o.Stages {
		for _, from := range o.Instructions[s.From].From {
			if c, ok := t.base(from.Ref); ok {
				in.Images[from.Ref] = lint.Image{Env: c.Env, User: c.User, WorkingDir: c.WorkingDir, Shell: c.Shell}
			}
		}
	}
	return lint.Lint(ctx, in)
}

func (t texts) explain(ctx context.Context, text server.Text) ([]explain.Step, error) {
	found, err := t.lint(ctx, text)
	if err != nil {
		return nil, err
	}
	return text.Explain(t.base, found), nil
}

// plan is the plan of a build, and its findings.
func (t texts) plan(ctx context.Context, text server.Text) (facts planned, err error) {
	in, err := lint.NewInput(text.Files, text.Request())
	if err != nil {
		return facts, err
	}
	facts.Plan, err = dockerfile.Parse([]byte(in.Source)).Plan(text.Target, text.BuildArgs)
	if err != nil {
		return facts, err
	}
	facts.Findings, err = t.lint(ctx, text)
	return facts, err
}

// planned is what a text tells of a build.
type planned struct {
	Plan     play.Planned      `json:"plan"`
	Findings []play.Diagnostic `json:"findings"`
}

// base is the configuration of an image that the catalogue has.
func (t texts) base(ref string) (play.ImageConfig, bool) {
	return registry.ImageConfig(t.catalog, ref)
}
