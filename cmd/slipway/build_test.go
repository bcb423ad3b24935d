package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/server/example"
	"slipway/server/play"
	"slipway/server/view"
)

// Every example builds, and an ordinary client pulls its image.
func TestExamplesBuild(t *testing.T) {
	s := running(t)
	examples, err := example.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range examples {
		t.Run(e.Name, func(t *testing.T) {
			b := s.build(t, map[string]any{"files": encodeFiles(e.Files)})
			job, end := s.finish(t, b.ID)
			if strings.Contains(e.Needs, "ghcr.io") && end.Outcome == play.Failed {
				// Where that registry can't be reached, the build says exactly that, and at which line.
				if !strings.Contains(end.Message, "ghcr.io") || end.At == nil || end.At.Range.Start.Line == 0 {
					t.Errorf("%+v", end)
				}
				return
			}
			if end.Outcome != play.OK {
				t.Fatalf("%+v\n%s", end, output(job))
			}
			for _, stage := range job.Timeline().Plan.Stages {
				if b := stage.Base; stage.Needed && b.Stage == nil && b.Ref != "scratch" && (b.Digest == "" || b.Origin == "") {
					t.Errorf("it is not said where %s came from: %+v", b.Ref, b)
				}
			}
			image := "docker://" + s.addr + "/" + job.Timeline().Exported.Image
			if out, err := exec.Command("skopeo", "copy", "--src-tls-verify=false", image, "dir:"+t.TempDir()).CombinedOutput(); err != nil {
				t.Errorf("pull: %v\n%s", err, out)
			}
		})
	}
}

// A second build of the same thing is a second job, and everything in it is reused.
func TestSecondBuildIsCached(t *testing.T) {
	s := running(t)
	request := text(fmt.Sprintf("FROM busybox\nRUN echo %d > /x\nFROM busybox\nCOPY --from=0 /x /y\n", time.Now().UnixNano()))
	first, second := s.build(t, request), s.build(t, request)
	if first.ID == second.ID || first.Revision != second.Revision {
		t.Errorf("two requests became %+v and %+v", first, second)
	}
	s.finish(t, first.ID)
	s.finish(t, second.ID)
	third := s.build(t, request)
	job, _ := s.finish(t, third.ID)
	for _, step := range job.Timeline().Steps {
		if step.Status != view.Reused {
			t.Errorf("step %d: %s", step.N, step.Status)
		}
	}
}

// What package managers need works inside a build.
func TestPackageManagers(t *testing.T) {
	s := running(t)
	for name, dockerfile := range map[string]string{
		"apt": "FROM debian:bookworm-slim\nRUN apt-get update && apt-get install -y --no-install-recommends hello && hello\n",
		"npm": "FROM node:20-slim\nWORKDIR /app\nRUN npm init -y && npm install is-number@7.0.0 && node -e \"console.log(require('is-number')(7))\"\n",
		"pip": "FROM python:3.14-slim\nRUN pip install fastapi 'uvicorn[standard]' && python -c 'import fastapi, uvicorn, uvloop'\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := s.build(t, text(dockerfile))
			job, end := s.finish(t, b.ID)
			if end.Outcome != play.OK {
				t.Fatalf("%+v\n%s", end, output(job))
			}
			steps := job.Timeline().Steps
			if requests := steps[len(steps)-1].Requests; len(requests) == 0 {
				t.Error("the step's network requests are not in the log")
			}
		})
	}
}

