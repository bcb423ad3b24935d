package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

type upCmd struct {
	Listen string   `default:"127.0.0.1:8080" env:"SLIPWAY_LISTEN" help:"Address to serve on."`
	Flags  []string `arg:"" optional:"" passthrough:"" help:"Further flags for slipway serve (see slipway serve --help)."`
}

func (c *upCmd) Run(ctx context.Context, t *tree) error {
	if err := t.prepare(ctx); err != nil {
		return err
	}
	p, err := t.serve(ctx, c.Listen, c.Flags)
	if err != nil {
		return err
	}
	return p.Wait()
}

// prepare installs, builds and makes everything that a start needs; done already, it takes about a second.
func (t *tree) prepare(ctx context.Context) error {
	if err := t.install(ctx, runPackages); err != nil {
		return err
	}
	if err := t.build(ctx); err != nil {
		return err
	}
	if err := t.catalog(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "Not all base images could be made; what is missing has to come from Docker Hub:", err)
	}
	return ctx.Err()
}

// serve starts slipway; the context's end asks it to stop and waits for it to clean up.
func (t *tree) serve(ctx context.Context, listen string, flags []string) (*exec.Cmd, error) {
	args := []string{"serve", "--data", t.data, "--listen", listen, "--buildkitd", t.bin("buildkitd"), "--catalog", filepath.Join(t.data, "catalog")}
	for _, prefix := range packageAddresses(ctx) {
		args = append(args, "--egress-allow", prefix)
	}
	cmd := exec.CommandContext(ctx, t.bin("slipway"), append(args, trimDashes(flags)...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.root, os.Stdout, os.Stderr
	// The terminal's Ctrl-C reaches the whole process group; one asking is enough.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start slipway: %w", err)
	}
	return cmd, nil
}

func trimDashes(flags []string) []string {
	if len(flags) > 0 && strings.TrimSpace(flags[0]) == "--" {
		return flags[1:]
	}
	return flags
}
