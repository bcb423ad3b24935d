package registry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
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
	"slipway/server/play"
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

func TestCatalogueFirst(t *testing.T) {
	w := newWorld(t)
	w.publish(t, "library/python:3.14-slim")
	mine := w.add(t, "python:3.14-slim")
	company := w.add(t, "ghcr.io/acme/base:1")
	w.pull(t, w.ref(t, "library/python:3.14-slim"), mine)
	w.pull(t, w.ref(t, "library/python@"+digest(t, mine).String()), mine)
	w.pull(t, w.ref(t, "ghcr.io/acme/base:1"), company)
	if n := w.asked.Load(); n > 0 {
		t.Errorf("the public registry was asked %d times for what is here", n)
	}
	for _, method := range []string{"HEAD", "GET"} {
		res, body := w.ask(t, method, "/v2/acme/base/manifests/1?ns=ghcr.io")
		if res.StatusCode != 200 || res.Header.Get("Docker-Content-Digest") != digest(t, company).String() || (method == "HEAD") != (body == "") {
			t.Errorf("%s of the mirror of ghcr.io: %d %v", method, res.StatusCode, res.Header)
		}
	}
	tags, err := remote.List(w.ref(t, "library/python").Context())
	if err != nil || !slices.Equal(tags, []string{"3.14-slim"}) {
		t.Errorf("tags: %v %v", tags, err)
	}
	layers, _ := mine.Layers()
	r, _ := http.NewRequest(http.MethodGet, w.here.URL+"/v2/library/python/blobs/"+digest(t, layers[0]).String(), nil)
	r.Header.Set("Range", "bytes=10-19")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if part, _ := io.ReadAll(res.Body); res.StatusCode != 206 || len(part) != 10 {
		t.Errorf("a part of a blob: %d, %d bytes", res.StatusCode, len(part))
	}
}

func TestPullThrough(t *testing.T) {
	w := newWorld(t)
	alpine := w.publish(t, "library/alpine:3.20")
	ref := w.ref(t, "library/alpine:3.20")
	w.pull(t, ref, alpine)
	w.pull(t, w.ref(t, "library/alpine@"+digest(t, alpine).String()), alpine)
	if origin, note := w.Origin("alpine:3.20", digest(t, alpine).String()); origin != "docker.io" || note != "" {
		t.Errorf("it comes from %q %q", origin, note)
	}

	// What was fetched once is there without the public registry, also after a restart.
	w.down.Store(true)
	w.open(t)
	w.pull(t, w.ref(t, "library/alpine:3.20"), alpine)
	w.down.Store(false)
	before := w.asked.Load()
	w.pull(t, w.ref(t, "library/alpine:3.20"), alpine)
	if n := w.asked.Load() - before; n > 0 {
		t.Errorf("the public registry was asked %d times for what was just fetched", n)
	}
}

func TestFetchedIsBounded(t *testing.T) {
	w := newWorld(t)
	for i := range 20 { // of 100 kB each; 1 MiB is kept
		ref := fmt.Sprintf("library/many:%d", i)
		w.pull(t, w.ref(t, ref), w.publish(t, ref))
	}
	var total int64
	files, err := filepath.Glob(filepath.Join(w.dir, "fetched", "blobs", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > 1<<20 || total < 1<<19 {
		t.Errorf("%d bytes in %d files are kept", total, len(files))
	}
}

// A blob that is not what it was said to be reaches nobody whole and is not kept.
func TestForgedBlob(t *testing.T) {
	w := newWorld(t)
	image := w.publish(t, "library/alpine:3.20")
	layers, _ := image.Layers()
	want := digest(t, layers[0])
	honest := w.hub.Config.Handler
	w.hub.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/blobs/"+want.String()) {
			honest.ServeHTTP(rw, r)
			return
		}
		size, _ := layers[0].Size()
		rw.Header().Set("Content-Length", fmt.Sprint(size))
		if r.Method == http.MethodGet {
			rw.Write(make([]byte, size))
		}
	})
	res, err := http.Get(w.here.URL + "/v2/library/alpine/blobs/" + want.String())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("the client takes it for whole")
	}
	if _, err := os.Stat(filepath.Join(w.dir, "fetched", "blobs", "sha256-"+want.Hex)); err == nil {
		t.Error("it was kept")
	}
}

