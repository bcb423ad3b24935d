package explain_test

import (
	"strings"
	"testing"

	"slipway/server/dockerfile"
	"slipway/server/explain"
	"slipway/server/play"
	"slipway/server/view"
)

// failing is the last step of a Dockerfile whose last instruction failed so.
func failing(t *testing.T, text, output string, code int, message string, files []string, requests ...play.Requested) *explain.Failure {
	t.Helper()
	o := dockerfile.Parse([]byte(text))
	plan, err := o.Plan("", nil)
	if err != nil {
		t.Fatal(err)
	}
	plan.Solver = true
	last := &plan.Steps[len(plan.Steps)-1]
	last.Vertices = []string{"v"}
	if message == "" {
		message = "process did not complete successfully"
	}
	finished := play.Finished{Outcome: play.Failed, Step: last.N, Message: message, Hint: "from the builder"}
	if code > 0 {
		finished.ExitCode = &code
	}
	facts := []play.Fact{plan}
	for _, q := range requests {
		q.Vertex = "v"
		facts = append(facts, q)
	}
	facts = append(facts, play.Output{Vertex: "v", Stream: 2, Data: output}, play.Vertex{Digest: "v", Started: new(play.Millis), Completed: new(play.Millis), Error: message}, finished)
	var j view.Job
	for i, f := range facts {
		j.Apply(play.Event{Seq: int64(i + 1), Fact: f})
	}
	steps := explain.Steps(o, explain.Options{Job: &j, Files: files})
	for _, s := range steps[:len(steps)-1] {
		if s.Build == nil || s.Build.Failure != nil {
			t.Errorf("step %d is said to have failed", s.N)
		}
	}
	f := steps[len(steps)-1].Build.Failure
	if f == nil {
		t.Fatal("the step is not said to have failed")
	}
	return f
}

func TestMeaning(t *testing.T) {
	tests := []struct {
		text, output string
		code         int
		want         string
	}{
		{"FROM a\nRUN false", "", 1, ""},
		{"FROM a\nRUN if", "/bin/sh: 1: Syntax error: end of file unexpected", 2, "2: the shell could not read"},
		{"FROM a\nRUN grep x /nowhere", "grep: /nowhere: No such file or directory", 2, ""},
		{"FROM a\nRUN apt-get install -y x", "E: nope", 100, "100: apt-get"},
		{"FROM a\nRUN ./x", "/bin/sh: 1: ./x: Permission denied", 126, "126: the program was found"},
		{"FROM a\nRUN foo", "/bin/sh: 1: foo: not found", 127, "127: the command foo was not found."},
		{"FROM a\nRUN foo", "/bin/sh: foo: not found", 127, "127: the command foo was not found."},
		{"FROM a\nRUN foo", "bash: line 1: foo: command not found", 127, "127: the command foo was not found."},
		{"FROM a\nRUN env foo", "env: ‘foo’: No such file or directory", 127, "127: the command foo was not found."},
		{"FROM a\nRUN foo", "", 127, "127: a command was not found."},
		{"FROM a\nRUN x", "", 137, "137 is 128 + 9: the program was ended by SIGKILL"},
		{"FROM a\nRUN x", "", 139, "139 is 128 + 11: the program was ended by SIGSEGV"},
		{"FROM a\nRUN x", "", 143, "143 is 128 + 15: the program was ended by SIGTERM"},
		{"FROM a\nRUN x", "", 159, "159 is 128 + 31: the program was ended by signal 31."},
		{"FROM a\nRUN curl -f https://x.example", "", 22, "22: the server answered curl"},
		{"FROM a\nRUN x", "", 42, ""},
	}
	for _, tt := range tests {
		if f := failing(t, tt.text, tt.output, tt.code, "", nil); *f.ExitCode != tt.code || !strings.HasPrefix(f.Meaning, tt.want) || tt.want == "" && f.Meaning != "" {
			t.Errorf("%q, %d: %q, want %q", tt.text, tt.code, f.Meaning, tt.want)
		}
	}
	if f := failing(t, "FROM a\nCOPY x /", "", 0, `"/x": not found`, nil); f.ExitCode != nil || f.Meaning != "" {
		t.Errorf("a COPY has no exit code: %+v", f)
	}
	if f := failing(t, "FROM a\nRUN x", "", 0, `process "/bin/sh -c x" did not complete successfully: exit code: 3`, nil); f.ExitCode == nil || *f.ExitCode != 3 {
		t.Errorf("BuildKit's message has the exit code: %+v", f)
	}
}

