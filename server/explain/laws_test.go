package explain_test

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"slipway/server/dockerfile"
	"slipway/server/explain"
	"slipway/server/play"
	"slipway/server/view"
)

// FuzzSteps: whatever passes the check that comes first is explained, step by step, without a panic; sentences
// are about places inside the instruction; and explaining twice gives the same.
func FuzzSteps(f *testing.F) {
	for _, a := range []string{
		"FROM a\nRUN b && c | d > e <<F\nx\nF\n", "ARG A=$B\nFROM $A\nENV A=$A$A B=${A:-x} C=\"$A\nCOPY --from=0 a b /c\n", "FROM scratch\nCMD\nCMD []\nENTRYPOINT []\nSHELL []\n",
		"# escape=`\nFROM a AS b\nRUN x `\n y\nFROM b\nONBUILD RUN x\nFROM 1\n", "HEALTHCHECK CMD\nFROM\nFROM a b\nHEALTHCHECK --retries=x NONE\n", "FROM a\nRUN <<-E\n\tset -e; $(x) `y`\n\tE\nCOPY <<X <<'Y' /z/\na\nX\nb\nY\n",
		"FROM a\nADD --checksum=x http://y/z.git#a git@b:c .\nWORKDIR $X\nWORKDIR ..\nUSER :\nEXPOSE $P/udp 1-2\nVOLUME [\"\"]\nLABEL =\nMAINTAINER\n",
		"FROM a\nRUN --mount=type=cache --mount=\"type=secret,id\" --network= x=1\nRUN sudo\nRUN pip install -r\nRUN tar\nRUN set\nRUN python -m\nRUN \"\"\n",
	} {
		f.Add(a)
	}
	f.Fuzz(func(t *testing.T, text string) {
		limits := play.DefaultLimits()
		if dockerfile.Preflight("Dockerfile", []byte(text), nil, limits) != nil {
			return
		}
		o := dockerfile.Parse([]byte(text))
		plan, err := o.Plan("", nil)
		if err != nil {
			t.Fatal(err)
		}
		plan.Solver = true
		var j view.Job
		j.Apply(play.Event{Seq: 1, Fact: plan})
		j.Apply(play.Event{Seq: 2, Fact: play.Finished{Outcome: play.Failed, Step: 1, Message: text}})
		opt := explain.Options{Job: &j, Files: []string{"a", "b/c"}}
		steps := explain.Steps(o, opt)
		if len(steps) != len(o.Instructions) {
			t.Fatalf("%d steps of %d instructions", len(steps), len(o.Instructions))
		}
		for i, s := range steps {
			if s.N != i+1 || len(s.What) == 0 || !strings.HasPrefix(s.URL, "https://") {
				t.Fatalf("step %d: %+v", i+1, s)
			}
			for _, said := range append(s.What, s.Why...) {
				if said.Text == "" || strings.Contains(said.Text, "%!") {
					t.Fatalf("step %d says %q", s.N, said.Text)
				}
				if at := said.About; at != nil && (at.Start.Before(s.Range.Start) || s.Range.End.Before(at.End) || at.End.Before(at.Start)) {
					t.Fatalf("step %d (%v) says of %v: %s", s.N, s.Range, *at, said.Text)
				}
			}
		}
		if !reflect.DeepEqual(steps, explain.Steps(o, opt)) {
			t.Fatal("explained differently the second time")
		}
	})
}

// Steps are shared by everybody who looks: adding a build to them must not change them.
func TestBuildLeavesSteps(t *testing.T) {
	for name, a := range archives(t, "../../sandbox/replay/testdata/*.txtar") {
		c := contents(a)
		steps := explain.Steps(dockerfile.Parse(c.dockerfile), explain.Options{Files: c.files})
		before, err := json.Marshal(steps)
		if err != nil {
			t.Fatal(err)
		}
		var j view.Job
		for _, e := range c.events {
			j.Apply(e)
			explain.Build(steps, &j, c.files)
		}
		if after, _ := json.Marshal(steps); string(after) != string(before) {
			t.Errorf("%s: the steps have changed", name)
		}
	}
}

