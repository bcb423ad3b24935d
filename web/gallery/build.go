package gallery

import (
	"fmt"
	"html"
	"strings"
	"time"

	"slipway/server/explain"
	"slipway/server/play"
	"slipway/server/view"
	"slipway/web"
)

func ms(n int) *play.Millis {
	m := play.Millis(n) * play.Millis(time.Millisecond)
	return &m
}

func ptr[T any](v T) *T { return &v }

func job(s play.State) play.Job {
	return play.Job{ID: "q7w8x9c2v4", Snippet: "k3bzq8f0wd", State: s, Created: epoch, Build: play.BuildRequest{Revision: Service().ID}}
}

// instruction is a line of the table from which the steps of Service are made.
type instruction struct {
	from, to int
	stage    int
	what     string
	why      string
	status   view.Status
	took     int // milliseconds
	added    int64
	files    int
	facts    []string
}

var table = []instruction{
	{2, 2, 0, "Begins the stage builder with the image python:3.14-slim.", "Everything after it builds on that image's files, environment and user.", view.Reused, 0, 0, 0, []string{"Came from Slipway's catalogue: a stand-in made from Debian forky's packages, digest sha256:5f2c8e1b09aa."}},
	{3, 3, 0, "Makes /app the working directory, and creates it.", "Relative paths of the following instructions begin there.", view.Reused, 0, 0, 1, nil},
	{4, 4, 0, "Copies requirements.txt from the build context to /app.", "Copied alone, before the code: an edit of the code does not install everything again.", view.Ran, 84, 48, 1, []string{"Ran because requirements.txt changed."}},
	{5, 6, 0, "Runs python to make a virtual environment in /venv, then pip to install the packages named in requirements.txt.", "An environment in one folder can be copied to another stage as a whole.", view.Ran, 6120, 31_400_000, 2112, []string{"Added 2,112 files, 31 MB, in 6.1 s.", "Made 14 network requests to 2 hosts."}},
	{8, 8, 1, "Begins the stage run with the image python:3.14-slim.", "The final image holds only what this stage copies in.", view.Reused, 0, 0, 0, nil},
	{9, 9, 1, "Puts /venv/bin in front of PATH.", "Programs of the virtual environment are found first.", view.Applied, 0, 0, 0, nil},
	{10, 10, 1, "Runs useradd to make the system user app with the id 10001.", "A process that is not root can do less harm.", view.Ran, 402, 9300, 6, []string{"Added 6 files, 9.3 kB, in 0.4 s."}},
	{11, 11, 1, "Copies /venv from the stage builder.", "The tools that built it stay behind.", view.Ran, 610, 31_400_000, 2112, nil},
	{12, 12, 1, "Copies the folder app from the build context to /srv/app.", "", view.Ran, 61, 212, 2, nil},
	{13, 13, 1, "Runs what follows, and the container, as the user app.", "", view.Applied, 0, 0, 0, nil},
	{14, 14, 1, "Makes /srv the working directory.", "", view.Ran, 30, 0, 1, nil},
	{15, 15, 1, "Says that the program listens on port 8000.", "It opens nothing by itself; it tells people and tools what to publish.", view.Applied, 0, 0, 0, nil},
	{16, 16, 1, "Starts uvicorn through /bin/sh when a container starts.", "", view.Applied, 0, 0, 0, nil},
}

// TextSteps are the steps of Service as they stand before any build.
func TextSteps() []explain.Step {
	lines := strings.Split(dockerfile, "\n")
	var out []explain.Step
	user, dir := "root", "/"
	for i, in := range table {
		source := strings.Join(lines[in.from-1:in.to], "\n")
		text := strings.Join(strings.Fields(strings.ReplaceAll(source, "\\\n", " ")), " ")
		name, _, _ := strings.Cut(text, " ")
		if name == "FROM" {
			user, dir = "root", "/"
		}
		s := explain.Step{
			N: i + 1, Stage: in.stage, StageName: Stages()[in.stage].Name, Instruction: name, Text: text, Source: source,
			Range: span(in.from, 1, in.to, len(lines[in.to-1])+1), Needed: true,
			What: []explain.Sentence{{Text: in.what}}, URL: "https://docs.docker.com/reference/dockerfile/#" + strings.ToLower(name),
		}
		if in.why != "" {
			s.Why = []explain.Sentence{{Text: in.why}}
		}
		s.Before = explain.State{Base: "python:3.14-slim", User: user, WorkingDir: dir, Shell: []string{"/bin/sh", "-c"}}
		switch name {
		case "USER":
			user = "app"
		case "WORKDIR":
			dir = strings.Fields(text)[1]
		}
		s.After = explain.State{Base: "python:3.14-slim", User: user, WorkingDir: dir, Shell: []string{"/bin/sh", "-c"}}
		if i >= 5 {
			s.After.Env = []explain.Var{{Name: "LANG", Value: "C.UTF-8"}, {Name: "PATH", Value: "/venv/bin:/usr/local/bin:/usr/bin:/bin", Step: 6}}
		}
		if i == 12 {
			s.Findings = Findings()[:1]
			s.After.Cmd = []string{"/bin/sh", "-c", "uvicorn app.main:app --host 0.0.0.0"}
		}
		out = append(out, s)
	}
	return out
}

// build makes a build of Service of which the first done steps are over and the next one has the given status.
func build(done int, next view.Status, rest view.Status) web.Build {
	b := web.Build{Job: job(play.JobRunning), Steps: TextSteps(), Now: epoch.Add(9400 * time.Millisecond)}
	t := &view.Timeline{
		Seq: 240, At: *ms(9400), State: play.JobRunning, StartedAt: *ms(310),
		Started: &play.Started{Attempt: 1, Worker: "node-1", BuildKit: "v0.34.2", Frontend: "1.20.0", Sandbox: "runc", Limit: *ms(600_000)},
		Plan:    play.Planned{Solver: true, Target: 1, Stages: Stages(), Syntax: "The # syntax line is honoured by the built-in frontend, version 1.20.0."},
		Others: []view.Vertex{
			{Name: "load build definition from Dockerfile", Status: view.Ran, Intervals: []view.Interval{{Start: *ms(320), End: ms(332)}}},
			{Name: "load build context", Status: view.Ran, Intervals: []view.Interval{{Start: *ms(350), End: ms(390)}}},
		},
	}
	at := 400
	for i, in := range table {
		s := view.Step{Step: play.Step{N: i + 1, Stage: in.stage, Needed: true}, Status: in.status}
		switch {
		case i == done:
			s.Status = next
		case i > done:
			s.Status = rest
		}
		r := &explain.Result{Status: s.Status}
		if i < done {
			s.Start, s.End, s.Busy = ms(at), ms(at+in.took), *ms(in.took)
			if in.took > 0 {
				r.Duration = ms(in.took)
			}
			at += in.took
			if in.added > 0 {
				r.Added, r.Files = ptr(in.added), ptr(in.files)
			}
			for _, f := range in.facts {
				r.Facts = append(r.Facts, explain.Sentence{Text: f})
			}
		}
		if i == 0 || i == 4 {
			r.Base = &play.Base{Ref: "python:3.14-slim", Digest: "sha256:5f2c8e1b09aa", Origin: []string{play.OriginCatalogue, "", "", "", "docker.io"}[i]}
		}
		if i == done {
			s.Start = ms(at)
		}
		if s.Status == view.Skipped {
			s.Reason = "The build ended before it."
		}
		t.Steps = append(t.Steps, s)
		b.Steps[i].Build = r
	}
	b.Timeline = t
	return b
}

var output = []string{
	"Collecting fastapi==0.121.0",
	"  Downloading fastapi-0.121.0-py3-none-any.whl (109 kB)",
	"Collecting uvicorn[standard]==0.38.0",
	"  Downloading uvicorn-0.38.0-py3-none-any.whl (68 kB)",
	"Collecting starlette<0.50.0,>=0.40.0",
	"   ━━━━━━━━━━━━━━━━━━━━━━━━ 2.1/2.1 MB 18.4 MB/s 0:00:00",
	"Installing collected packages: uvloop, typing-extensions, sniffio, idna, h11, click, annotated-types, anyio, starlette, pydantic-core, pydantic, fastapi",
	"Successfully installed annotated-types-0.7.0 anyio-4.11.0 fastapi-0.121.0 starlette-0.49.3 uvicorn-0.38.0",
	"WARNING: Running pip as the 'root' user can result in broken permissions",
}

func lines(step, first int, texts ...string) []view.Line {
	var out []view.Line
	for i, text := range texts {
		h := html.EscapeString(text)
		if strings.HasPrefix(text, "WARNING") {
			h = `<span class="term-fg33">` + h + `</span>`
		}
		if strings.HasPrefix(text, "   ━") {
			h = `   <span class="term-fgx204">` + html.EscapeString(strings.TrimSpace(text)) + `</span>`
		}
		out = append(out, view.Line{N: first + i, Step: step, Stream: 1, At: *ms(1000 + 100*i), Text: text, HTML: h})
	}
	return out
}

