package buildkit_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"slipway/sandbox/builder"
	"slipway/sandbox/buildkit"
	ociruntime "slipway/sandbox/runtime"
	"slipway/server/play"
)

// TestMain lets the test binary be the program that the sandbox starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "child":
			os.Exit(builder.Child(os.Args[2:]))
		case "runtime":
			os.Exit(ociruntime.Main(os.Args[2:]))
		case "agent":
			in := buildkit.Inside{Daemon: "unix://" + builder.Socket, CA: ociruntime.CA, Teach: ociruntime.Teach, State: builder.State}
			os.Exit(buildkit.Agent(context.Background(), in, os.Stdin, os.Stdout))
		}
	}
	os.Exit(m.Run())
}

const (
	registryHost = "registry.slipway.internal"
	maxPush      = 16 << 20 // bytes of one blob
)

// world is a real builder with everything around it that a build reaches.
type world struct {
	*buildkit.Builder
	pool *builder.Pool
	url  string           // of the registry, from here
	site *httptest.Server // https://example.com/ as builders see it

	mu   sync.Mutex
	push map[string]string // job → password
	seen []play.Requested
	jobs int
}

func newWorld(t testing.TB) *world {
	return newWorldWithin(t, builder.Limits{Memory: 1 << 30, PIDs: 512, CPUs: 2, Disk: 1 << 30, Steps: 2})
}

func newWorldWithin(t testing.TB, limits builder.Limits) *world {
	t.Helper()
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(images)
	t.Cleanup(server.Close)
	site := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(rw, "hello from", r.Host)
	}))
	t.Cleanup(site.Close)
	w := &world{url: server.URL, site: site, push: map[string]string{}}
	w.publish(t, "busybox", "/bin/busybox", strings.Fields("sh cat echo env head ls printf seq sleep test touch tr true wget yes dd kill usleep")...)

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	daemon, err := exec.Command("go", "tool", "-n", "buildkitd").Output()
	if err != nil {
		t.Fatalf("build buildkitd: %v", err)
	}
	runc, err := exec.LookPath("runc")
	if err != nil {
		t.Fatal(err)
	}
	logs := slog.New(slog.NewTextHandler(t.Output(), nil))
	w.pool, err = builder.Open(t.Context(), builder.Config{
		Dir: t.TempDir(), Self: []string{self}, Buildkitd: strings.TrimSpace(string(daemon)), Runc: runc, CNI: "/usr/lib/cni",
		UIDBase: 100000, Disk: 8 << 30,
		Limits: limits,
		Mirror: registryHost, Mirrored: []string{"docker.io"},
		CA:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: site.Certificate().Raw}),
		Ahead:  []string{"agent"},
		Egress: w.egress(images), Log: logs,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.pool.Close(); err != nil {
			t.Error(err)
		}
	})
	w.Builder = buildkit.New(buildkit.Config{
		Daemon:   w.daemon,
		Registry: registryHost,
		Push:     w.allow,
		Images:   reader{w.url},
		Origin:   func(string, string) (string, string) { return play.OriginCatalogue, "a stand-in" },
		Missing:  func(_ context.Context, ref string) string { return "The catalogue has no " + ref + "." },
		Requests: w.requests,
		Worker:   "here", Sandbox: "runc", Log: logs,
	})
	return w
}

// allow lets a job push its image.
func (w *world) allow(job, _ string) (string, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.push[job] = "secret of " + job
	return w.push[job], func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.push, job)
	}
}

func (w *world) requests(_ string, since time.Time) []play.Requested {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]play.Requested(nil), w.seen...)
}

// egress is the way out: the registry, which takes pushes by password only, and a site.
func (w *world) egress(images http.Handler) func(context.Context, string, net.Listener) error {
	return func(ctx context.Context, _ string, l net.Listener) error {
		s := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			switch r.URL.Host {
			case "example.com:443":
				w.see(r, true)
				w.tunnel(rw)
				return
			case registryHost:
				job, password, _ := r.BasicAuth()
				w.mu.Lock()
				allowed := w.push[job] != "" && w.push[job] == password && strings.HasPrefix(r.URL.Path, "/v2/builds/"+job+"/")
				w.mu.Unlock()
				if r.Method != http.MethodGet && r.Method != http.MethodHead && !allowed {
					rw.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
					http.Error(rw, `{"errors":[{"code":"UNAUTHORIZED","message":"no push"}]}`, http.StatusUnauthorized)
					return
				}
				if r.ContentLength > maxPush {
					rw.WriteHeader(http.StatusRequestEntityTooLarge)
					io.WriteString(rw, `{"errors":[{"code":"DENIED","message":"The image is larger than a build may push here."}]}`)
					return
				}
				images.ServeHTTP(rw, r)
				return
			case "example.test":
				fmt.Fprintln(rw, "hello from outside")
				w.see(r, true)
			default:
				http.Error(rw, "denied by the test", http.StatusForbidden)
				w.see(r, false)
			}
		})}
		defer context.AfterFunc(ctx, func() { s.Close() })()
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}

