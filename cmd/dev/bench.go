package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// benchCmd measures Slipway against its budgets, each number beside one that was measured in the same run.
type benchCmd struct {
	Names  []string `arg:"" optional:"" help:"Only these sections: start, build, cached, first, lint, explain, viewers, share, page."`
	Rounds int      `default:"5" help:"Times that each uncached build is made, by Slipway and by buildctl."`
}

// benchSections are the parts of the bench, in the order in which they run.
var benchSections = []benchSection{
	{"start", (*bench).start},
	{"build", (*bench).uncached},
	{"cached", (*bench).cached},
	{"first", (*bench).firstEvent},
	{"lint", (*bench).lint},
	{"explain", (*bench).explain},
	{"viewers", (*bench).viewers},
	{"share", (*bench).share},
	{"page", (*bench).page},
}

type benchSection struct {
	name    string
	measure func(*bench, context.Context) error
}

// bench is one run.
type bench struct {
	*tree
	rounds int
	site   *site // the server that is measured
	rows   []row
	notes  []string
}

// A row is one line of the table.
type row struct {
	what, measured, baseline string
	ratio                    float64 // measured to baseline; 0: they are not of a kind
	bar                      string  // what was asked for; "": nothing
	met                      bool
}

func (b *bench) add(r row) { b.rows = append(b.rows, r) }

// note adds a sentence on how something was measured.
func (b *bench) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

// Run measures and prints one table. A missed bar is no error: it is what the table is for.
func (c *benchCmd) Run(ctx context.Context, t *tree) (err error) {
	chosen := slices.DeleteFunc(slices.Clone(benchSections), func(s benchSection) bool {
		return len(c.Names) > 0 && !slices.Contains(c.Names, s.name)
	})
	for _, name := range c.Names {
		if !slices.ContainsFunc(chosen, func(s benchSection) bool { return s.name == name }) {
			return fmt.Errorf("there is no section %q", name)
		}
	}
	if err := t.install(ctx, slices.Concat(runPackages, testPackages)); err != nil {
		return err
	}
	if err := t.prepare(ctx); err != nil {
		return err
	}
	b := &bench{tree: t, rounds: c.Rounds}
	if err := b.clear(); err != nil {
		return err
	}
	if err := step("start a server for the bench", func() error { return b.restart(ctx) }); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.site.stop(), b.clear()) }()
	b.busy("before")
	var failed []error
	for _, s := range chosen {
		// What one section can't measure is no reason not to measure the others.
		if err := step("measure "+s.name, func() error { return s.measure(b, ctx) }); err != nil {
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	b.busy("after")
	b.print()
	return errors.Join(failed...)
}

// busy notes how much else the machine had to do.
func (b *bench) busy(when string) {
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		b.note("load average %s: %s; %d cores", when, strings.Join(strings.Fields(string(load))[:3], " "), runtime.NumCPU())
	}
}

// dir is where the server under test keeps its data.
func (b *bench) dir() string { return filepath.Join(b.data, "bench") }

func (b *bench) catalogDir() string { return filepath.Join(b.data, "catalog") }

// clear removes what earlier runs left, but for the file system that builders start from, which takes long to make.
func (b *bench) clear() error {
	entries, err := os.ReadDir(b.dir())
	if errors.Is(err, os.ErrNotExist) {
		return os.MkdirAll(b.dir(), 0o755)
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != "builders" {
			if err := os.RemoveAll(filepath.Join(b.dir(), e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nwhat\tmeasured\tbaseline\tratio\tbar\t")
	for _, r := range b.rows {
		ratio, verdict := "", ""
		if r.ratio > 0 {
			ratio = fmt.Sprintf("%.2f", r.ratio)
		}
		if r.bar != "" {
			verdict = "missed"
			if r.met {
				verdict = "ok"
			}
		}
		fmt.Fprintln(w, strings.Join([]string{r.what, r.measured, r.baseline, ratio, r.bar, verdict}, "\t"))
	}
	w.Flush() // standard output: who closed it has seen enough
	if len(b.notes) > 0 {
		fmt.Println()
	}
	for _, n := range b.notes {
		fmt.Println("-", n)
	}
}
