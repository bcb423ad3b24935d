package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"slipway/sandbox/registry/catalog"
	"slipway/server"
	"slipway/server/play"
)

type explainCmd struct {
	source
	Catalog string `env:"SLIPWAY_CATALOG" type:"path" help:"Folder of a base image catalogue, to know what base images bring along."`
}

// Run prints every step with what it does.
func (c *explainCmd) Run(ctx context.Context) error {
	rev, _, err := c.read()
	if err != nil {
		return err
	}
	t := texts{catalog: catalog.Open(c.Catalog)}
	steps, err := t.explain(ctx, server.Text{Files: rev.Files, Dockerfile: c.File, Target: c.Target, BuildArgs: c.BuildArg})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"steps": steps})
	}
	for _, s := range steps {
		fmt.Printf("%d  %s\n", s.N, s.Text)
		for _, sentence := range append(s.What, s.Why...) {
			fmt.Printf("   %s\n", strings.ReplaceAll(sentence.Text, "\n", " "))
		}
		for _, d := range s.Findings {
			fmt.Printf("   %s: %s (%s, %s)\n", d.Severity, d.Message, d.Rule, play.Place{File: d.File, Range: d.Range})
		}
		fmt.Println()
	}
	return nil
}
