package main

import (
	"context"
	"os"
)

type recordCmd struct{}

// Run builds every scenario and writes what happened into the corpus, for a person to look at the difference.
func (recordCmd) Run(ctx context.Context, t *tree) error {
	if err := t.prepare(ctx); err != nil {
		return err
	}
	os.Setenv("SLIPWAY_DATA", t.data)
	return t.run(ctx, "go", "test", "./sandbox/buildkit", "-run", "TestScenarios", "-count=1", "-record")
}
