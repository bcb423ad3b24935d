package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

type catalogCmd struct {
	Args []string `arg:"" optional:"" passthrough:"" help:"As for slipway catalog: make, add, remove, list, and their flags."`
}

// Run is slipway catalog, built from this tree, on this tree's data folder.
func (c *catalogCmd) Run(ctx context.Context, t *tree) error {
	if err := t.install(ctx, runPackages); err != nil {
		return err
	}
	if err := t.build(ctx); err != nil {
		return err
	}
	return t.run(ctx, t.bin("slipway"), append(t.catalogArgs(), trimDashes(c.Args)...)...)
}

// catalog makes what is missing.
func (t *tree) catalog(ctx context.Context) error {
	if b, err := os.ReadFile("/etc/debian_version"); err != nil || strings.TrimSpace(string(b)) == "" {
		return nil // base images are made with Debian's tools; without them Docker Hub has to do
	}
	return t.run(ctx, t.bin("slipway"), append(t.catalogArgs(), "make")...)
}

func (t *tree) catalogArgs() []string {
	return []string{"catalog", "--data", t.data, "--catalog", filepath.Join(t.data, "catalog")}
}
