package builder_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/moby/buildkit/client/llb"

	"slipway/sandbox/builder"
)

const mirror = "registry.slipway.internal"

// builtBuildkitd is the path of buildkitd at the version that go.mod names; the
// go command builds it once and keeps it.
var builtBuildkitd = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "tool", "-n", "buildkitd").Output()
	if err != nil {
		return "", fmt.Errorf("build buildkitd: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
})

// config is a pool's configuration for tests, in a new folder.
func config(t *testing.T, dir string) builder.Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	buildkitd, err := builtBuildkitd()
	if err != nil {
		t.Fatal(err)
	}
	runc, err := exec.LookPath("runc")
	if err != nil {
		t.Fatal(err)
	}
	c := machine(dir, self, buildkitd, runc, 1<<30+16*65536*rand.Uint32N(1000))
	c.Egress = newEgress(t).serve
	c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	return c
}

// machine is what is the same in all tests.
func machine(dir, self, buildkitd, runc string, uidBase uint32) builder.Config {
	return builder.Config{
		Dir: dir, Self: []string{self}, Buildkitd: buildkitd, Runc: runc, CNI: "/usr/lib/cni",
		UIDBase: uidBase, Disk: 8 << 30,
		Limits: builder.Limits{Memory: 1 << 30, PIDs: 512, CPUs: 2, Disk: 1 << 30, Steps: 2},
		Mirror: mirror, Mirrored: []string{"docker.io"},
	}
}

// An egress for tests: it answers for the mirror and for example.test, and
// refuses the rest.
type egress struct {
	mirror http.Handler
	site   *httptest.Server // behind tunnels
	mu     sync.Mutex
	seen   []string // domain and URL of each request
}

func newEgress(t *testing.T) *egress {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	image, err := busybox()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://")+"/library/busybox:latest", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello from", r.Host)
	}))
	t.Cleanup(site.Close)
	return &egress{mirror: handler, site: site}
}

func (e *egress) serve(ctx context.Context, domain string, l net.Listener) error {
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		e.seen = append(e.seen, domain+" "+r.Method+" "+r.URL.String())
		e.mu.Unlock()
		if r.Method == http.MethodConnect {
			e.tunnel(w)
			return
		}
		switch r.URL.Host {
		case mirror:
			e.mirror.ServeHTTP(w, r)
		case "example.test":
			fmt.Fprintln(w, "hello from outside")
		default:
			http.Error(w, "denied: "+r.URL.Host, http.StatusForbidden)
		}
	})}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// tunnel answers for every name with TLS, by the certificate of httptest.
func (e *egress) tunnel(w http.ResponseWriter) {
	client, sent, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	if _, err := io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	site, err := net.Dial("tcp", e.site.Listener.Addr().String())
	if err != nil {
		return
	}
	defer site.Close()
	go io.Copy(site, sent)
	io.Copy(client, site)
}

func (e *egress) requests() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.seen)
}

// blobs lists the layers that were fetched.
func (e *egress) blobs() []string {
	return slices.DeleteFunc(e.requests(), func(r string) bool { return !strings.Contains(r, "GET") || !strings.Contains(r, "/blobs/") })
}

// busybox is an image made of Debian's static busybox.
func busybox() (v1.Image, error) {
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return nil, fmt.Errorf("these tests need the package busybox-static: %w", err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, dir := range []string{"bin/", "etc/", "tmp/"} {
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755})
	}
	w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755, Size: int64(len(program))})
	w.Write(program)
	for _, applet := range []string{"true", "hostname", "sh", "cat", "echo", "env", "id", "ls", "sleep", "wget", "dd", "mkdir", "grep", "ulimit", "yes", "head", "mount", "ps"} {
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox"})
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		return nil, err
	}
	conf, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	conf = conf.DeepCopy()
	conf.OS, conf.Architecture = "linux", "amd64"
	conf.Config.Env = []string{"PATH=/bin"}
	return mutate.ConfigFile(image, conf)
}

// open opens a pool and closes it with the test.
func open(t *testing.T, c builder.Config) *builder.Pool {
	t.Helper()
	p, err := builder.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func get(t *testing.T, p *builder.Pool, domain string) *builder.Builder {
	t.Helper()
	b, err := p.Get(t.Context(), domain)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Release(false) })
	return b
}

// run runs an agent to its end and returns what it printed.
func run(t *testing.T, b *builder.Builder, stdin io.Reader, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = b.Run(t.Context(), append([]string{"agent"}, args...), stdin, &out, &errs)
	return out.String(), errs.String(), err
}

// build solves a state in the builder.
func build(t *testing.T, b *builder.Builder, state llb.State) (stdout, stderr string, err error) {
	t.Helper()
	def, err := state.Marshal(t.Context(), llb.LinuxAmd64)
	if err != nil {
		t.Fatal(err)
	}
	var data bytes.Buffer
	if err := llb.WriteTo(def, &data); err != nil {
		t.Fatal(err)
	}
	return run(t, b, &data, "solve")
}

func shell(command string) llb.State {
	return llb.Image("docker.io/library/busybox:latest").Run(llb.Args([]string{"/bin/sh", "-c", command}), llb.IgnoreCache).Root()
}
