// Command dev holds the chores of Slipway's developers and the first run of everyone else: up, test, check,
// gen, watch, bench, record, catalog. It installs what a machine lacks, builds, and starts; the product itself
// is cmd/slipway.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type cli struct {
	Data string `default:".data" env:"SLIPWAY_DATA" type:"path" help:"Folder for what is built, downloaded and kept."`

	Up      upCmd      `cmd:"" help:"Install what is missing, prepare, and start Slipway on one port."`
	Test    testCmd    `cmd:"" help:"Install what tests need and run every test."`
	Check   checkCmd   `cmd:"" help:"The fast subset: formatting, vet, types, drift, quick tests."`
	Gen     genCmd     `cmd:"" help:"Make the generated files anew: templ, SQL, assets, documentation."`
	Watch   watchCmd   `cmd:"" help:"Like up, and again after every change of a source file."`
	Bench   benchCmd   `cmd:"" help:"Measure against the budgets, and print one table."`
	Record  recordCmd  `cmd:"" help:"Run the scenarios on real BuildKit and write their logs anew."`
	Catalog catalogCmd `cmd:"" help:"Make the base image catalogue, or add an image to it."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	k := kong.Parse(&c, kong.Name("dev"), kong.Description("Chores of Slipway's developers."), kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)))
	root, err := findRoot()
	if err == nil {
		err = k.Run(&tree{root: root, data: c.Data})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(1)
	}
}
