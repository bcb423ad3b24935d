package buildkit_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/server/play"
)

// counts are the files that each step of a build added, by number.
func counts(t *testing.T, l logged) map[int]int {
	t.Helper()
	if l.end.Outcome != play.OK {
		t.Fatal(l)
	}
	files := map[int]int{}
	for _, layer := range of[play.Exported](l)[0].Layers {
		files[layer.Step] = layer.Files
	}
	return files
}

// The proxy's certificate, which is in an image's bundle while a step runs, makes no layer: a layer has what its step
// did, also where the step changed the bundle.
func TestBundleInLayers(t *testing.T) {
	w := newWorld(t)
	const bundle = "/etc/ssl/certs/ca-certificates.crt"
	files := []string{"ca.crt", "-----BEGIN CERTIFICATE-----\ntheirs\n-----END CERTIFICATE-----\n", "Dockerfile", `FROM busybox
RUN true # makes /dev, /proc and /sys
COPY ca.crt ` + bundle + `
RUN busybox grep -c buildkit ` + bundle + `
RUN echo more >>` + bundle + `
RUN true
RUN touch -t 200101010000 ` + bundle + `
RUN cat ` + bundle + `; ls -l ` + bundle + `
RUN touch /etc/ssl/new
RUN busybox rm ` + bundle + `
RUN true
`}
	got := w.run(t.Context(), w.job(t, play.BuildRequest{}, files...))
	n := counts(t, got)
	// A file comes with the folders that it is in.
	for step, want := range map[int]int{4: 0, 5: 4, 6: 0, 7: 4, 8: 0, 9: 3, 10: 4, 11: 0} {
		if n[step] != want {
			t.Errorf("step %d added %d files, want %d", step, n[step], want)
		}
	}
	if out := got.output(t, 4); out != "2\n" {
		t.Errorf("the bundle lacked the proxy's certificate: %q", out)
	}
	if out := got.output(t, 8); !strings.Contains(out, "theirs") || !strings.Contains(out, "more\n") {
		t.Errorf("what a step wrote is lost: %q", out)
	}
	again := w.run(t.Context(), w.job(t, play.BuildRequest{}, append(files[:3:3], "FROM busybox\nCOPY ca.crt "+bundle+"\nRUN false\n")...))
	if again.end.Outcome != play.Failed || again.end.ExitCode == nil || *again.end.ExitCode != 1 {
		t.Error(again)
	}
}

// The same where there are so many layers that their folders are mounted by relative paths.
func TestBundleInManyLayers(t *testing.T) {
	w := newWorld(t)
	text := "FROM busybox\nRUN true\nCOPY ca.crt /etc/ssl/certs/ca-certificates.crt\n" + strings.Repeat("RUN true\n", 80)
	n := counts(t, w.run(t.Context(), w.job(t, play.BuildRequest{}, "Dockerfile", text, "ca.crt", "theirs\n")))
	if len(n) != 83 {
		t.Errorf("%d layers", len(n))
	}
	for step, files := range n {
		if step > 3 && files != 0 {
			t.Errorf("step %d added %d files", step, files)
		}
	}
}

// Programs of an image without a bundle trust the network proxy from a builder's first build on.
func TestHTTPSWithoutBundle(t *testing.T) {
	w := newWorld(t)
	program := filepath.Join(t.TempDir(), "fetch")
	compile := exec.Command("go", "build", "-o", program, "./testdata/fetch")
	compile.Env = append(compile.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	w.publish(t, "fetch", program)
	for range 2 {
		l := w.run(t.Context(), w.job(t, play.BuildRequest{NoCache: true}, "Dockerfile", "FROM fetch\nRUN [\"/bin/fetch\", \"https://example.com/\"]\n"))
		if l.end.Outcome != play.OK || l.output(t, 2) != "hello from example.com\n" {
			t.Fatal(l)
		}
	}
}
