package main

import (
	"context"
	"path/filepath"
	"strings"
	"time"
)

// start measures the server's own start on data that is there, and what it uses while nobody asks for anything.
func (b *bench) start(ctx context.Context) error {
	const times = 3
	var version, ready, built sample
	for range times {
		err := version.measure(func() error { return b.quiet(ctx, b.bin("slipway"), "version") })
		if err != nil {
			return err
		}
		if err := b.restart(ctx); err != nil {
			return err
		}
		begin := time.Now()
		if _, err := b.daemon(ctx); err != nil {
			return err
		}
		ready = append(ready, b.site.took)
		built = append(built, b.site.took+time.Since(begin))
	}
	baseline := "slipway version " + short(version.median())
	b.add(row{
		what: "server start to ready", measured: short(ready.median()), baseline: baseline, ratio: ratio(ready.median(), version.median()),
		bar: "< 3 s", met: ready.median() < 3*time.Second,
	})
	b.add(row{
		what: "server start to end of first build", measured: short(built.median()), baseline: baseline, ratio: ratio(built.median(), version.median()),
		bar: "< 3 s", met: built.median() < 3*time.Second,
	})
	b.note("server start: medians of %d; the first build starts the builder with buildkitd, and copies one file", times)
	return b.idle(ctx)
}

// idle measures the memory of a server that was started and left alone, and of the processes it has then.
func (b *bench) idle(ctx context.Context) error {
	if err := b.restart(ctx); err != nil {
		return err
	}
	time.Sleep(10 * time.Second)
	server, err := resident(b.site.cmd.Process.Pid)
	if err != nil {
		return err
	}
	if _, err := b.daemon(ctx); err != nil {
		return err
	}
	processes, err := below(b.site.cmd.Process.Pid)
	if err != nil {
		return err
	}
	var others []string
	var together int64
	for _, p := range processes {
		used, err := resident(p.pid)
		if err != nil {
			continue // it has ended
		}
		name := filepath.Base(p.args[0])
		if len(p.args) > 1 && !strings.HasPrefix(p.args[1], "-") {
			name = p.args[1] // the server's own program, started as something else
		}
		others = append(others, name+" "+megabytes(used))
		together += used
	}
	b.add(row{
		what: "idle memory of the server", measured: megabytes(server), baseline: "its other processes " + megabytes(together),
		ratio: float64(server) / float64(together), bar: "< 150 MB", met: server < 150_000_000,
	})
	b.note("idle memory: resident, of the process slipway serve, 10 s after its start; the others, after a first build: %s; pages that several share are counted in each",
		strings.Join(others, ", "))
	return nil
}