func TestMissing(t *testing.T) {
	w := newWorld(t)
	if got := w.Missing(t.Context(), "python:3"); !strings.Contains(got, "The catalogue is empty") {
		t.Error(got)
	}
	for _, ref := range []string{"python:3.14-slim", "python:3-slim", "node:20-slim", "debian:trixie-slim"} {
		w.add(t, ref)
	}
	for _, c := range []struct{ path, says string }{
		{"/v2/library/python/manifests/3.99-slim?ns=docker.io", "python:3.99-slim is not in the catalogue, and Docker Hub has no such image or does not show it to everyone. The catalogue has python:3.14-slim and python:3-slim."},
		{"/v2/library/pyton/manifests/3?ns=docker.io", "Did you mean python:"},
		{"/v2/acme/thing/manifests/1?ns=ghcr.io", "ghcr.io/acme/thing:1 is not in the catalogue, and ghcr.io has no such image"},
	} {
		// containerd shows what a GET says if the HEAD before was refused with 403, and hides the rest.
		head, _ := w.ask(t, "HEAD", c.path)
		res, body := w.ask(t, "GET", c.path)
		if head.StatusCode != 403 || res.StatusCode != 403 || !strings.Contains(body, c.says) || !strings.Contains(body, `"code":"DENIED"`) {
			t.Errorf("%s: %d, %d %s", c.path, head.StatusCode, res.StatusCode, body)
		}
		if res, _ := w.ask(t, "GET", strings.Split(c.path, "?")[0]); res.StatusCode != 404 {
			t.Errorf("an ordinary client gets %d for %s", res.StatusCode, c.path)
		}
	}
	w.down.Store(true)
	if got := w.Missing(t.Context(), "python:3.13"); !strings.Contains(got, "Docker Hub can't be reached from here") {
		t.Error(got)
	}
	if got := w.Missing(t.Context(), "python:3.14-slim"); got != "" {
		t.Errorf("what is there: %s", got)
	}
	if got := w.Missing(t.Context(), "UPPER/case"); !strings.Contains(got, "not an image reference") {
		t.Error(got)
	}
}

func TestOrigin(t *testing.T) {
	w := newWorld(t)
	image := w.add(t, "python:3.14-slim")
	for _, c := range []struct{ ref, digest, origin, note string }{
		{"python:3.14-slim", digest(t, image).String(), play.OriginCatalogue, "Added to this catalogue by its operator"},
		{"docker.io/library/python:3.14-slim", "", play.OriginCatalogue, "Added"},
		{"python@" + digest(t, image).String(), digest(t, image).String(), play.OriginCatalogue, "Added"},
		{"python:3.14-slim", "sha256:" + strings.Repeat("0", 64), play.OriginCatalogue, "earlier make"},
		{"python:3.13-slim", "sha256:" + strings.Repeat("0", 64), "docker.io", ""},
		{"ghcr.io/astral-sh/uv:1", "sha256:" + strings.Repeat("0", 64), "ghcr.io", ""},
	} {
		origin, note := w.Origin(c.ref, c.digest)
		if origin != c.origin || !strings.Contains(note, c.note) || c.note == "" && note != "" {
			t.Errorf("%s@%s: %q %q", c.ref, c.digest, origin, note)
		}
	}
}