// The ways in which a build can't be: each says what and where.
func TestBuildFails(t *testing.T) {
	s := running(t)
	for name, c := range map[string]struct {
		request map[string]any
		outcome play.Outcome
		line    int
		says    string
	}{
		"exit code":          {text("FROM busybox\nRUN exit 3\n"), play.Failed, 2, "exit code 3"},
		"no such command":    {text("FROM busybox\nRUN nosuchcommand\n"), play.Failed, 2, "127"},
		"no such file":       {text("FROM busybox\nCOPY requirement.txt .\n"), play.Failed, 2, "requirement.txt"},
		"unknown image":      {text("FROM no-such-image:1\n"), play.Failed, 1, "no-such-image:1"},
		"unknown tag":        {text("FROM python:2.1-slim\n"), play.Failed, 1, "python:3.14-slim"},
		"private registry":   {text("FROM 127.0.0.1:1/x\n"), play.Failed, 1, "127.0.0.1"},
		"private address":    {text("FROM busybox\nADD http://127.0.0.1:1/x /x\n"), play.Failed, 2, "127.0.0.1"},
		"metadata address":   {text("FROM busybox\nRUN wget -O- http://169.254.169.254/latest/\n"), play.Failed, 2, "exit code"},
		"no secret":          {text("FROM busybox\nRUN --mount=type=secret,id=token,required=true cat /run/secrets/token\n"), play.Failed, 2, "token"},
		"network turned off": {map[string]any{"files": map[string]any{"Dockerfile": "FROM busybox\nRUN wget http://example.com/\n"}, "network": "off"}, play.Failed, 2, "exit code"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, end := s.finish(t, s.build(t, c.request).ID)
			if end.Outcome != c.outcome || !strings.Contains(end.Message+end.Hint, c.says) {
				t.Errorf("%+v", end)
			}
			if c.line > 0 && (end.At == nil || end.At.Range.Start.Line != c.line) {
				t.Errorf("the place is %v, want line %d", end.At, c.line)
			}
		})
	}
}

// What no build can come of is refused at once: a problem+json with words and, where there is one, the place.
func TestRefused(t *testing.T) {
	s := running(t)
	files := func(f map[string]any) map[string]any { return map[string]any{"files": f} }
	many := map[string]any{"Dockerfile": "FROM busybox\n"}
	for i := range 200 {
		many[fmt.Sprint("f", i)] = "x"
	}
	b64 := func(b string) map[string]any { return map[string]any{"base64": []byte(b)} }
	for name, c := range map[string]struct {
		request map[string]any
		line    int
		says    string
	}{
		"empty":                 {text(""), 0, "begins with FROM"},
		"only comments":         {text("# nothing\n"), 0, "FROM"},
		"no FROM":               {text("RUN true\n"), 1, "FROM"},
		"unknown instruction":   {text("FROM busybox\nRUNN true\n"), 2, "RUNN"},
		"unknown stage":         {map[string]any{"files": map[string]any{"Dockerfile": "FROM busybox\n"}, "target": "test"}, 0, "test"},
		"foreign frontend":      {text("# syntax=evil/frontend\nFROM busybox\n"), 1, "evil/frontend"},
		"6,000 lines":           {text("FROM busybox\n" + strings.Repeat("RUN true\n", 6000)), 0, "lines"},
		"line of 1 MiB":         {text("FROM busybox\nRUN " + strings.Repeat("x", 1<<20-100) + "\n"), 0, "bytes"},
		"NUL":                   {files(map[string]any{"Dockerfile": b64("FROM busybox\nRUN a\x00b\n")}), 2, "NUL"},
		"not UTF-8":             {files(map[string]any{"Dockerfile": b64("FROM busybox\nRUN \xff\xfe\n")}), 2, "UTF-8"},
		"traversal":             {files(map[string]any{"Dockerfile": "FROM busybox\n", "../x": ""}), 0, "../x"},
		"absolute":              {files(map[string]any{"Dockerfile": "FROM busybox\n", "/etc/passwd": ""}), 0, "absolute"},
		"names by case":         {files(map[string]any{"Dockerfile": "FROM busybox\n", "A": "", "a": ""}), 0, "case"},
		"201 files":             {files(many), 0, "200"},
		"file too large":        {files(map[string]any{"Dockerfile": "FROM busybox\n", "big": strings.Repeat("x", 1<<20+1)}), 0, "big"},
		"no Dockerfile":         {files(map[string]any{"x": "y"}), 0, "Dockerfile"},
		"exploding variables":   {text("FROM busybox\nENV A=aaaaaaaaaa\n" + strings.Repeat("ENV A=$A$A\n", 22)), 0, "expand"},
		"reserved argument":     {map[string]any{"files": map[string]any{"Dockerfile": "FROM busybox\n"}, "build_args": map[string]string{"BUILDKIT_SYNTAX": "x"}}, 0, "BUILDKIT_SYNTAX"},
		"unknown field":         {map[string]any{"files": map[string]any{"Dockerfile": "FROM busybox\n"}, "privileged": true}, 0, "privileged"},
		"revision of a dreamer": {map[string]any{"revision": "0000000000000000000000"}, 0, "revision"},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(c.request)
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.Post(s.base+"/api/v1/builds", "application/json", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			var problem struct {
				Detail string
				Place  *play.Place
				Errors []struct{ Message, Location string }
			}
			if err := json.NewDecoder(res.Body).Decode(&problem); err != nil {
				t.Fatal(err)
			}
			if res.StatusCode < 400 || res.StatusCode > 499 || res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s, %s", res.Status, res.Header.Get("Content-Type"))
			}
			if said := fmt.Sprint(problem); !strings.Contains(said, c.says) {
				t.Errorf("it says %s", said)
			}
			if c.line > 0 && (problem.Place == nil || problem.Place.Range.Start.Line != c.line) {
				t.Errorf("the place is %v, want line %d", problem.Place, c.line)
			}
		})
	}
	for name, dockerfile := range map[string]string{
		"CRLF": "FROM busybox\r\nRUN echo a \\\r\n  b\r\n", "BOM": "\ufeffFROM busybox\nRUN true\n", "escape": "# escape=`\nFROM busybox\nRUN echo a `\n b\n",
	} {
		if _, end := s.finish(t, s.build(t, text(dockerfile)).ID); end.Outcome != play.OK {
			t.Errorf("%s: %+v", name, end)
		}
	}
}

// Every mount of RUN works.
func TestMounts(t *testing.T) {
	s := running(t)
	b := s.build(t, map[string]any{"files": map[string]any{"Dockerfile": `FROM busybox AS other
RUN echo from-stage > /f
FROM busybox
RUN --mount=type=cache,target=/cache date > /cache/d && ls /cache
RUN --mount=type=bind,source=file.txt,target=/bound cat /bound
RUN --mount=type=bind,from=other,source=/f,target=/bound cat /bound
RUN --mount=type=tmpfs,target=/t touch /t/x && mount | grep ' /t '
RUN --mount=type=secret,id=absent ! test -e /run/secrets/absent
RUN <<END
echo from-heredoc
END
`, "file.txt": "from-context\n"}})
	job, end := s.finish(t, b.ID)
	if end.Outcome != play.OK {
		t.Fatalf("%+v\n%s", end, output(job))
	}
	for _, want := range []string{"from-stage", "from-context", "from-heredoc", "tmpfs"} {
		if !strings.Contains(output(job), want) {
			t.Errorf("%q is not in the output:\n%s", want, output(job))
		}
	}
}

// A build can be cancelled while it waits and while it runs.
func TestCancel(t *testing.T) {
	s := running(t)
	var running []started
	for i := range 4 { // two run, two wait
		running = append(running, s.build(t, text(fmt.Sprintf("FROM busybox\nRUN echo begun %d; trap '' TERM INT; sleep 300\n", time.Now().UnixNano()+int64(i)))))
	}
	if _, err := s.follow(t.Context(), running[0].ID, func(j *view.Job) bool { return strings.Contains(output(j), "begun") }); err != nil {
		t.Fatal(err)
	}
	for i := len(running) - 1; i >= 0; i-- {
		b := running[i]
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.base+"/api/v1/builds/"+b.ID+"/cancel", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := http.DefaultClient.Do(req); err != nil || res.StatusCode != http.StatusForbidden && res.StatusCode != http.StatusUnauthorized {
			t.Errorf("a stranger's cancel was answered with %v, %v", res.Status, err)
		}
		req.Header.Set("Authorization", "Bearer "+b.Key)
		if res, err := http.DefaultClient.Do(req); err != nil || res.StatusCode >= 300 {
			t.Errorf("cancel: %v, %v", res.Status, err)
		}
		if _, end := s.finish(t, b.ID); end.Outcome != play.Cancelled {
			t.Errorf("build %d: %+v", i, end)
		}
	}
}

// Output of any size and pace is kept up to a bound, and what is left out is said.
func TestFloodOfOutput(t *testing.T) {
	s := running(t)
	for name, dockerfile := range map[string]string{
		"50 MB":             "FROM busybox\nRUN yes 0123456789012345678901234567890123456789 | head -c 50000000\nRUN echo after\n",
		"10,000 tiny lines": "FROM busybox\nRUN i=0; while [ $i -lt 10000 ]; do echo $i; i=$((i+1)); done\n",
		"no line end":       "FROM busybox\nRUN head -c 3000000 /dev/zero | tr '\\0' x\n",
		"not UTF-8":         "FROM busybox\nRUN head -c 100000 /dev/urandom\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := s.build(t, text(dockerfile))
			job, end := s.finish(t, b.ID)
			if end.Outcome != play.OK {
				t.Fatalf("%+v", end)
			}
			if name == "50 MB" && len(job.Timeline().Truncated) == 0 && len(job.Timeline().Steps[1].Truncated) == 0 {
				t.Error("it isn't said that something was left out")
			}
			if name == "10,000 tiny lines" && !strings.Contains(output(job), "\n9999\n") {
				t.Error("a line is missing")
			}
			for _, path := range []string{"/b/" + b.ID, "/b/" + b.ID + "/log.txt"} {
				var page string
				s.call(t, "GET", path, nil, http.StatusOK, &page)
				if len(page) > 8<<20 {
					t.Errorf("%s has %d bytes", path, len(page))
				}
			}
		})
	}
}

// The commands for people, against a running server.
func TestCommands(t *testing.T) {
	s := running(t)
	dir := t.TempDir()
	for name, content := range map[string]string{
		"Dockerfile": "FROM busybox\nCOPY hello.txt /\nRUN cat /hello.txt\n", "hello.txt": "hello from the folder\n",
		".dockerignore": "node_modules\n", "node_modules/a/b.js": "left out",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	slipway := func(args ...string) (string, int) {
		var out bytes.Buffer
		c := exec.Command(os.Args[0], args...)
		c.Env = append(os.Environ(), "SLIPWAY_SERVER="+s.base)
		c.Stdout, c.Stderr = &out, &out
		c.Run()
		return out.String(), c.ProcessState.ExitCode()
	}
	if out, code := slipway("build", dir); code != 0 || !strings.Contains(out, "hello from the folder") || !strings.Contains(out, s.base+"/b/") {
		t.Errorf("build: %d\n%s", code, out)
	}
	out, code := slipway("build", "--json", dir)
	last := out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]
	var e play.Event
	if err := json.Unmarshal([]byte(last), &e); code != 0 || err != nil || e.Fact.Kind() != "finished" {
		t.Errorf("build --json: %d %v\n%s", code, err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("from busybox as Base\nRUN false\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, code := slipway("build", dir); code != 1 {
		t.Errorf("build of a failing file: %d\n%s", code, out)
	}
	if out, code := slipway("lint", dir); code != 1 || !strings.Contains(out, "Dockerfile:1:") || !strings.Contains(out, "StageNameCasing") {
		t.Errorf("lint: %d\n%s", code, out)
	}
	if out, code := slipway("explain", "--json", dir); code != 0 || !json.Valid([]byte(out)) {
		t.Errorf("explain --json: %d\n%s", code, out)
	}
}

// A worker on another machine needs only the address and the key of NATS.
func TestWorkerApart(t *testing.T) {
	prepared := testData(t)
	running(t) // the file system that builders start from is there
	if err := shared.stop(stopSignal); err != nil {
		t.Fatal(err)
	}
	var s slipway
	s.data = t.TempDir()
	t.Cleanup(func() { s.stop(stopSignal) })
	port := freePort(t)
	s.start(t, "--no-work", "--nats-listen", port)
	worker := exec.Command(os.Args[0], "work", "--data", filepath.Join(prepared, "test"), "--catalog", filepath.Join(prepared, "catalog"),
		"--buildkitd", filepath.Join(prepared, "bin", "buildkitd"), "--nats", "nats://"+port, "--nats-creds", filepath.Join(s.data, "log", "worker.nk"), "--worker", "elsewhere", "--uid-base", fmt.Sprint(uidBase))
	var log bytes.Buffer
	worker.Stdout, worker.Stderr = &log, &log
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		worker.Process.Signal(stopSignal)
		if err := worker.Wait(); err != nil {
			t.Errorf("the worker: %v\n%s", err, &log)
		}
	})
	b := s.build(t, text("FROM busybox\nRUN echo built by another process\n"))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	job, err := s.follow(ctx, b.ID, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	if end := job.Timeline().Finished; end.Outcome != play.OK || job.Timeline().Started.Worker != "elsewhere" {
		t.Errorf("%+v, started by %+v\n%s", end, job.Timeline().Started, &log)
	}
}
