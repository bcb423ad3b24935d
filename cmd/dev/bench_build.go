package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/server/example"
	"slipway/server/play"
)

// benchExamples are built: Python packages from the catalogue's index, two stages, npm, the Go compiler with a
// cache mount, and no RUN at all.
var benchExamples = []string{"fastapi-2", "fastapi-5", "node", "go", "nginx"}

// compared is what Slipway and buildctl took for the same.
type compared struct {
	name         string
	ours, theirs sample
}

// uncached compares builds whose every step runs.
func (b *bench) uncached(ctx context.Context) error {
	results, err := b.compare(ctx, true, b.rounds)
	if err != nil {
		return err
	}
	var ours, theirs time.Duration
	for _, r := range results {
		ours, theirs = ours+r.ours.median(), theirs+r.theirs.median()
		b.add(row{
			what: "uncached build, " + r.name, measured: short(r.ours.median()), baseline: "buildctl " + short(r.theirs.median()),
			ratio: ratio(r.ours.median(), r.theirs.median()), bar: "≤ 1.05 ×", met: ratio(r.ours.median(), r.theirs.median()) <= 1.05,
		})
	}
	b.add(row{
		what: "uncached builds together", measured: short(ours), baseline: "buildctl " + short(theirs),
		ratio: ratio(ours, theirs), bar: "≤ 1.05 ×", met: ratio(ours, theirs) <= 1.05,
	})
	b.note("uncached builds: medians of %d, in turns; from the POST to Finished read as NDJSON, against the run of buildctl's process; "+
		"same daemon, files, proxy network, zstd and push, each to a registry of Slipway's make", b.rounds)
	return nil
}

// cached compares builds that have nothing to do.
func (b *bench) cached(ctx context.Context) error {
	const rounds = 20
	results, err := b.compare(ctx, false, rounds)
	if err != nil {
		return err
	}
	for _, r := range results {
		ours, theirs := r.ours.median(), r.theirs.median()
		b.add(row{
			what: "cached build, " + r.name, measured: short(ours), baseline: "buildctl " + short(theirs), ratio: ratio(ours, theirs),
			bar: "≤ buildctl + 50 ms, < 200 ms", met: ours <= theirs+50*time.Millisecond && ours < 200*time.Millisecond,
		})
	}
	b.note("cached builds: medians of %d, else as the uncached", rounds)
	return nil
}

// compare builds each example by turns with Slipway and with buildctl. One round beforehand is not counted: it
// fetches what both then have.
func (b *bench) compare(ctx context.Context, noCache bool, rounds int) ([]compared, error) {
	ctl, err := b.buildctl(ctx)
	if err != nil {
		return nil, err
	}
	defer ctl.close()
	all, err := example.All()
	if err != nil {
		return nil, err
	}
	var results []compared
	for _, e := range all {
		if !slices.Contains(benchExamples, e.Name) {
			continue
		}
		r, err := b.compareOne(ctx, ctl, e, noCache, rounds)
		if err != nil {
			return nil, fmt.Errorf("example %s: %w", e.Name, err)
		}
		results = append(results, r)
	}
	return results, nil
}

func (b *bench) compareOne(ctx context.Context, ctl *buildctl, e example.Example, noCache bool, rounds int) (compared, error) {
	r := compared{name: e.Name}
	dir, err := ctl.context(e.Name, e.Files)
	if err != nil {
		return r, err
	}
	ours := func() error { return b.buildOnce(ctx, e.Files, noCache) }
	theirs := func() error { return ctl.build(ctx, dir, noCache) }
	if err := ours(); err != nil {
		return r, err
	}
	if err := theirs(); err != nil {
		return r, err
	}
	for i := range rounds {
		turns := []func() error{func() error { return r.ours.measure(ours) }, func() error { return r.theirs.measure(theirs) }}
		for j := range turns {
			if err := turns[(i+j)%2](); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// buildOnce builds with Slipway, and fails if a step was reused that should not have been.
func (b *bench) buildOnce(ctx context.Context, files []play.File, noCache bool) error {
	_, reused, err := b.site.build(ctx, orderOf(files, noCache))
	if err != nil {
		return err
	}
	for _, name := range reused {
		if noCache && (strings.Contains(name, "] RUN ") || strings.Contains(name, "] COPY ")) {
			return fmt.Errorf("a build without the cache reused %s", name)
		}
	}
	return nil
}