func TestPush(t *testing.T) {
	w := newWorld(t)
	base := w.add(t, "python:3.14-slim")
	image := randomImage(t)
	ref := w.ref(t, "builds/public1:latest")
	as := func(user, password string) remote.Option {
		return remote.WithAuth(&authn.Basic{Username: user, Password: password})
	}
	if err := remote.Write(ref, image); err == nil {
		t.Error("anyone pushes")
	}
	password, done := w.Push("public1", "domain")
	other, otherDone := w.Push("other", "domain")
	defer otherDone()
	for _, option := range []remote.Option{as("public1", "wrong"), as("public1", other), as("other", other), as("other", password)} {
		if err := remote.Write(ref, image, option); err == nil {
			t.Error("a build's image was pushed with another's credentials")
		}
	}
	if err := remote.Write(w.ref(t, "library/python:3.14-slim"), image, as("public1", password)); err == nil {
		t.Error("a build pushed into the catalogue")
	}
	if err := remote.Write(ref, image, as("public1", password)); err != nil {
		t.Fatal(err)
	}
	w.pull(t, ref, image)
	w.pull(t, w.ref(t, "builds/public1@"+digest(t, image).String()), image)
	if raw, err := w.Manifest(t.Context(), "builds/public1", digest(t, image).String()); err != nil || !json.Valid(raw) {
		t.Errorf("Manifest: %v", err)
	}
	layers, _ := image.Layers()
	blob, err := w.Blob(t.Context(), "builds/public1", digest(t, layers[0]).String())
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := v1.SHA256(blob)
	blob.Close()
	if err != nil || got != digest(t, layers[0]) {
		t.Errorf("Blob: %v %v", got, err)
	}
	done()
	if err := remote.Write(ref, base, as("public1", password)); err == nil {
		t.Error("a build pushes after its end")
	}

	// It is an OCI layout for everyone else, and survives a restart.
	path, err := layout.FromPath(filepath.Join(w.dir, "builds", "public1"))
	if err != nil {
		t.Fatal(err)
	}
	if onDisk, err := path.Image(digest(t, image)); err != nil || validate.Image(onDisk) != nil {
		t.Errorf("on disk: %v", err)
	}
	w.open(t)
	w.pull(t, w.ref(t, "builds/public1"), image)
	if err := w.Delete("public1"); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Image(w.ref(t, "builds/public1")); err == nil {
		t.Error("it is there after Delete")
	}
	if err := w.Delete("../builds"); err == nil {
		t.Error("Delete takes any path")
	}
}

// Bytes that are here already are not uploaded again, and no build gets at another trust domain's.
func TestReuse(t *testing.T) {
	w := newWorld(t)
	base := w.add(t, "python:3.14-slim")
	layers, _ := base.Layers()
	public := digest(t, layers[0]).String()
	private := randomImage(t)
	layers, _ = private.Layers()
	secret := digest(t, layers[0]).String()

	password, done := w.Push("first", "one")
	if err := remote.Write(w.ref(t, "builds/first"), private, remote.WithAuth(&authn.Basic{Username: "first", Password: password})); err != nil {
		t.Fatal(err)
	}
	done()
	for _, c := range []struct {
		build, domain, digest, from string
		mounted                     bool
	}{
		{"a", "one", public, "library/python", true},
		{"b", "one", secret, "builds/first", true},
		{"c", "two", secret, "builds/first", false},
		{"d", "", secret, "builds/first", false},
		{"e", "one", secret, "builds/../builds/first", false},
		{"f", "one", secret, "library/python", false},
	} {
		password, done := w.Push(c.build, c.domain)
		defer done()
		do := func(method, path string) int {
			r, _ := http.NewRequest(method, w.here.URL+path, nil)
			r.SetBasicAuth(c.build, password)
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			return res.StatusCode
		}
		if head := do("HEAD", "/v2/builds/"+c.build+"/blobs/"+c.digest); (head == 200) != (c.digest == public) {
			t.Errorf("%s: HEAD of %s is %d", c.build, c.digest, head)
		}
		code := do("POST", "/v2/builds/"+c.build+"/blobs/uploads/?mount="+c.digest+"&from="+url.QueryEscape(c.from))
		if (code == 201) != c.mounted {
			t.Errorf("%s of domain %q takes a blob from %s: %d", c.build, c.domain, c.from, code)
		}
		if get := do("GET", "/v2/builds/"+c.build+"/blobs/"+c.digest); (get == 200) != c.mounted {
			t.Errorf("%s: GET is %d", c.build, get)
		}
	}
	if err := w.Delete("first"); err != nil {
		t.Fatal(err)
	}
	blob, err := w.Blob(t.Context(), "builds/b", secret)
	if err != nil {
		t.Errorf("what one build took over went away with the other: %v", err)
	} else {
		blob.Close()
	}
}

