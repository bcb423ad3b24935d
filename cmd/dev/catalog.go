package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"slipway/sandbox/registry/catalog"
)

// catalogCmd makes the base image catalogue, or changes it.
type catalogCmd struct {
	Make   catalogMakeCmd   `cmd:"" default:"withargs" help:"Make the images that are missing or whose recipe changed."`
	Add    catalogAddCmd    `cmd:"" help:"Add an image of your own."`
	Remove catalogRemoveCmd `cmd:"" help:"Take an image out."`
	List   catalogListCmd   `cmd:"" help:"List the images."`
}

type catalogMakeCmd struct {
	Only     []string `arg:"" optional:"" help:"Only these: names such as python or debian:trixie-slim, or packages for the Python index."`
	Again    bool     `help:"Make also what is there already: takes in newer Debian packages."`
	Mirror   string   `help:"Debian archive to use in place of the one in this machine's apt configuration."`
	Security string   `help:"Debian's security archive, if --mirror is given."`
}

func (c *catalogMakeCmd) Run(ctx context.Context, t *tree) error {
	return t.makeCatalog(ctx, catalog.MakeConfig{
		Archive: catalog.Archive{Main: c.Mirror, Security: c.Security}, Only: c.Only, Again: c.Again,
	})
}

// catalog makes what is missing.
func (t *tree) catalog(ctx context.Context) error { return t.makeCatalog(ctx, catalog.MakeConfig{}) }

func (t *tree) makeCatalog(ctx context.Context, cfg catalog.MakeConfig) error {
	cfg.Report = func(r catalog.Report) {
		switch {
		case r.Err != nil:
			fmt.Printf("catalogue %d/%d  %s failed\n", r.N, r.Of, r.Name)
		case r.Already:
		case r.Done:
			fmt.Printf("catalogue %d/%d  %s made in %s\n", r.N, r.Of, r.Name, r.Took.Round(100*time.Millisecond))
		default:
			fmt.Printf("catalogue %d/%d  %s …\n", r.N, r.Of, r.Name)
		}
	}
	return t.images().Make(ctx, cfg)
}

// images is the catalogue of the data folder.
func (t *tree) images() *catalog.Catalog { return catalog.Open(filepath.Join(t.data, "catalog")) }

type catalogAddCmd struct {
	Ref  string `arg:"" help:"Reference that Dockerfiles use, such as acme/base:1 or ghcr.io/acme/base:1."`
	From string `arg:"" help:"oci:DIR, oci:DIR:TAG, tar:FILE (from docker save), or docker://REFERENCE."`
}

func (c *catalogAddCmd) Run(ctx context.Context, t *tree) error {
	image, err := t.images().Add(ctx, c.Ref, c.From)
	if err != nil {
		return err
	}
	fmt.Println(image.Ref, image.Digest)
	return nil
}

type catalogRemoveCmd struct {
	Ref string `arg:"" help:"Reference, such as acme/base:1."`
}

func (c *catalogRemoveCmd) Run(_ context.Context, t *tree) error { return t.images().Remove(c.Ref) }

type catalogListCmd struct{}

func (*catalogListCmd) Run(_ context.Context, t *tree) error {
	images, err := t.images().Images()
	if err != nil {
		return err
	}
	for _, i := range images {
		fmt.Printf("%-50s %.19s  %s\n", i.Ref, i.Digest, i.Note)
	}
	return nil
}
