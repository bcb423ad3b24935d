// Command slipway is the program: the server, its workers, the commands for people, and, under names that
// people don't call, the processes that the sandbox starts.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type cli struct {
	Serve    serveCmd    `cmd:"" help:"Serve the pages and the API, and build."`
	Work     workCmd     `cmd:"" help:"Build only, for a server on another machine."`
	Catalog  catalogCmd  `cmd:"" help:"Make the base image catalogue, or add an image to it."`
	Migrate  migrateCmd  `cmd:"" help:"Bring the database to this version's schema."`
	Doctor   doctorCmd   `cmd:"" help:"Check everything that a server needs, and say how to mend it."`
	Lint     lintCmd     `cmd:"" help:"Lint a folder's Dockerfile."`
	Explain  explainCmd  `cmd:"" help:"Explain a folder's Dockerfile, step by step."`
	Build    buildCmd    `cmd:"" help:"Build a folder on a running server."`
	Settings settingsCmd `cmd:"" hidden:"" help:"Write the table of settings into a Markdown file."`
	Version  versionCmd  `cmd:"" help:"Say which versions this is made of."`
}

func main() {
	if len(os.Args) > 1 {
		if run, ok := inside[os.Args[1]]; ok {
			os.Exit(run(os.Args[2:]))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	k := kong.Parse(&c, kong.Name("slipway"), kong.Description("A Dockerfile playground: edit, lint, build, explain, share."),
		kong.UsageOnError(), defaults(), kong.BindTo(ctx, (*context.Context)(nil)))
	err := k.Run()
	var code exitCode
	switch {
	case errors.As(err, &code):
		os.Exit(int(code))
	case err != nil && ctx.Err() == nil:
		fmt.Fprintln(os.Stderr, "slipway:", err)
		os.Exit(1)
	}
}

// exitCode is an error whose words have been said already.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }
