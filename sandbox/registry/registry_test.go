package registry_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	theirs "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"slipway/sandbox/registry"
	"slipway/sandbox/registry/catalog"
)

const inside = "registry.test"

// world is a registry, a public registry behind it, and clients.
type world struct {
	*registry.Registry
	catalog *catalog.Catalog
	dir     string
	here    *httptest.Server
	hub     *httptest.Server
	asked   atomic.Int64 // requests to the public registry
	down    atomic.Bool  // whether it can't be reached
}

// RoundTrip leads to the public registry, whatever the host.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.down.Load() {
		return nil, fmt.Errorf("dial %s: no route to host", r.URL.Host)
	}
	w.asked.Add(1)
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", strings.TrimPrefix(w.hub.URL, "http://")
	return http.DefaultTransport.RoundTrip(r)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), catalog: catalog.Open(t.TempDir())}
	w.hub = httptest.NewServer(theirs.New(theirs.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(w.hub.Close)
	w.open(t)
	return w
}

// open starts the registry, as after a restart of the server.
func (w *world) open(t *testing.T) {
	t.Helper()
	var err error
	w.Registry, err = registry.New(registry.Config{
		Dir: w.dir, Catalog: w.catalog, Host: inside, Transport: w,
		CanPull: func(_ context.Context, r *http.Request, build string) bool {
			_, password, _ := r.BasicAuth()
			return strings.HasPrefix(build, "public") || password == "sesame"
		},
		MaxImage: 1 << 20, MaxCache: 1 << 20, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.here != nil {
		w.here.Close()
	}
	w.here = httptest.NewServer(w.Registry)
	t.Cleanup(w.here.Close)
}

// ref is a reference to what this registry has, seen from outside.
func (w *world) ref(t *testing.T, s string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(strings.TrimPrefix(w.here.URL, "http://")+"/"+s, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// add puts a random image into the catalogue.
func (w *world) add(t *testing.T, ref string) v1.Image {
	t.Helper()
	image := randomImage(t)
	dir := t.TempDir()
	index, err := layout.Write(dir, indexOf(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := index.AppendImage(image); err != nil {
		t.Fatal(err)
	}
	if _, err := w.catalog.Add(t.Context(), ref, "oci:"+dir); err != nil {
		t.Fatal(err)
	}
	return image
}

// publish puts a random image into the public registry.
func (w *world) publish(t *testing.T, repo string) v1.Image {
	t.Helper()
	image := randomImage(t)
	ref, err := name.ParseReference(strings.TrimPrefix(w.hub.URL, "http://")+"/"+repo, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	return image
}

func indexOf(t *testing.T) v1.ImageIndex {
	t.Helper()
	index, err := random.Index(0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func randomImage(t *testing.T) v1.Image {
	t.Helper()
	image, err := random.Image(50_000, 2)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func digest(t *testing.T, i interface{ Digest() (v1.Hash, error) }) v1.Hash {
	t.Helper()
	h, err := i.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (w *world) pull(t *testing.T, ref name.Reference, want v1.Image, options ...remote.Option) {
	t.Helper()
	got, err := remote.Image(ref, options...)
	if err != nil {
		t.Fatalf("pull %s: %v", ref, err)
	}
	if digest(t, got) != digest(t, want) {
		t.Errorf("%s is another image", ref)
	}
	if err := validate.Image(got); err != nil {
		t.Errorf("%s: %v", ref, err)
	}
}

// ask is a plain request as BuildKit makes it to its mirror.
func (w *world) ask(t *testing.T, method, path string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, w.here.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = inside
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestBadPaths(t *testing.T) {
	w := newWorld(t)
	for path, code := range map[string]int{
		"/v2/":                            200, // from inside
		"/":                               404,
		"/v2/_catalog":                    404,
		"/v2/library/python/manifests/":   404,
		"/v2/library/python/blobs/latest": 400,
		"/v2/library/python/blobs/sha256:..%2f..": 404,
		"/v2/builds/../x/manifests/latest":        400,
		"/v2/builds/UP/manifests/latest":          400,
		"/v2/a//b/manifests/latest":               404,
		"/v2/builds/public9/manifests/latest":     404,
		"/v2/builds/public9/tags/list":            200,
	} {
		r := httptest.NewRequest(http.MethodGet, "http://"+inside+path, nil)
		got := httptest.NewRecorder()
		w.ServeHTTP(got, r)
		if got.Code != code {
			t.Errorf("%s: %d %s, want %d", path, got.Code, got.Body, code)
		}
	}
}

// People pull what builds pushed. They can't have the mirror fetch for them.
func TestOutside(t *testing.T) {
	w := newWorld(t)
	image := randomImage(t)
	password, done := w.Push("public", "d")
	if err := remote.Write(w.ref(t, "builds/public"), image, remote.WithAuth(&authn.Basic{Username: "public", Password: password})); err != nil {
		t.Fatal(err)
	}
	done()
	w.publish(t, "library/theirs")
	w.here = httptest.NewServer(w.Outside())
	defer w.here.Close()
	w.pull(t, w.ref(t, "builds/public"), image)
	asked := w.asked.Load()
	for _, path := range []string{
		"/v2/library/theirs/manifests/latest", "/v2/library/theirs/manifests/latest?ns=docker.io",
		"/v2/127.0.0.1:8222/x/manifests/latest", "/v2/x/blobs/" + digest(t, image).String(),
		"/v2/builds/public/manifests/latest?ns=169.254.169.254", "/v2/library/theirs/tags/list",
	} {
		if res, body := w.ask(t, "GET", path); res.StatusCode != 404 {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
	if n := w.asked.Load() - asked; n > 0 {
		t.Errorf("%d requests went to other registries", n)
	}
}
