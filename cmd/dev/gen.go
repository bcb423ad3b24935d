package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slipway/web/assets"
)

type genCmd struct{}

func (genCmd) Run(ctx context.Context, t *tree) error {
	if err := t.frontEnd(ctx); err != nil {
		return err
	}
	return t.generate(ctx)
}

// frontEnd fetches the packages that the lock file names.
func (t *tree) frontEnd(ctx context.Context) error {
	web := filepath.Join(t.root, "web")
	lock, err := os.ReadFile(filepath.Join(web, "package-lock.json"))
	if err != nil {
		return err
	}
	mark := filepath.Join(web, "node_modules", ".slipway-lock") // what is installed
	want := fmt.Sprintf("%x", sha256.Sum256(lock))
	if have, err := os.ReadFile(mark); err == nil && string(have) == want {
		return nil
	}
	return step("fetch front-end packages", func() error {
		if err := t.quiet(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", web); err != nil {
			return err
		}
		return os.WriteFile(mark, []byte(want), 0o644)
	})
}

// generate makes every generated file anew.
func (t *tree) generate(ctx context.Context) error {
	for _, g := range []struct {
		name string
		make func() error
	}{
		{"generate templ components", func() error { return t.quiet(ctx, "go", "tool", "templ", "generate", "-path", "web") }},
		{"generate SQL queries", func() error {
			return t.quiet(ctx, "go", "tool", "-modfile=cmd/dev/tools/sqlc/go.mod", "sqlc", "generate", "-f", "server/store/sqlc.yaml")
		}},
		{"bundle assets", func() error { return assets.Build(filepath.Join(t.root, "web"), false) }},
		{"write the settings into the README", func() error {
			return t.quiet(ctx, "go", "run", "./cmd/slipway", "settings", "--write", "README.md")
		}},
	} {
		if err := step(g.name, g.make); err != nil {
			return err
		}
	}
	return nil
}

// drift makes the generated files anew and fails if that changed any.
func (t *tree) drift(ctx context.Context) error {
	before, err := t.generated()
	if err != nil {
		return err
	}
	if err := t.generate(ctx); err != nil {
		return err
	}
	after, err := t.generated()
	if err != nil {
		return err
	}
	var changed []string
	for _, f := range slices.Sorted(maps.Keys(after)) {
		if before[f] != after[f] {
			changed = append(changed, f)
		}
	}
	for f := range before {
		if _, ok := after[f]; !ok {
			changed = append(changed, f+" (gone)")
		}
	}
	if changed != nil {
		return errors.New("generated files were out of date; they are right now, commit them:\n  " + strings.Join(changed, "\n  "))
	}
	return nil
}

// generated are the generated files with their digests.
func (t *tree) generated() (map[string][32]byte, error) {
	files := map[string][32]byte{}
	err := filepath.WalkDir(t.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(t.root, path)
		if d.IsDir() {
			if d.Name() == "node_modules" || d.Name() == ".git" || path == t.data {
				return fs.SkipDir
			}
			return nil
		}
		switch {
		case strings.HasSuffix(rel, "_templ.go"), strings.HasPrefix(rel, "web/static/"), strings.HasPrefix(rel, "server/store/query/"), rel == "README.md":
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files[rel] = sha256.Sum256(b)
		}
		return nil
	})
	return files, err
}
