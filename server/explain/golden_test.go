package explain_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/server/dockerfile"
	"slipway/server/explain"
	"slipway/server/play"
	"slipway/server/view"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the wanted files anew")

// TestText explains Dockerfiles from their text alone.
func TestText(t *testing.T) {
	for name, archive := range archives(t, "testdata/*.txtar") {
		t.Run(name, func(t *testing.T) {
			c := contents(archive)
			steps := explain.Steps(dockerfile.Parse(c.dockerfile), explain.Options{Files: c.files, Base: base})
			compare(t, "testdata/"+name+".want", show(steps))
		})
	}
}

// TestBuilds explains what real builds made of their files: the recorded scenarios of sandbox/replay.
func TestBuilds(t *testing.T) {
	for name, archive := range archives(t, "../../sandbox/replay/testdata/*.txtar") {
		t.Run(name, func(t *testing.T) {
			c := contents(archive)
			opt := explain.Options{Files: c.files, Job: view.Fold(c.events), Target: c.head.Request.Target, BuildArgs: c.head.Request.BuildArgs}
			compare(t, "testdata/replay/"+name+".want", show(explain.Steps(dockerfile.Parse(c.dockerfile), opt)))
		})
	}
}

func base(ref string) (play.ImageConfig, bool) {
	return play.ImageConfig{
		User: "app:app", WorkingDir: "/home", Env: []string{"WHO=world", "PATH=/bin"}, Entrypoint: []string{"/init"},
		Cmd: []string{"sh"}, Exposed: []string{"80/tcp"}, Labels: map[string]string{"b": "2", "a": "1"}, StopSignal: "SIGINT",
		Healthcheck: []string{"CMD", "true"},
	}, strings.HasPrefix(ref, "known")
}

func archives(t *testing.T, pattern string) map[string]*txtar.Archive {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("no scenarios at %s: %v", pattern, err)
	}
	out := make(map[string]*txtar.Archive)
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(name), ".txtar")] = a
	}
	return out
}

type scenario struct {
	dockerfile []byte
	files      []string
	events     []play.Event
	head       struct {
		Request play.BuildRequest `json:"request"`
	}
}

func contents(a *txtar.Archive) scenario {
	var c scenario
	for _, f := range a.Files {
		switch {
		case f.Name == "scenario.json":
			if err := json.Unmarshal(f.Data, &c.head); err != nil {
				panic(err)
			}
		case f.Name == "events.ndjson":
			for line := range strings.Lines(string(f.Data)) {
				var e play.Event
				if err := json.Unmarshal([]byte(line), &e); err != nil {
					panic(err)
				}
				c.events = append(c.events, e)
			}
		case strings.HasPrefix(f.Name, "want/"):
		default:
			if f.Name == "Dockerfile" {
				c.dockerfile = f.Data
			}
			c.files = append(c.files, f.Name)
		}
	}
	slices.Sort(c.files)
	return c
}

// show writes steps for people who review a change of the wanted files.
func show(steps []explain.Step) string {
	var b strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&b, "%d %s\n", s.N, s.Text)
		if !s.Needed {
			b.WriteString("  not needed\n")
		}
		sentences := func(mark string, list []explain.Sentence) {
			for _, l := range list {
				fmt.Fprintf(&b, "  %s %s", mark, l.Text)
				if l.About != nil {
					fmt.Fprintf(&b, " [%d:%d-%d:%d]", l.About.Start.Line, l.About.Start.Column, l.About.End.Line, l.About.End.Column)
				}
				b.WriteString("\n")
			}
		}
		sentences("-", s.What)
		sentences("?", s.Why)
		if r := s.Build; r != nil {
			fmt.Fprintf(&b, "  %s, %d lines\n", r.Status, r.Lines)
			sentences("=", r.Facts)
			if f := r.Failure; f != nil {
				fmt.Fprintf(&b, "  message: %s\n  meaning: %s\n  hint: %s\n  tail: %q\n", f.Message, f.Meaning, f.Hint, f.Tail)
			}
		}
		for _, d := range s.Findings {
			fmt.Fprintf(&b, "  ! %s: %s\n", d.Rule, d.Message)
		}
		before, _ := json.Marshal(s.Before)
		after, _ := json.Marshal(s.After)
		if string(before) != string(after) {
			fmt.Fprintf(&b, "  > %s\n", after)
		}
	}
	return b.String()
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got\n%s", name, got)
	}
}