// Findings of the linter stand at their step, once, whoever reports them.
func TestFindings(t *testing.T) {
	d := play.Diagnostic{Rule: "R", Message: "m", Range: play.Range{Start: play.Position{Line: 3, Column: 2}}}
	var j view.Job
	j.Apply(play.Event{Seq: 1, Fact: play.Diagnosed{Diagnostic: d}})
	o := dockerfile.Parse([]byte("FROM a\nRUN b \\\n  && c\n\nRUN d\n"))
	steps := explain.Steps(o, explain.Options{Job: &j, Findings: []play.Diagnostic{d}})
	if len(steps[0].Findings) != 0 || len(steps[1].Findings) != 1 || len(steps[2].Findings) != 0 {
		t.Errorf("%+v", steps)
	}
}

// Options of the build show in what is said and in the state.
func TestOptions(t *testing.T) {
	o := dockerfile.Parse([]byte("ARG V=1\nFROM a:$V AS x\nARG V\nARG TARGETARCH\nRUN b\nFROM x AS y\n"))
	steps := explain.Steps(o, explain.Options{Target: "x", BuildArgs: map[string]string{"V": "2"}, Platform: "linux/arm64"})
	if steps[1].After.Base != "a:2" || steps[5].Needed || !steps[4].Needed {
		t.Errorf("%+v", steps)
	}
	args := steps[4].After.Args
	if fmt.Sprint(args) != "[{V 2 3} {TARGETARCH arm64 4}]" {
		t.Errorf("%v", args)
	}
	if said := steps[2].What[0].Text; !strings.Contains(said, "this build gives it as 2") {
		t.Error(said)
	}
}

// What .dockerignore leaves out is not in the build context.
func TestIgnored(t *testing.T) {
	o := dockerfile.Parse([]byte("FROM a\nCOPY secret.env /\nCOPY src /src\nCOPY *.md /\n"))
	steps := explain.Steps(o, explain.Options{
		File: "Dockerfile", Files: []string{"Dockerfile.dockerignore", "a.md", "secret.env", "src/a", "src/b", "src/b.tmp"},
		Ignored: func(p string) bool { return p == "secret.env" || p == "src/b.tmp" },
	})
	for i, want := range []string{"", "Dockerfile.dockerignore leaves it out", "the directory src, 2 files,", "*.md in the build context, 1 file now"} {
		if said := steps[i].What[0].Text; !strings.Contains(said, want) {
			t.Errorf("%q, want %q", said, want)
		}
	}
}

// What the text leaves open about the base, the finished image tells.
func TestSettled(t *testing.T) {
	o := dockerfile.Parse([]byte("FROM a\nENV PATH=/x:$PATH\nWORKDIR /w\nUSER app\nEXPOSE 80\nCMD [\"c\"]\n"))
	plan, _ := o.Plan("", nil)
	j := new(view.Job)
	for i, f := range []play.Fact{plan, play.Exported{Config: play.ImageConfig{
		User: "app", WorkingDir: "/w", Env: []string{"PATH=/x:/bin", "LANG=C"}, Entrypoint: []string{"/init"}, Cmd: []string{"c"},
		Exposed: []string{"80/tcp", "443/tcp"}, StopSignal: "SIGQUIT",
	}}, play.Finished{Outcome: play.OK}} {
		j.Apply(play.Event{Seq: int64(i + 1), Fact: f})
	}
	steps := explain.Steps(o, explain.Options{Job: j})
	first, last := steps[0].After, steps[5].After
	if fmt.Sprintf("%v %v %s %v", first.Env, first.Entrypoint, first.StopSignal, first.Exposed) != "[{LANG C 0}] [/init] SIGQUIT [443/tcp]" {
		t.Errorf("%+v", first)
	}
	if fmt.Sprint(first.Unknown) != "[user working_dir env cmd]" || first.User != "" { // set later: what it was is not known
		t.Errorf("%v", first.Unknown)
	}
	if fmt.Sprintf("%v %s %s %v %v", last.Env, last.User, last.WorkingDir, last.Exposed, last.Unknown) != "[{LANG C 0} {PATH /x:/bin 2}] app /w [443/tcp 80/tcp] []" {
		t.Errorf("%+v", last)
	}
}

// The explanation reads no clock, no files and no network.
func TestPurity(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			switch p := strings.Trim(i.Path.Value, `"`); p {
			case "os", "net", "net/http", "time", "math/rand", "math/rand/v2", "context":
				t.Errorf("%s imports %s", name, p)
			}
		}
	}
}
