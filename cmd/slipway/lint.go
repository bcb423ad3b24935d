package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"slipway/server/dockerfile"
	"slipway/server/lint"
	"slipway/server/play"
)

// source is a folder with a Dockerfile, as commands take it.
type source struct {
	Dir      string            `arg:"" type:"existingdir" help:"Folder with the Dockerfile and its context."`
	File     string            `short:"f" default:"Dockerfile" help:"Path of the Dockerfile in the folder."`
	Target   string            `help:"Stage to build."`
	BuildArg map[string]string `help:"Build argument, NAME=VALUE."`
	JSON     bool              `help:"Print JSON, for machines."`
}

func (s source) request() play.BuildRequest {
	return play.BuildRequest{Dockerfile: s.File, Target: s.Target, BuildArgs: s.BuildArg}
}

// read reads the folder and refuses a Dockerfile that is too much to analyse.
func (s source) read() (play.Revision, lint.Input, error) {
	limits := play.DefaultLimits()
	files, err := readDir(s.Dir, s.File, limits)
	if err != nil {
		return play.Revision{}, lint.Input{}, err
	}
	rev, err := play.NewRevision(files, limits)
	if err != nil {
		return rev, lint.Input{}, err
	}
	in, err := lint.NewInput(rev.Files, s.request())
	if err != nil {
		return rev, in, err
	}
	return rev, in, dockerfile.Preflight(s.File, []byte(in.Source), s.BuildArg, limits)
}

type lintCmd struct {
	source
	Fail play.Severity `enum:"error,warning,info,never" default:"warning" help:"Exit with 1 if there is a finding as bad as this."`
}

// Run prints one finding a line.
func (c *lintCmd) Run(ctx context.Context) error {
	_, in, err := c.read()
	if err != nil {
		return err
	}
	found, err := lint.Lint(ctx, in)
	if err != nil {
		return err
	}
	if c.JSON {
		if found == nil {
			found = []play.Diagnostic{}
		}
		err = json.NewEncoder(os.Stdout).Encode(map[string]any{"diagnostics": found})
	} else {
		for _, d := range found {
			fmt.Printf("%s: %s: %s (%s)\n", play.Place{File: d.File, Range: d.Range}, d.Severity, d.Message, d.Rule)
		}
	}
	if err != nil {
		return err
	}
	worst := []play.Severity{play.SeverityError, play.SeverityWarning, play.SeverityInfo}
	worst = worst[:slices.Index(worst, c.Fail)+1] // none of them for "never"
	if slices.ContainsFunc(found, func(d play.Diagnostic) bool { return slices.Contains(worst, d.Severity) }) {
		return exitCode(1)
	}
	return nil
}
