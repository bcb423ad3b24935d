package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// tree is the source tree and the folder where what is made of it lies.
type tree struct {
	root string
	data string
}

// findRoot walks up from the working directory to the folder of go.mod.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(b, []byte("module slipway\n")) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("run this inside Slipway's source tree")
		}
		dir = filepath.Dir(dir)
	}
}

func (t *tree) bin(name string) string { return filepath.Join(t.data, "bin", name) }

// run executes a command in the root with its output shown.
func (t *tree) run(ctx context.Context, name string, args ...string) error {
	return t.command(ctx, os.Stdout, name, args...).Run()
}

func (t *tree) command(ctx context.Context, out io.Writer, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Stdout, c.Stderr = t.root, out, out
	return c
}

// quiet executes a command and shows its output only if it fails.
func (t *tree) quiet(ctx context.Context, name string, args ...string) error {
	var out bytes.Buffer
	if err := t.command(ctx, &out, name, args...).Run(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

// step says what is being done, does it, and says how long it took. Steps that take no time are not worth a
// line: the name appears after 200 ms.
func step(name string, do func() error) error {
	start, shown := time.Now(), make(chan bool, 1)
	timer := time.AfterFunc(200*time.Millisecond, func() {
		fmt.Printf("· %s …\n", name)
		shown <- true
	})
	err := do()
	quick := timer.Stop()
	switch {
	case err != nil:
		fmt.Printf("✗ %s\n", name)
		return fmt.Errorf("%s: %w", name, err)
	case !quick:
		<-shown
		fmt.Printf("✓ %s  %.1f s\n", name, time.Since(start).Seconds())
	}
	return nil
}

// build makes the two programs: slipway and, at the version that go.mod pins, buildkitd.
func (t *tree) build(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(t.data, "bin"), 0o755); err != nil {
		return err
	}
	for _, p := range []struct{ name, pkg string }{
		{"buildkitd", "github.com/moby/buildkit/cmd/buildkitd"},
		{"slipway", "./cmd/slipway"},
	} {
		err := step("build "+p.name, func() error {
			return t.quiet(ctx, "go", "build", "-trimpath", "-o", t.bin(p.name), p.pkg)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
