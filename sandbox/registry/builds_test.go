package registry_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

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
