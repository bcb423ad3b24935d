package registry_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"slipway/server/play"
)

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