func requests() []play.Requested {
	return []play.Requested{
		{Method: "GET", URL: "https://pypi.org/simple/fastapi/", Status: 200, Allowed: true, Bytes: 61_200},
		{Method: "GET", URL: "https://files.pythonhosted.org/packages/fastapi-0.121.0-py3-none-any.whl", Status: 200, Allowed: true, Bytes: 109_000},
		{Method: "CONNECT", URL: "169.254.169.254:80", Allowed: false, Rule: "private addresses"},
		{Method: "GET", URL: "https://pypi.org/simple/uvicorn/", Allowed: true},
	}
}

// Queued waits behind two others.
func Queued() web.Build {
	b := web.Build{Job: job(play.JobQueued), Now: epoch.Add(time.Second), CanCancel: true, Steps: TextSteps()}
	b.Timeline = &view.Timeline{Seq: 1, State: play.JobQueued, Ahead: 2}
	return b
}

// Running is at its longest step.
func Running() web.Build {
	b := build(3, view.Running, view.Waiting)
	b.CanCancel = true
	b.Lines = lines(4, 1, output[:6]...)
	b.Timeline.Steps[3].Lines = 6
	b.Timeline.Steps[4].Status = view.Running
	b.Steps[4].Build.Status = view.Running
	b.Timeline.Steps[4].Start = ms(5200)
	b.Timeline.Steps[4].Vertices = []view.Vertex{{Progress: []play.Progress{
		{ID: "sha256:5f2c8e1b09aa1234567890", Current: 21_000_000, Total: 48_000_000},
		{ID: "extracting sha256:77aa", Current: 1_200_000},
	}}}
	return b
}

// Finished went well.
func Finished() web.Build {
	b := build(len(table), view.Ran, view.Waiting)
	b.Job.State, b.Job.Outcome = play.JobFinished, play.OK
	t := b.Timeline
	t.State, t.At = play.JobFinished, *ms(11_510)
	t.Finished = &play.Finished{Outcome: play.OK}
	t.Exported = &play.Exported{
		Image: "builds/q7w8x9c2v4", Digest: "sha256:9b1d0a5f3c7e2468ace013579bdf02468ace013579bdf02468ace013579bdf02", Platform: "linux/amd64", Size: 52_300_000,
		Config: play.ImageConfig{User: "app", WorkingDir: "/srv", Cmd: []string{"/bin/sh", "-c", "uvicorn app.main:app --host 0.0.0.0"}, Exposed: []string{"8000/tcp"}},
		Layers: []play.Layer{
			{Size: 29_800_000, Unpacked: 81_200_000, Files: 3120, CreatedBy: "debian forky, minbase"},
			{Size: 12_100_000, Unpacked: 41_000_000, Files: 1204, CreatedBy: "python3.14"},
			{Size: 2100, Unpacked: 9300, Files: 6, Step: 7},
			{Size: 10_300_000, Unpacked: 31_400_000, Files: 2112, Step: 8},
			{Size: 420, Unpacked: 212, Files: 2, Step: 9},
		},
	}
	t.Steps[3].Requests, b.Steps[3].Build.Requests = requests(), requests()
	t.Steps[3].Lines = len(output)
	t.Requests = []play.Requested{{Method: "GET", URL: "https://registry-1.docker.io/v2/library/python/manifests/3.14-slim", Status: 200, Allowed: true, Bytes: 2100}}
	b.Lines = lines(4, 1, output...)
	b.Pull = "localhost:8080/builds/q7w8x9c2v4@sha256:9b1d0a5f3c7e2468ace013579bdf02468ace013579bdf02468ace013579bdf02"
	return b
}