func TestHints(t *testing.T) {
	files := []string{"app/main.py", "package.json", "requirements.txt", "secret.env"}
	tests := []struct {
		text, output string
		code         int
		message      string
		want         string // part of the hint
	}{
		{"FROM alpine:3.20\nRUN bash -c true", "/bin/sh: bash: not found", 127, "", "alpine:3.20 has no bash: use sh, or install it before (RUN apk add --no-cache bash)"},
		{"FROM python:3.14-alpine\nRUN apt-get update", "/bin/sh: apt-get: not found", 127, "", "Alpine Linux, where packages are installed otherwise: RUN apk add"},
		{"FROM debian:bookworm-slim\nRUN apk add git", "/bin/sh: 1: apk: not found", 127, "", "RUN apt-get update && apt-get install -y …"},
		{"FROM debian:bookworm-slim\nRUN ps", "/bin/sh: 1: ps: not found", 127, "", "apt-get install -y procps"},
		{"FROM docker.io/library/node:20-slim AS a\nFROM a\nRUN git clone x", "/bin/sh: 1: git: not found", 127, "", "node:20-slim has no git. If the package git"},
		{"FROM busybox\nRUN curl x", "/bin/sh: curl: not found", 127, "", "no package manager"},
		{"FROM example.org/own\nRUN frob", "/bin/sh: frob: not found", 127, "", "has no frob at this step: install it before, or check the spelling"},
		{"FROM example.org/own\nRUN sudo make", "/bin/sh: 1: sudo: not found", 127, "", "leave it out"},
		{"FROM example.org/own\nRUN ./run.sh", "/bin/sh: 1: ./run.sh: not found", 127, "", "no program ./run.sh"},
		{"FROM scratch\nRUN x", "", 127, `exec: "/bin/sh": stat /bin/sh: no such file or directory`, "no program /bin/sh"},
		{"FROM a\nRUN ./run.sh", `/usr/bin/env: 'bash\r': No such file or directory`, 127, "", "Windows line ends"},
		{"FROM debian\nRUN apt-get install -y curl", "E: Unable to locate package curl", 100, "", "put apt-get update && before the install"},
		{"FROM debian\nRUN apt-get update && apt-get install -y curll", "E: Unable to locate package curll", 100, "", "has no package curll"},
		{"FROM debian\nRUN apt-get update && apt-get install curl", "Do you want to continue? [Y/n] Abort.", 1, "", "add -y"},
		{"FROM debian\nUSER app\nRUN apt-get update", "E: Could not open lock file /var/lib/apt/lists/lock - open (13: Permission denied)", 100, "", "runs as app: move it above the USER"},
		{"FROM alpine\nRUN apk add python3-dev-x", "ERROR: unable to select packages:\n  python3-dev-x (no such package):\n    required by: world", 1, "", "Alpine has no package python3-dev-x"},
		{"FROM python\nRUN pip install nosuch==9", "ERROR: No matching distribution found for nosuch==9", 1, "", "has no nosuch==9"},
		{"FROM debian\nRUN pip install x", "error: externally-managed-environment", 1, "", "python3 -m venv"},
		{"FROM python:3.14-slim\nRUN pip install x", "error: command 'gcc' failed: No such file or directory", 1, "", "no compiler"},
		{"FROM node\nWORKDIR /app\nRUN npm install", "npm error code ENOENT\nnpm error path /app/package.json", 254, "", "There is no package.json in /app: copy it there before"},
		{"FROM node\nRUN npm ci", "npm error The `npm ci` command can only install with an existing package-lock.json", 1, "", "needs a package-lock.json"},
		{"FROM golang\nRUN go build", "go: go.mod file not found in current directory or any parent directory", 1, "", "There is no go.mod"},
		{"FROM golang\nRUN go build", "go: go.mod requires go >= 1.30 (running go 1.26)", 1, "", "asks for Go 1.30"},
		{"FROM a\nCOPY main.py /", "", 0, `failed to calculate checksum of ref x::y: "/main.py": not found`, "app/main.py is there"},
		{"FROM a\nCOPY requirement.txt /", "", 0, `"/requirement.txt": not found`, "requirements.txt is there"},
		{"FROM a\nCOPY Package.json /", "", 0, `"/Package.json": not found`, "package.json is there"},
		{"FROM a\nCOPY nothing/like/it /", "", 0, `"/nothing/like/it": not found`, "has no nothing/like/it: add the file"},
		{"FROM a\nCOPY secret.env /", "", 0, `"/secret.env": not found`, ".dockerignore leaves it out"},
		{"FROM a AS b\nFROM a\nCOPY --from=b /x /", "", 0, `"/x": not found`, "--from names has no x"},
		{"FROM a\nRUN cat /nothing", "cat: /nothing: No such file or directory", 1, "", "no /nothing in the image"},
		{"FROM a\nWORKDIR /app\nRUN ls x", "ls: cannot access 'x': No such file or directory", 2, "", "no x in /app at this step"},
		{"FROM a\nUSER app\nRUN mkdir /data", "mkdir: can't create directory '/data': Permission denied", 1, "", "runs as app, who may not do that"},
		{"FROM a\nRUN ./x", "/bin/sh: 1: ./x: Permission denied", 126, "", "not executable"},
		{"FROM a\nUSER nosuch\nRUN true", "", 1, "unable to find user nosuch: no matching entries in passwd file", "has no user nosuch"},
		{"FROM python\nRUN python app.py", "python: can't open file '/app.py': [Errno 2] No such file or directory", 2, "", "/app.py is not in the image"},
		{"FROM a\nRUN dd if=/dev/zero of=/x", "dd: error writing '/x': No space left on device", 1, "", "disk has a limit"},
		{"FROM a\nRUN npm run build", "FATAL ERROR: JavaScript heap out of memory", 134, "", "more memory"},
		{"FROM busybox\nRUN tail /dev/zero", "tail: out of memory", 1, "", "more memory"},
		{"FROM a\nRUN make", "", 137, "", "If it was the memory"},
		{"FROM a\nRUN --network=none curl x", "curl: (6) Could not resolve host: x", 6, "", "take the flag away"},
		{"FROM a\nRUN frobnicate", "it did not work", 9, "", "from the builder"},
	}
	for _, tt := range tests {
		f := failing(t, tt.text, tt.output, tt.code, tt.message, files)
		if !strings.Contains(f.Hint, tt.want) {
			t.Errorf("%q printed %q %s\nhint %q\nwant %q", tt.text, tt.output, tt.message, f.Hint, tt.want)
		}
	}
	f := failing(t, "FROM a\nRUN curl http://10.0.0.1/", "curl: (22)", 22, "", nil, play.Requested{URL: "http://10.0.0.1/", Rule: "private"})
	if !strings.Contains(f.Hint, "http://10.0.0.1/ was refused by the rule private") {
		t.Error(f.Hint)
	}
}

func TestTailIsShort(t *testing.T) {
	f := failing(t, "FROM a\nRUN x", strings.Repeat("line\n", 500)+"last\n", 1, "", nil)
	if len(f.Tail) != 12 || f.Tail[11] != "last" {
		t.Errorf("%q", f.Tail)
	}
}
