package main

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"time"

	"slipway/web/assets"
)

type watchCmd struct {
	Listen string `default:"127.0.0.1:8080" env:"SLIPWAY_LISTEN" help:"Address to serve on."`
}

// Run starts Slipway and, whenever source files change, makes what depends on them and starts it again. A
// change that does not compile leaves the old one running.
func (c *watchCmd) Run(ctx context.Context, t *tree) error {
	if err := t.frontEnd(ctx); err != nil {
		return err
	}
	if err := t.prepare(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		running, stop := context.WithCancel(ctx)
		p, err := t.serve(running, c.Listen, nil)
		if err != nil {
			stop()
			return err
		}
		ended := make(chan error, 1)
		go func() { ended <- p.Wait() }()
		t.untilRebuilt(ctx)
		stop()
		<-ended
	}
	return nil
}

// untilRebuilt returns when sources have changed and compile, or ctx is over.
func (t *tree) untilRebuilt(ctx context.Context) {
	seen := t.sources()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(300 * time.Millisecond):
		}
		now := t.sources()
		if maps.Equal(seen, now) {
			continue
		}
		var templ, front bool
		for f, at := range now {
			if seen[f] != at {
				fmt.Println("changed:", f)
				templ = templ || strings.HasSuffix(f, ".templ")
				front = front || strings.HasPrefix(f, "web/src/")
			}
		}
		err := t.rebuild(ctx, templ, front)
		seen = t.sources()
		if err == nil {
			return
		}
		fmt.Println(err)
	}
}

func (t *tree) rebuild(ctx context.Context, templ, front bool) error {
	if templ {
		if err := t.quiet(ctx, "go", "tool", "templ", "generate", "-path", "web"); err != nil {
			return err
		}
	}
	if front {
		if err := assets.Build(filepath.Join(t.root, "web"), true); err != nil {
			return err
		}
	}
	return t.build(ctx)
}

// sources are the files that the program is made of, with their times.
func (t *tree) sources() map[string]time.Time {
	files := map[string]time.Time{}
	filepath.WalkDir(t.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && path != t.root || d.Name() == "node_modules" || d.Name() == "testdata" || path == t.data {
				return fs.SkipDir
			}
			return nil
		}
		switch filepath.Ext(path) {
		case ".go", ".templ", ".ts", ".css", ".sql", ".md", ".txtar", ".svg":
			if info, err := d.Info(); err == nil {
				rel, _ := filepath.Rel(t.root, path)
				files[rel] = info.ModTime()
			}
		}
		return nil
	})
	return files
}
