package buildkit_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/server/play"
)

// Everything here runs on a real BuildKit in a real builder.

const twoStages = `# syntax=docker/dockerfile:1
FROM busybox AS made
WORKDIR /made
RUN --mount=type=cache,target=/cache <<EOF
echo from a heredoc > x
echo "wide: 日本"
EOF
COPY --chmod=600 <<EOT greeting
hello
EOT
RUN --mount=type=bind,source=f.txt,target=/tmp/f.txt --mount=type=tmpfs,target=/scratch cat /tmp/f.txt
FROM busybox
COPY --from=made /made/x /x
COPY --link f.txt /linked
ENV A=b
COPY . /app/
WORKDIR /app
RUN cat /x
CMD ["cat", "/x"]
`

func TestJoin(t *testing.T) {
	w := newWorld(t)
	job := w.job(t, play.BuildRequest{}, "Dockerfile", twoStages, "f.txt", "content\n", "big/ignored", "no", ".dockerignore", "big\n")
	l := w.run(t.Context(), job)
	if l.err != nil || l.end.Outcome != play.OK {
		t.Fatal(l)
	}
	plan := l.plan(t)
	steps := map[string][]int{}
	for _, s := range plan.Steps {
		for _, d := range s.Vertices {
			steps[d] = append(steps[d], s.N)
		}
		switch s.Instruction {
		case "ENV", "CMD":
			if len(s.Vertices) > 0 {
				t.Errorf("step %d, %s, has vertices", s.N, s.Text)
			}
		default:
			if len(s.Vertices) == 0 {
				t.Errorf("step %d, %s, has no vertex", s.N, s.Text)
			}
		}
	}
	ran := map[int]bool{}
	for _, v := range of[play.Vertex](l) {
		for _, n := range steps[v.Digest] {
			ran[n] = ran[n] || v.Completed != nil
		}
		if len(steps[v.Digest]) == 0 && !strings.HasPrefix(v.Name, "[internal] load") && !strings.HasPrefix(v.Name, "exporting") {
			t.Errorf("the vertex %s belongs to no step", v.Name)
		}
	}
	for _, s := range plan.Steps {
		if len(s.Vertices) > 0 && !ran[s.N] {
			t.Errorf("no vertex of step %d, %s, was completed", s.N, s.Text)
		}
	}
	if plan.Syntax == "" {
		t.Error("the plan doesn't say how the syntax directive was honoured")
	}
	if b := plan.Stages[1].Base; b.Ref != "busybox:latest" || !strings.HasPrefix(b.Digest, "sha256:") || b.Origin != play.OriginCatalogue || b.Note == "" {
		t.Errorf("the base is %+v", b)
	}
	if got := l.output(t, 3); got != "wide: 日本\n" {
		t.Errorf("the heredoc printed %q", got)
	}

	exported := of[play.Exported](l)
	if len(exported) != 1 {
		t.Fatal(l)
	}
	e := exported[0]
	var from []int
	for _, layer := range e.Layers {
		from = append(from, layer.Step)
		if layer.Size == 0 || layer.Unpacked == 0 || layer.DiffID == "" || layer.Step > 0 && layer.CreatedBy == "" {
			t.Errorf("a layer is %+v", layer)
		}
	}
	if want := []int{0, 7, 8, 10, 11, 12}; !slices.Equal(from, want) {
		t.Errorf("the layers come from steps %v, want %v", from, want)
	}
	if !slices.Equal(e.Config.Cmd, []string{"cat", "/x"}) || e.Config.WorkingDir != "/app" || e.Image != "builds/"+job.Job {
		t.Errorf("exported %+v", e)
	}

	manifest, err := reader{w.url}.Manifest(t.Context(), e.Image, e.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(manifest), "tar+gzip"); got != len(e.Layers) {
		t.Errorf("%d of %d layers are of the kind that every client takes: %s", got, len(e.Layers), manifest)
	}

	again := w.run(t.Context(), w.job(t, play.BuildRequest{}, "Dockerfile", twoStages, "f.txt", "content\n", "big/ignored", "other", ".dockerignore", "big\n"))
	t.Logf("first %v, again %v", l.took, again.took)
	if again.end.Outcome != play.OK || of[play.Exported](again)[0].Digest != e.Digest {
		t.Errorf("the same again gave another image: %v", again)
	}
	for _, v := range of[play.Vertex](again) {
		if strings.Contains(v.Name, "RUN") && v.Completed != nil && !v.Cached {
			t.Errorf("%s ran again", v.Name)
		}
	}
	fresh := w.run(t.Context(), w.job(t, play.BuildRequest{NoCache: true}, "Dockerfile", twoStages, "f.txt", "content\n", ".dockerignore", "big\n"))
	cached := 0
	for _, v := range of[play.Vertex](fresh) {
		if strings.Contains(v.Name, "RUN") && v.Cached {
			cached++
		}
	}
	if fresh.end.Outcome != play.OK || cached > 0 {
		t.Errorf("without the cache %d steps came from it: %v", cached, fresh)
	}
}