func (w *world) daemon(ctx context.Context, domain string) (buildkit.Daemon, error) {
	b, err := w.pool.Get(ctx, domain)
	if err != nil {
		return nil, err
	}
	return inBuilder{b}, nil
}

// inBuilder is a builder as this package wants it.
type inBuilder struct{ *builder.Builder }

func (b inBuilder) Run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	return b.Builder.Run(ctx, []string{"agent"}, stdin, stdout, stderr)
}

func (b inBuilder) Usage() buildkit.Usage {
	u := b.Builder.Usage()
	return buildkit.Usage{OOMKills: u.OOMKills, PIDsRefused: u.PIDsRefused, PIDsPeak: u.PIDsPeak, Memory: u.Limits.Memory, Disk: u.Limits.Disk, StepPIDs: u.Limits.StepPIDs()}
}

// reader reads the registry over HTTP.
type reader struct{ url string }

func (r reader) get(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/v2/"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, errors.New(path + ": " + resp.Status)
	}
	return resp.Body, nil
}

func (r reader) Manifest(ctx context.Context, name, digest string) ([]byte, error) {
	body, err := r.get(ctx, name+"/manifests/"+digest)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

func (r reader) Blob(ctx context.Context, name, digest string) (io.ReadCloser, error) {
	return r.get(ctx, name+"/blobs/"+digest)
}

// see notes a request in the ledger.
func (w *world) see(r *http.Request, allowed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, play.Requested{Method: r.Method, URL: r.URL.String(), Allowed: allowed, Rule: "the rule for " + r.URL.Host})
}

// tunnel connects a client with the site.
func (w *world) tunnel(rw http.ResponseWriter) {
	client, sent, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	site, err := net.Dial("tcp", w.site.Listener.Addr().String())
	if err != nil {
		return
	}
	defer site.Close()
	if _, err := io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	go io.Copy(site, sent)
	io.Copy(client, site)
}

// log of one build.
type logged struct {
	facts []play.Fact
	end   play.Finished
	err   error
	took  time.Duration
}

// job makes a build of files, given as path and content in turns.
func (w *world) job(t testing.TB, req play.BuildRequest, files ...string) play.Build {
	t.Helper()
	var all []play.File
	for i := 0; i < len(files); i += 2 {
		all = append(all, play.File{Path: files[i], Content: []byte(files[i+1])})
	}
	limits := play.DefaultLimits()
	r, err := play.NewRevision(all, limits)
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.jobs++
	return play.Build{
		Job: fmt.Sprintf("build%05d", w.jobs), Attempt: 1, Domain: "visitor", Created: time.Now(),
		Request: req, Revision: r, Limits: limits,
	}
}

func (w *world) run(ctx context.Context, job play.Build) logged {
	var l logged
	began := time.Now()
	l.end, l.err = w.Build(ctx, job, func(f play.Fact) error {
		l.facts = append(l.facts, f)
		return nil
	})
	l.took = time.Since(began)
	return l
}

// of are the facts of one kind.
func of[F play.Fact](l logged) []F {
	var all []F
	for _, f := range l.facts {
		if f, ok := f.(F); ok {
			all = append(all, f)
		}
	}
	return all
}

// plan is the solver's plan.
func (l logged) plan(t testing.TB) play.Planned {
	t.Helper()
	for _, p := range of[play.Planned](l) {
		if p.Solver {
			return p
		}
	}
	t.Fatalf("the solver gave no plan; the build ended with %+v", l.end)
	return play.Planned{}
}

// output is what the step printed.
func (l logged) output(t testing.TB, step int) string { return l.printed(t, step, 1, 2) }

// printed is what the step wrote to some of its streams, which wait for each other no more than pipes do.
func (l logged) printed(t testing.TB, step int, streams ...int) string {
	t.Helper()
	var b strings.Builder
	for _, d := range l.plan(t).Steps[step-1].Vertices {
		for _, o := range of[play.Output](l) {
			if o.Vertex == d && slices.Contains(streams, o.Stream) {
				b.WriteString(o.Data)
			}
		}
	}
	return b.String()
}

func (l logged) String() string {
	var b strings.Builder
	for i, f := range l.facts {
		line, err := play.Event{Seq: int64(i + 1), Fact: f}.MarshalJSON()
		fmt.Fprintf(&b, "%s %v\n", line, err)
	}
	fmt.Fprintf(&b, "%+v %v", l.end, l.err)
	return b.String()
}