// Failed could not find a package.
func Failed() web.Build {
	b := build(3, view.Failing, view.Skipped)
	b.Job.State, b.Job.Outcome = play.JobFinished, play.Failed
	t := b.Timeline
	texts := []string{
		"Collecting fastapy",
		"\x1b[31mERROR: Could not find a version that satisfies the requirement fastapy (from versions: none)\x1b[0m",
		"ERROR: No matching distribution found for fastapy",
	}
	texts[1] = strings.NewReplacer("\x1b[31m", "", "\x1b[0m", "").Replace(texts[1])
	t.State, t.At = play.JobFinished, *ms(3900)
	t.Finished = &play.Finished{Outcome: play.Failed, Message: "Step 4, RUN python -m venv …, ended with exit code 1.", Step: 4, ExitCode: ptr(1), At: &play.Place{File: "Dockerfile", Range: span(5, 1, 6, 60)}}
	t.Steps[3].Lines = len(texts)
	b.Lines = lines(4, 1, texts...)
	b.Steps[3].Build.Duration = ms(2400)
	b.Steps[3].Build.Failure = &explain.Failure{
		Message: "pip found no package named fastapy.", ExitCode: ptr(1), Meaning: "1: the command reported an error.",
		Hint: "Check the spelling in requirements.txt, line 1: fastapi is the name on PyPI.", Tail: texts,
	}
	return b
}

// Ended is a build that stopped in the middle in the given way.
func Ended(f play.Finished) web.Build {
	b := build(5, view.Skipped, view.Skipped)
	b.Job.State, b.Job.Outcome = play.JobFinished, f.Outcome
	b.Timeline.State, b.Timeline.Finished = play.JobFinished, &f
	return b
}

// Long printed more than a page shows, and more than is kept.
func Long() web.Build {
	b := Finished()
	var texts []string
	for i := range 6000 {
		texts = append(texts, fmt.Sprintf("%06d  compiling module %d of 60000 …", i, i))
	}
	b.Lines = lines(4, 44_001, texts...)
	b.Timeline.Steps[3].Lines = 50_000
	cut := play.Truncated{What: "The output of this step was cut after 50,000 lines; 10,000 more were left out.", Lines: 10_000}
	b.Timeline.Steps[3].Truncated = []play.Truncated{cut}
	b.Timeline.Truncated = []play.Truncated{cut}
	b.Job.Build = play.BuildRequest{Dockerfile: "docker/web.Dockerfile", Target: "run", BuildArgs: map[string]string{"A": "b"}, NoCache: true, Network: play.NetworkOff, Platform: "linux/amd64"}
	return b
}

// Hostile has markup in every text that a stranger can choose.
func Hostile() web.BuildPage {
	b := Failed()
	b.Steps[3].Text, b.Steps[3].Instruction = "RUN "+Evil, "RUN"
	b.Steps[3].What = []explain.Sentence{{Text: Evil}}
	b.Steps[3].Why = []explain.Sentence{{Text: Evil}}
	b.Steps[3].URL = "javascript:alert(1)"
	b.Steps[3].Build.Failure = &explain.Failure{Message: Evil, Meaning: Evil, Hint: Evil, Tail: []string{Evil}, ExitCode: ptr(1)}
	b.Steps[3].Build.Facts = []explain.Sentence{{Text: Evil}}
	b.Steps[3].Findings = []play.Diagnostic{{Rule: Evil, Message: Evil, File: Evil, URL: "javascript:alert(1)", Range: span(1, 1, 1, 2)}}
	b.Steps[3].After.Env = []explain.Var{{Name: Evil, Value: Evil}}
	b.Lines = lines(4, 1, Evil)
	t := b.Timeline
	t.Plan.Stages = []play.Stage{{Name: Evil, Base: play.Base{Ref: Evil}}, {Index: 1, Name: Evil, Base: play.Base{Ref: Evil}}}
	t.Plan.Syntax = Evil
	t.Finished.Message, t.Finished.Hint, t.Finished.At.File = Evil, Evil, Evil
	t.Steps[5].Reason = Evil
	t.Others = []view.Vertex{{Name: Evil, Error: Evil, Status: view.Failing}}
	t.Requests = []play.Requested{{Method: Evil, URL: "javascript:" + Evil, Rule: Evil}}
	t.Truncated = []play.Truncated{{What: Evil}}
	t.Exported = &play.Exported{Digest: Evil, Platform: Evil, Config: play.ImageConfig{User: Evil, Cmd: []string{Evil}}, Layers: []play.Layer{{CreatedBy: Evil}}}
	b.Pull = Evil
	b.Job.Build.BuildArgs = map[string]string{"A": Evil}
	return web.BuildPage{
		Layout: web.Layout{BaseURL: "http://localhost", Path: "/b/x"}, Build: b, Snippet: &play.Snippet{ID: "x", Title: Evil},
		Revision: play.Revision{ID: "x", Files: []play.File{{Path: Evil, Content: []byte(Evil)}, {Path: "Dockerfile", Content: []byte(Evil + "\n" + dockerfile)}}},
	}
}