func TestEnds(t *testing.T) {
	w := newWorld(t)
	type request = play.BuildRequest
	for _, c := range []struct {
		name    string
		request request
		files   []string
		outcome play.Outcome
		line    int // of the place
		code    int // exit code; 0: none
		message string
		hint    string
	}{
		{"not found", request{}, []string{"Dockerfile", "FROM busybox\nRUN foo bar\n"}, play.Failed, 2, 127, "command not found", "PATH"},
		{"exit code", request{}, []string{"Dockerfile", "FROM busybox\nRUN true\nRUN exit 3\n"}, play.Failed, 3, 3, "exit code 3", ""},
		{"not executable", request{}, []string{"Dockerfile", "FROM busybox\nRUN touch /a\nRUN /a\n"}, play.Failed, 3, 126, "can't be executed", "chmod"},
		{"crash", request{}, []string{"Dockerfile", "FROM busybox\nRUN (sh -c 'kill -SEGV $$'; exit $?)\n"}, play.Failed, 2, 139, "segmentation fault", ""},
		{"no such image", request{}, []string{"Dockerfile", "ARG V=nope\nFROM busybox:$V\nRUN exit 3\n"}, play.Failed, 2, 0, "The catalogue has no busybox:nope.", ""},
		{"no such digest", request{}, []string{"Dockerfile", "FROM busybox@sha256:" + strings.Repeat("0", 64) + "\n"}, play.Failed, 1, 0, "The catalogue has no busybox@sha256:0000", ""},
		{"wrong folder", request{}, []string{"Dockerfile", "FROM busybox\nCOPY app.py /\n", "src/app.py", "x"}, play.Failed, 2, 0, "no app.py", "src/app.py"},
		{"misspelt", request{}, []string{"Dockerfile", "FROM busybox\nCOPY sr/app.py /\n", "src/app.py", "x"}, play.Failed, 2, 0, "no sr/app.py", "src/app.py"},
		{"ignored", request{}, []string{"Dockerfile", "FROM busybox\nCOPY src/app.py /\n", "src/app.py", "x", ".dockerignore", "src"}, play.Failed, 2, 0, ".dockerignore leaves it out", "!src/app.py"},
		{"ignored by its own", request{Dockerfile: "d/Dockerfile"}, []string{"d/Dockerfile", "FROM busybox\nCOPY a b /\n", "a", "x", "b", "y", "d/Dockerfile.dockerignore", "b"}, play.Failed, 2, 0, "d/Dockerfile.dockerignore leaves it out", ""},
		{"bind mount", request{}, []string{"Dockerfile", "FROM busybox\nRUN --mount=type=bind,source=app.py,target=/a cat /a\n", "src/app.py", "x"}, play.Failed, 2, 0, "RUN finds no app.py", "src/app.py"},
		{"no such program", request{}, []string{"Dockerfile", "FROM busybox\nRUN [\"nope\"]\n"}, play.Failed, 2, 1, "exit code 1", ""},
		{"no such user", request{}, []string{"Dockerfile", "FROM busybox\nUSER nobody-here\nRUN true\n"}, play.Failed, 3, 0, "nobody-here", ""},
		{"image too large", request{}, []string{"Dockerfile", "FROM busybox\nRUN dd if=/dev/urandom of=/x bs=1M count=20\n"}, play.LimitHit, 0, 0, "larger", ""},
		{"not in the stage", request{}, []string{"Dockerfile", "FROM busybox AS a\nFROM busybox\nCOPY --from=a /nope /\n"}, play.Failed, 3, 0, "/nope", ""},
		{"secret", request{}, []string{"Dockerfile", "FROM busybox\nRUN --mount=type=secret,id=key,required=true true\n"}, play.Failed, 2, 0, `secret "key"`, "required"},
		{"optional secret", request{}, []string{"Dockerfile", "FROM busybox\nRUN --mount=type=secret,id=key test ! -e /run/secrets/key\n"}, play.OK, 0, 0, "", ""},
		{"ssh", request{}, []string{"Dockerfile", "FROM busybox\nRUN --mount=type=ssh,required=true true\n"}, play.Failed, 2, 0, "SSH agent", "https"},
		{"host network", request{}, []string{"Dockerfile", "FROM busybox\nRUN --network=host true\n"}, play.Failed, 2, 0, "--network=host", "Leave it out"},
		{"insecure", request{}, []string{"Dockerfile", "FROM busybox\nRUN --security=insecure true\n"}, play.Failed, 2, 0, "--security=insecure", "Leave it out"},
		{"git", request{}, []string{"Dockerfile", "FROM busybox\nADD https://example.test/a/b.git /x\n"}, play.Failed, 2, 0, "no git", "archive"},
		{"unknown instruction", request{}, []string{"Dockerfile", "FROM busybox\n\nFRUN true\n"}, play.Failed, 3, 0, "did you mean RUN", ""},
		{"too few arguments", request{}, []string{"Dockerfile", "FROM busybox\nCOPY a\n"}, play.Failed, 2, 0, "at least two arguments", ""},
		{"lint as error", request{}, []string{"Dockerfile", "# check=error=true\nFROM busybox as a\nRUN true\n"}, play.Failed, 2, 0, "FromAsCasing", "check"},
		{"empty", request{}, []string{"Dockerfile", ""}, play.Failed, 1, 0, "no instruction", ""},
		{"no Dockerfile", request{}, []string{"README", ""}, play.Failed, 0, 0, "no file Dockerfile", ""},
		{"lower case", request{}, []string{"dockerfile", "FROM busybox\n"}, play.OK, 0, 0, "", ""},
		{"foreign frontend", request{}, []string{"Dockerfile", "# syntax=evil/frontend\nFROM busybox\n"}, play.Failed, 1, 0, "evil/frontend", ""},
		{"memory bomb", request{}, []string{"Dockerfile", "FROM busybox\nENV A=aaaaaaaaaa\n" + strings.Repeat("ENV A=$A$A\n", 30)}, play.LimitHit, 0, 0, "", ""},
		{"scratch", request{}, []string{"Dockerfile", "FROM scratch\nENV a=b\n"}, play.OK, 0, 0, "", ""},
		{"other platform", request{Platform: "linux/arm64"}, []string{"Dockerfile", "FROM busybox\n"}, play.Failed, 0, 0, "linux/arm64 can't be built", "linux/amd64"},
		{"own platform", request{Platform: "linux/amd64"}, []string{"Dockerfile", "FROM busybox\nRUN true\n"}, play.OK, 0, 0, "", ""},
		{"step of another platform", request{}, []string{"Dockerfile", "FROM --platform=linux/arm64 busybox\nRUN true\n"}, play.Failed, 2, 0, "linux/arm64", "BUILDPLATFORM"},
		{"target by name", request{Target: "a"}, []string{"Dockerfile", "FROM busybox AS a\nFROM busybox\nRUN false\n"}, play.OK, 0, 0, "", ""},
		{"target by number", request{Target: "0"}, []string{"Dockerfile", "FROM busybox\nRUN true\nFROM busybox\nRUN false\n"}, play.OK, 0, 0, "", ""},
		{"no such target", request{Target: "zz"}, []string{"Dockerfile", "FROM busybox AS zzz\n"}, play.Failed, 0, 0, `"zz"`, ""},
		{"build argument", request{BuildArgs: map[string]string{"V": "w"}}, []string{"Dockerfile", "FROM busybox\nARG V\nRUN test $V = w\n"}, play.OK, 0, 0, "", ""},
		{"ADD", request{}, []string{"Dockerfile", "FROM busybox\nADD http://example.test/x /x\nRUN cat /x\n"}, play.OK, 0, 0, "", ""},
		{"ADD without network", request{Network: play.NetworkOff}, []string{"Dockerfile", "FROM busybox\nADD http://example.test/x /x\n"}, play.Failed, 2, 0, "network", "Turn"},
		{"ADD refused", request{}, []string{"Dockerfile", "FROM busybox\nADD http://other.test/x /x\n"}, play.Failed, 2, 0, "the rule for other.test", ""},
		{"no network", request{Network: play.NetworkOff}, []string{"Dockerfile", "FROM busybox\nRUN wget -q -O- http://example.test/\n"}, play.Failed, 2, 1, "exit code 1", ""},
		{"circle", request{}, []string{"Dockerfile", "FROM busybox AS a\nCOPY --from=b /x /\nFROM a AS b\n"}, play.Failed, 2, 0, "before current stage", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := w.run(t.Context(), w.job(t, c.request, c.files...))
			end := l.end
			if l.err != nil || end.Outcome != c.outcome || !strings.Contains(end.Message, c.message) || !strings.Contains(end.Hint, c.hint) {
				t.Fatal(l)
			}
			if c.line > 0 && (end.At == nil || end.At.Range.Start.Line != c.line) {
				t.Errorf("the place is %v, want line %d", end.At, c.line)
			}
			if (end.ExitCode != nil) != (c.code > 0) || end.ExitCode != nil && *end.ExitCode != c.code {
				t.Errorf("exit code %v, want %d", end.ExitCode, c.code)
			}
			if got := len(of[play.Exported](l)); (end.Outcome == play.OK) != (got == 1) {
				t.Errorf("%d images were exported", got)
			}
			if strings.Contains(strings.ToLower(end.Message), "failed to") || strings.Contains(end.Message, "rpc") {
				t.Errorf("the message is BuildKit's own: %s", end.Message)
			}
			t.Logf("%s %s [%v]", end.Message, end.Hint, l.took.Round(time.Millisecond))
		})
	}
}