func TestUpload(t *testing.T) {
	w := newWorld(t)
	password, done := w.Push("b", "d")
	send := func(method, path, body string) *http.Response {
		r, _ := http.NewRequest(method, w.here.URL+path, strings.NewReader(body))
		r.SetBasicAuth("b", password)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	hello, _, _ := v1.SHA256(strings.NewReader("hello"))
	start := func() string { return send("POST", "/v2/builds/b/blobs/uploads/", "").Header.Get("Location") }

	at := start()
	if res := send("PATCH", at, "he"); res.StatusCode != 202 || res.Header.Get("Range") != "0-1" {
		t.Errorf("a part: %d %v", res.StatusCode, res.Header)
	}
	if res := send("PUT", at+"?digest="+hello.String(), "llo"); res.StatusCode != 201 {
		t.Errorf("the rest: %d", res.StatusCode)
	}
	if res := send("PUT", at+"?digest="+hello.String(), ""); res.StatusCode != 404 {
		t.Errorf("an upload that is over: %d", res.StatusCode)
	}
	if res := send("PUT", start()+"?digest="+hello.String(), "jello"); res.StatusCode != 400 {
		t.Errorf("another digest: %d", res.StatusCode)
	}
	if res := send("POST", "/v2/builds/b/blobs/uploads/?digest="+hello.String(), "hello"); res.StatusCode != 201 {
		t.Errorf("all at once: %d", res.StatusCode)
	}
	if res := send("PUT", "/v2/builds/b/manifests/latest", `{"layers": [{"digest": "sha256:`+strings.Repeat("0", 64)+`"}]}`); res.StatusCode != 400 {
		t.Errorf("a manifest of what is not there: %d", res.StatusCode)
	}
	if res := send("PUT", "/v2/builds/b/manifests/latest", "[]"); res.StatusCode != 400 {
		t.Errorf("no manifest: %d", res.StatusCode)
	}
	if res := send("PUT", start(), strings.Repeat("x", 2<<20)); res.StatusCode != 413 {
		t.Errorf("too much: %d", res.StatusCode)
	}
	at = start()
	for range 40 {
		start()
	}
	if res := send("POST", "/v2/builds/b/blobs/uploads/", ""); res.StatusCode != 413 {
		t.Errorf("too many uploads: %d", res.StatusCode)
	}
	done()
	if left, _ := os.ReadDir(filepath.Join(w.dir, "uploads")); len(left) > 0 {
		t.Errorf("%d unfinished uploads are left", len(left))
	}
	if res := send("PUT", at+"?digest="+hello.String(), "hello"); res.StatusCode != 401 {
		t.Errorf("after the end: %d", res.StatusCode)
	}
}

// Ordinary clients ask for a token, with credentials or without.
func TestWhoMayPull(t *testing.T) {
	w := newWorld(t)
	image := randomImage(t)
	for _, build := range []string{"public", "private"} {
		password, done := w.Push(build, "d")
		if err := remote.Write(w.ref(t, "builds/"+build), image, remote.WithAuth(&authn.Basic{Username: build, Password: password})); err != nil {
			t.Fatal(err)
		}
		done()
	}
	w.pull(t, w.ref(t, "builds/public"), image)
	w.pull(t, w.ref(t, "builds/private"), image, remote.WithAuth(&authn.Basic{Username: "me", Password: "sesame"}))
	for _, option := range []remote.Option{remote.WithAuth(authn.Anonymous), remote.WithAuth(&authn.Basic{Username: "me", Password: "guess"})} {
		if _, err := remote.Image(w.ref(t, "builds/private"), option); err == nil || !strings.Contains(err.Error(), "UNAUTHORIZED") {
			t.Errorf("a private image: %v", err)
		}
	}
	res, _ := w.ask(t, "GET", "/v2/builds/private/manifests/latest")
	if res.StatusCode != 401 || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Basic") {
		t.Errorf("a builder is asked for %q", res.Header.Get("WWW-Authenticate"))
	}
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

func TestPython(t *testing.T) {
	dir := t.TempDir()
	c := catalog.Open(dir)
	p := registry.NewPython(c)
	ask := func(path, accept string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept", accept)
		got := httptest.NewRecorder()
		p.ServeHTTP(got, r)
		return got
	}
	if hosts, err := p.Hosts(); err != nil || hosts != nil {
		t.Errorf("hosts of no index: %v %v", hosts, err)
	}
	if got := ask("/simple/", ""); got.Code != 404 {
		t.Errorf("no index: %d", got.Code)
	}
	if err := os.Mkdir(c.Python(), 0o755); err != nil {
		t.Fatal(err)
	}
	index := catalog.PythonIndex{
		Hosts: []string{"index.example", "files.example"}, Suite: "forky", Note: "Slipway's own <index>.",
		Wheels: []catalog.Wheel{{
			Project: "typing-extensions", Version: "4.1", File: "typing_extensions-4.1-py3-none-any.whl", Size: 3,
			SHA256: "aa", MetadataSHA256: "bb", RequiresPython: ">=3.9",
		}},
	}
	raw, _ := json.Marshal(index)
	for file, content := range map[string]string{"index.json": string(raw), index.Wheels[0].File: "zip", index.Wheels[0].File + ".metadata": "Name: x"} {
		if err := os.WriteFile(filepath.Join(c.Python(), file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if hosts, err := p.Hosts(); err != nil || !slices.Equal(hosts, index.Hosts) {
		t.Errorf("hosts: %v %v", hosts, err)
	}
	for _, c := range []struct {
		path, accept, says string
		code               int
	}{
		{"/simple/", "text/html", `<a href="/simple/typing-extensions/">`, 200},
		{"/simple/", "application/vnd.pypi.simple.v1+json", `{"name":"typing-extensions"}`, 200},
		{"/simple/Typing.Extensions/", "text/html", `href="/simple/files/typing_extensions-4.1-py3-none-any.whl#sha256=aa" data-requires-python="&gt;=3.9" data-core-metadata="sha256=bb"`, 200},
		{"/simple/typing-extensions/", "text/html", "Slipway&#39;s own &lt;index&gt;.", 200},
		{"/simple/typing_extensions/", "application/vnd.pypi.simple.v1+json, */*;q=0.1", `"requires-python":"\u003e=3.9"`, 200},
		{"/simple/files/typing_extensions-4.1-py3-none-any.whl", "", "zip", 200},
		{"/simple/files/typing_extensions-4.1-py3-none-any.whl.metadata", "", "Name: x", 200},
		{"/simple/files/index.json", "", "", 404},
		{"/simple/files/../index.json", "", "", 404},
		{"/simple/typing-extension/", "", "Near to it: typing-extensions", 404},
		{"/pypi/x/json", "", "only /simple/", 404},
	} {
		got := ask(c.path, c.accept)
		if got.Code != c.code || !strings.Contains(got.Body.String(), c.says) {
			t.Errorf("%s: %d %s", c.path, got.Code, got.Body)
		}
	}
}

// Reading while the catalogue changes gives what was there before or after, never a broken answer.
func TestChangeWhileServing(t *testing.T) {
	w := newWorld(t)
	w.add(t, "steady:1")
	changed := make(chan error, 1)
	go func() {
		for i := range 10 {
			image, err := random.Image(1000, 1)
			if err == nil {
				dir := filepath.Join(w.dir, fmt.Sprint("src", i))
				var path layout.Path
				if path, err = layout.Write(dir, indexOf(t)); err == nil {
					err = path.AppendImage(image)
				}
				if err == nil {
					_, err = w.catalog.Add(t.Context(), "moving:1", "oci:"+dir)
				}
			}
			if err != nil {
				changed <- err
				return
			}
		}
		changed <- nil
	}()
	for {
		select {
		case err := <-changed:
			if err != nil {
				t.Error(err)
			}
			return
		default:
			if res, body := w.ask(t, "GET", "/v2/library/steady/manifests/1"); res.StatusCode != 200 {
				t.Fatalf("%d %s", res.StatusCode, body)
			}
		}
	}
}
