package main

import (
	"bytes"
	"context"
	"slices"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

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
	in, err := lint.NewInput(text.Files, text.Request())
	if err != nil {
		return nil, err
	}
	found, err := t.lint(ctx, text)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, f := range text.Files {
		paths = append(paths, f.Path)
	}
	slices.Sort(paths)
	return explain.Steps(dockerfile.Parse([]byte(in.Source)), explain.Options{
		File: in.File, Target: text.Target, BuildArgs: text.BuildArgs, Files: paths, Ignored: ignored(in.Ignore),
		Base: t.base, Findings: found,
	}), nil
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

// ignored says what a .dockerignore leaves out; one that can't be read leaves out nothing, and the build says so.
func ignored(text string) func(string) bool {
	patterns, err := ignorefile.ReadAll(bytes.NewReader([]byte(text)))
	if err != nil {
		return nil
	}
	m, err := patternmatcher.New(patterns)
	if err != nil {
		return nil
	}
	return func(path string) bool {
		out, err := m.MatchesOrParentMatches(path)
		return err == nil && out
	}
}
