package buildkit_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/sandbox/replay"
	"slipway/server/play"
)

var record = flag.Bool("record", false, "write what BuildKit makes of the scenarios into package replay's corpus")

// Every scenario of the corpus is built for real, and must come out as it was recorded.
func TestScenarios(t *testing.T) {
	scenarios, err := replay.Scenarios()
	if err != nil {
		t.Fatal(err)
	}
	if len(scenarios) < 8 {
		t.Fatalf("only %d scenarios", len(scenarios))
	}
	w := newWorld(t)
	for _, s := range scenarios {
		t.Run(s.Name, func(t *testing.T) {
			w.mu.Lock()
			w.seen = nil
			w.mu.Unlock()
			var got replay.Scenario
			for range 2 {
				job := w.job(t, s.Request, "Dockerfile", "FROM scratch\n")
				job.Domain = s.Name // so that no scenario finds another's cache
				if got, err = replay.Record(t.Context(), s, job, w.Build); err != nil {
					t.Fatal(err)
				}
				if !s.Twice {
					break
				}
			}
			if *record {
				rewrite(t, got)
				return
			}
			if want, got := shape(s), shape(got); want != got {
				t.Errorf("recorded was\n%s\nnow it is\n%s", want, got)
			}
		})
	}
}

// shape is what of a build's events is the same each time.
func shape(s replay.Scenario) string {
	var b strings.Builder
	type stream struct {
		vertex string
		fd     int
	}
	vertices, outputs := map[string]play.Vertex{}, map[stream]string{}
	var plan play.Planned
	var end play.Finished
	var requests []string
	for _, e := range s.Events {
		switch f := e.Fact.(type) {
		case play.Planned:
			plan = f
		case play.Vertex:
			vertices[f.Digest] = f
		case play.Output:
			outputs[stream{f.Vertex, f.Stream}] += f.Data
		case play.Requested:
			requests = append(requests, fmt.Sprintf("%s %s %d %v", f.Method, f.URL, f.Status, f.Allowed))
		case play.Exported:
			fmt.Fprintf(&b, "exported %+v\n", f.Config)
			for _, l := range f.Layers {
				fmt.Fprintf(&b, "layer of step %d: %d files, %s\n", l.Step, l.Files, l.CreatedBy)
			}
		case play.Finished:
			end = f
			code := 0
			if f.ExitCode != nil {
				code = *f.ExitCode
			}
			fmt.Fprintf(&b, "finished %s, step %d, code %d, at %v: %s %s\n", f.Outcome, f.Step, code, f.At, f.Message, f.Hint)
		}
	}
	for _, step := range plan.Steps {
		fmt.Fprintf(&b, "step %d of stage %d, %s, needed %v, after %v:\n", step.N, step.Stage, step.Text, step.Needed, step.Inputs)
		for _, d := range step.Vertices {
			v := vertices[d]
			if end.Outcome != play.OK && step.N != end.Step { // how far the others came is a matter of moments
				continue
			}
			out, errs := outputs[stream{d, 1}], outputs[stream{d, 2}]
			if strings.Contains(step.Text, "ls -l") {
				out = "a listing with times"
			}
			fmt.Fprintf(&b, "  started %v, completed %v, cached %v, failed %v: %q %q\n", v.Started != nil, v.Completed != nil, v.Cached, v.Error != "", out, errs)
		}
	}
	slices.Sort(requests)
	fmt.Fprintln(&b, strings.Join(requests, "\n"))
	return b.String()
}

func rewrite(t *testing.T, s replay.Scenario) {
	version, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/moby/buildkit").Output()
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range s.Events {
		if f, ok := e.Fact.(play.Started); ok { // a test binary doesn't know the versions of its modules
			f.BuildKit = strings.TrimSpace(string(version))
			f.Frontend = f.BuildKit
			s.Events[i].Fact = f
		}
	}
	text, err := s.Format()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("..", "replay", "testdata", s.Name+".txtar"), text, 0o644); err != nil {
		t.Fatal(err)
	}
}
