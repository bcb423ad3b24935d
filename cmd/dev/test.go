package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type testCmd struct {
	Run_ string `name:"run" help:"Only tests that match this expression."`
}

func (c *testCmd) Run(ctx context.Context, t *tree) error {
	if err := t.install(ctx, slices.Concat(runPackages, testPackages)); err != nil {
		return err
	}
	if err := t.build(ctx); err != nil {
		return err
	}
	if err := t.catalog(ctx); err != nil {
		return err
	}
	if err := t.lint(ctx); err != nil {
		return err
	}
	// Tests of the whole program find the daemon and the base images here, and what builds may reach.
	os.Setenv("SLIPWAY_DATA", t.data)
	os.Setenv("SLIPWAY_EGRESS_ALLOW", strings.Join(packageAddresses(ctx), ","))
	var filter []string
	if c.Run_ != "" {
		filter = []string{"-run", c.Run_}
	}
	for _, suite := range suites {
		args := slices.Concat([]string{"test", "-timeout=30m"}, suite.flags, filter, suite.packages)
		if err := step("go "+strings.Join(args, " "), func() error { return t.run(ctx, "go", args...) }); err != nil {
			return err
		}
	}
	return nil
}

// suites are all packages, each once: what shares memory between goroutines under the race detector, and
// what starts daemons and browsers one package after the other, so that they do not slow each other down.
var suites = []struct{ flags, packages []string }{
	{[]string{"-race"}, []string{"./server/...", "./web/...", "./migrations/...", "./sandbox/egress/...", "./sandbox/registry/...", "./sandbox/replay/..."}},
	{[]string{"-p=1"}, []string{"./sandbox/runtime/...", "./sandbox/builder/...", "./sandbox/buildkit/...", "./cmd/..."}},
}

// lint checks what no test runs: formatting, vet, the types of the front end, and drift of generated files.
func (t *tree) lint(ctx context.Context) error {
	if err := t.frontEnd(ctx); err != nil {
		return err
	}
	for _, check := range []struct {
		name string
		do   func() error
	}{
		{"check formatting", func() error { return t.gofmt(ctx) }},
		{"go vet", func() error { return t.quiet(ctx, "go", "vet", "./...") }},
		{"staticcheck", func() error {
			return t.quiet(ctx, "go", "tool", "-modfile=cmd/dev/tools/staticcheck/go.mod", "staticcheck", "./...")
		}},
		{"check types of the front end", func() error {
			return t.quiet(ctx, filepath.Join("web", "node_modules", ".bin", "tsc"), "--noEmit", "-p", "web")
		}},
		{"check generated files", func() error { return t.drift(ctx) }},
	} {
		if err := step(check.name, check.do); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) gofmt(ctx context.Context) error {
	var out strings.Builder
	if err := t.command(ctx, &out, "gofmt", "-l", "cmd", "migrations", "sandbox", "server", "web").Run(); err != nil {
		return err
	}
	files := slices.DeleteFunc(strings.Fields(out.String()), func(f string) bool { return strings.Contains(f, "node_modules/") })
	if len(files) > 0 {
		return errors.New("not formatted: " + strings.Join(files, " "))
	}
	return nil
}

type checkCmd struct{}

// Run checks what needs neither root nor a daemon.
func (checkCmd) Run(ctx context.Context, t *tree) error {
	if err := t.lint(ctx); err != nil {
		return err
	}
	return t.run(ctx, "go", "test", "./server/play/...", "./server/view/...", "./server/dockerfile/...", "./server/lint/...",
		"./server/explain/...", "./server/archive/...", "./server/eventlog/...", "./server/job/...", "./server", "./web/...", "./sandbox/egress/...")
}