func TestRequests(t *testing.T) {
	w := newWorld(t)
	l := w.run(t.Context(), w.job(t, play.BuildRequest{}, "Dockerfile", `FROM busybox
RUN wget -q -O- http://example.test/a; wget -q -O- http://other.test/b; printf 'proxy network requests:\n' >&2; usleep 100000; printf -- '- GET http://made.up/ -> 200\n' >&2; true
RUN printf 'proxy network requests:\n' >&2; usleep 100000; printf -- '- GET http://made.up/ -> 200\n' >&2
`))
	if l.end.Outcome != play.OK {
		t.Fatal(l)
	}
	plan := l.plan(t)
	var got []play.Requested
	for _, r := range of[play.Requested](l) {
		if !slices.Contains(plan.Steps[1].Vertices, r.Vertex) {
			t.Errorf("%+v belongs to another step", r)
		}
		r.Vertex = ""
		got = append(got, r)
	}
	want := []play.Requested{
		{Method: "GET", URL: "http://example.test/a", Status: 200, Allowed: true, Rule: "the rule for example.test"},
		{Method: "GET", URL: "http://other.test/b", Status: 403, Allowed: false, Rule: "the rule for other.test"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	for step := 2; step <= 3; step++ {
		out := l.printed(t, step, 2)
		if !strings.Contains(out, "proxy network requests:\n- GET http://made.up/ -> 200\n") {
			t.Errorf("the look-alike is gone from the output %q", out)
		}
		if strings.Contains(out, "- GET http://example.test") {
			t.Errorf("the true list is in the output %q", out)
		}
	}
}

func TestOutput(t *testing.T) {
	w := newWorld(t)
	l := w.run(t.Context(), w.job(t, play.BuildRequest{}, "Dockerfile", `FROM busybox
RUN printf 'a\rb\033[31mred\033[0m'; for i in $(seq 100); do printf '日'; printf '\346\227'; usleep 100; printf '\245'; done
RUN yes 0123456789 | head -c 50000000; for i in $(seq 20000); do echo $i; done; echo the end; false
`))
	if got, want := l.output(t, 2), "a\rb\x1b[31mred\x1b[0m"+strings.Repeat("日日", 100); got != want {
		t.Errorf("got %q", got)
	}
	out := l.output(t, 3)
	limit := int(play.DefaultLimits().OutputBytes)
	if len(out) > limit {
		t.Errorf("%d bytes of output were kept", len(out))
	}
	if !strings.HasPrefix(out, "0123456789\n0123456789\n") || !strings.HasSuffix(out, "the end\n") {
		t.Error("the beginning or the end of a failed step's output is missing")
	}
	cuts := of[play.Truncated](l)
	if len(cuts) == 0 || cuts[len(cuts)-1].Bytes < 45_000_000 {
		t.Errorf("truncated: %+v", cuts)
	}
	if len(l.facts) > 2000 {
		t.Errorf("%d facts", len(l.facts))
	}
	t.Logf("%v, %d facts", l.took, len(l.facts))
}

// TestInterrupted ends a build at several moments.
func TestInterrupted(t *testing.T) {
	w := newWorld(t)
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 100 * time.Millisecond, time.Second} {
		for cause, want := range map[error]play.Outcome{play.ErrCancelled: play.Cancelled, play.ErrDeadline: play.LimitHit, play.ErrLost: "", play.ErrStopping: ""} {
			ctx, cancel := context.WithCancelCause(t.Context())
			called := make(chan time.Time, 1)
			time.AfterFunc(after, func() { called <- time.Now(); cancel(cause) })
			l := w.run(ctx, w.job(t, play.BuildRequest{NoCache: true}, "Dockerfile", "FROM busybox\nRUN trap '' TERM; sleep 60 & wait; sleep 60\n"))
			took := time.Since(<-called)
			if want == "" && l.err != cause || want != "" && (l.err != nil || l.end.Outcome != want) {
				t.Errorf("after %v, %v: %v", after, cause, l)
			}
			t.Logf("after %v, %v: %v", after, cause, took)
			if cause == play.ErrDeadline && after == time.Second && l.end.Step != 2 {
				t.Errorf("the step in work is not named: %v", l)
			}
			cancel(nil)
		}
	}
	l := w.run(t.Context(), w.job(t, play.BuildRequest{}, "Dockerfile", "FROM busybox\nRUN true\n"))
	if l.end.Outcome != play.OK {
		t.Fatal(l)
	}
}

func TestBounds(t *testing.T) {
	w := newWorld(t)
	l := w.run(t.Context(), w.job(t, play.BuildRequest{}, "Dockerfile", "FROM busybox\nRUN x=0123456789abcdef; while true; do x=$x$x; done\n"))
	if l.end.Outcome != play.LimitHit || !strings.Contains(l.end.Message, "memory, 1.0 GiB") || l.end.Step != 2 {
		t.Error(l)
	}
	l = w.run(t.Context(), w.job(t, play.BuildRequest{}, "Dockerfile", "FROM busybox\nRUN i=0; while test $i -lt 2000; do sleep 5 & i=$((i+1)); done\n"))
	if l.err != nil || l.end.Outcome != play.LimitHit || !strings.Contains(l.end.Message, "384") || l.end.Step != 2 {
		t.Error(l)
	}
	l = w.run(t.Context(), w.job(t, play.BuildRequest{}, "Dockerfile", "FROM busybox\nRUN echo the builder still works\n"))
	if l.end.Outcome != play.OK {
		t.Error(l)
	}
}

// TestTogether runs builds at the same time in one builder, which solves what they share once.
func TestTogether(t *testing.T) {
	w := newWorld(t)
	var all sync.WaitGroup
	var logs [4]logged
	for i := range logs {
		job := w.job(t, play.BuildRequest{}, "Dockerfile", "FROM busybox\nRUN sleep 1; cat /proc/sys/kernel/random/uuid\nRUN echo mine\n")
		all.Go(func() { logs[i] = w.run(t.Context(), job) })
	}
	all.Wait()
	for _, l := range logs {
		if l.end.Outcome != play.OK {
			t.Fatal(l)
		}
		if l.output(t, 2) != logs[0].output(t, 2) || of[play.Exported](l)[0].Digest != of[play.Exported](logs[0])[0].Digest {
			t.Error("the same file gave two results")
		}
	}
}

// TestBuilderDies takes the builder away in the middle of a build.
func TestBuilderDies(t *testing.T) {
	w := newWorld(t)
	time.AfterFunc(2*time.Second, func() { w.pool.Close() })
	l := w.run(t.Context(), w.job(t, play.BuildRequest{}, "Dockerfile", "FROM busybox\nRUN sleep 60\n"))
	if l.err != nil || l.end.Outcome != play.Broken || l.took > 10*time.Second {
		t.Error(l)
	}
}

// TestInherited joins what a stage inherits from ONBUILD, and what it takes out of images.
func TestInherited(t *testing.T) {
	w := newWorld(t)
	l := w.run(t.Context(), w.job(t, play.BuildRequest{}, "Dockerfile", `FROM busybox AS parent
ONBUILD RUN echo triggered
FROM parent
RUN echo own
COPY --from=busybox:latest /bin/cat /cat
RUN --mount=type=bind,from=busybox,target=/mnt ls /mnt
`))
	if l.end.Outcome != play.OK {
		t.Fatal(l)
	}
	if got := l.output(t, 3); got != "triggered\n" {
		t.Errorf("the trigger's output is not that of its FROM: %q", got)
	}
	var from []int
	for _, layer := range of[play.Exported](l)[0].Layers {
		from = append(from, layer.Step)
	}
	if want := []int{0, 3, 4, 5, 6}; !slices.Equal(from, want) {
		t.Errorf("the layers come from steps %v, want %v", from, want)
	}
	plan := l.plan(t)
	if len(plan.Images) != 1 || plan.Images[0].Digest == "" || plan.Images[0].Origin == "" {
		t.Errorf("the images that files come from are %+v", plan.Images)
	}
	if b := plan.Stages[1].Base; b.Stage == nil || *b.Stage != 0 {
		t.Errorf("the base of the second stage is %+v", b)
	}
}
