package main

import (
	"context"
	"fmt"
	"time"

	"slipway/sandbox/registry/catalog"
)

// catalogCmd makes the base image catalogue, or changes it.
type catalogCmd struct {
	Data string `default:"${data}" env:"SLIPWAY_DATA" type:"path" help:"As for serve."`
	Dir  string `name:"catalog" env:"SLIPWAY_CATALOG" type:"path" help:"As for serve."`

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

// open gives the catalogue to the commands below.
func (c *catalogCmd) open() *catalog.Catalog {
	return catalog.Open(Settings{Data: c.Data, Catalog: c.Dir}.catalogDir())
}

// Run says what it makes, as it makes it.
func (c *catalogMakeCmd) Run(ctx context.Context, of *catalogCmd) error {
	report := func(r catalog.Report) {
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
	return of.open().Make(ctx, catalog.MakeConfig{
		Archive: catalog.Archive{Main: c.Mirror, Security: c.Security}, Only: c.Only, Again: c.Again, Report: report,
	})
}

type catalogAddCmd struct {
	Ref  string `arg:"" help:"Reference that Dockerfiles use, such as acme/base:1 or ghcr.io/acme/base:1."`
	From string `arg:"" help:"oci:DIR, oci:DIR:TAG, tar:FILE (from docker save), or docker://REFERENCE."`
}

func (c *catalogAddCmd) Run(ctx context.Context, of *catalogCmd) error {
	image, err := of.open().Add(ctx, c.Ref, c.From)
	if err != nil {
		return err
	}
	fmt.Println(image.Ref, image.Digest)
	return nil
}

type catalogRemoveCmd struct {
	Ref string `arg:"" help:"Reference, such as acme/base:1."`
}

func (c *catalogRemoveCmd) Run(of *catalogCmd) error { return of.open().Remove(c.Ref) }

type catalogListCmd struct{}

func (*catalogListCmd) Run(of *catalogCmd) error {
	images, err := of.open().Images()
	if err != nil {
		return err
	}
	for _, i := range images {
		fmt.Printf("%-50s %.19s  %s\n", i.Ref, i.Digest, i.Note)
	}
	return nil
}
