package catalog

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func randomImage(t *testing.T) v1.Image {
	t.Helper()
	image, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func digestOf(t *testing.T, i interface{ Digest() (v1.Hash, error) }) v1.Hash {
	t.Helper()
	h, err := i.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// source writes images into a layout, each under a name.
func source(t *testing.T, images map[string]mutate.Appendable) string {
	t.Helper()
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for name, add := range images {
		named := layout.WithAnnotations(map[string]string{annotationRef: name})
		switch add := add.(type) {
		case v1.ImageIndex:
			err = path.AppendIndex(add, named)
		case v1.Image:
			err = path.AppendImage(add, named)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func find(t *testing.T, c *Catalog, ref string) (Image, bool) {
	t.Helper()
	parsed, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	return c.Find(parsed)
}

func blobs(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "blobs", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAdd(t *testing.T) {
	dir := t.TempDir()
	c := Open(filepath.Join(dir, "catalog"))
	if images, err := c.Images(); err != nil || len(images) > 0 {
		t.Fatalf("an empty catalogue: %v %v", images, err)
	}
	one, two := randomImage(t), randomImage(t)
	index, err := random.Index(100, 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	from := source(t, map[string]mutate.Appendable{"one": one, "many": index})
	saved := filepath.Join(dir, "saved.tar")
	tag, _ := name.NewTag("whatever:x")
	if err := tarball.WriteToFile(saved, tag, two); err != nil {
		t.Fatal(err)
	}
	for ref, from := range map[string]string{
		"python:3": "oci:" + from + ":one", "ghcr.io/acme/many:1": "oci:" + from + ":many", "acme/saved:2": "tar:" + saved,
	} {
		if _, err := c.Add(t.Context(), ref, from); err != nil {
			t.Fatal(err)
		}
	}
	got, ok := find(t, c, "docker.io/library/python:3")
	if !ok || got.Digest != digestOf(t, one) || got.StandIn() || !strings.Contains(got.Note, "by its operator") || got.Made.IsZero() {
		t.Errorf("found %+v", got)
	}
	if _, ok := find(t, c, "python:4"); ok {
		t.Error("found a tag that is not there")
	}
	if _, ok := find(t, c, "other@"+digestOf(t, one).String()); ok {
		t.Error("found an image in another repository")
	}
	if _, ok := find(t, c, "python@"+digestOf(t, one).String()); !ok {
		t.Error("not found by digest")
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if i, ok := find(t, c, "ghcr.io/acme/many@"+manifest.Manifests[2].Digest.String()); !ok || i.Digest != digestOf(t, index) {
		t.Error("not found by the digest of one of its platforms")
	}
	images, err := c.Images()
	if err != nil || !slices.IsSortedFunc(images, func(a, b Image) int { return strings.Compare(a.Ref, b.Ref) }) || len(images) != 3 {
		t.Errorf("images: %v %v", images, err)
	}
	path, err := layout.FromPath(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	if whole, err := path.ImageIndex(); err != nil || validate.Index(whole) != nil {
		t.Errorf("the catalogue is no whole layout: %v", err)
	}

	for ref, from := range map[string]string{
		"python:3 ": "oci:" + from + ":one", "x:1": from, "x:2": "oci:" + from, "x:3": "zip:x", "x:4": "tar:/nowhere",
	} {
		if _, err := c.Add(t.Context(), ref, from); err == nil {
			t.Errorf("added %q from %s", ref, from)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(c.dir, ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	if err := c.Remove("python:3"); err != nil {
		t.Fatal(err)
	}
	if err := c.Remove("python:3"); err == nil {
		t.Error("removed twice")
	}
	if _, ok := find(t, c, "python:3"); ok {
		t.Error("it is there after Remove")
	}
	if err := c.Remove("ghcr.io/acme/many:1"); err != nil {
		t.Fatal(err)
	}
	if left := blobs(t, c.dir); len(left) != 4 { // manifest, configuration and two layers of the last image
		t.Errorf("%d blobs are left", len(left))
	}
}

// Two who add at the same time both succeed, whatever they share.
func TestAddTogether(t *testing.T) {
	c := Open(t.TempDir())
	from := source(t, map[string]mutate.Appendable{"one": randomImage(t)})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if _, err := Open(c.dir).Add(t.Context(), fmt.Sprintf("same:%d", i), "oci:"+from); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	images, err := c.Images()
	if err != nil || len(images) != 8 || len(blobs(t, c.dir)) != 4 {
		t.Errorf("%d images with %d blobs, %v", len(images), len(blobs(t, c.dir)), err)
	}
}

// A recipe's image goes when its successor comes, with all its tags; an operator's stays.
func TestReplaces(t *testing.T) {
	c := Open(t.TempDir())
	put := func(refs ...Image) {
		t.Helper()
		if _, err := c.put(randomImage(t), refs); err != nil {
			t.Fatal(err)
		}
	}
	put(Image{Ref: "docker.io/library/x:1", Recipe: "x:1"}, Image{Ref: "docker.io/library/x:1.0", Recipe: "x:1"})
	put(Image{Ref: "docker.io/library/x:2", Recipe: "x:2"})
	put(Image{Ref: "docker.io/library/x:mine"})
	put(Image{Ref: "docker.io/library/x:1", Recipe: "x:1"}, Image{Ref: "docker.io/library/x:1.1", Recipe: "x:1"})
	images, err := c.Images()
	if err != nil {
		t.Fatal(err)
	}
	var refs []string
	for _, i := range images {
		refs = append(refs, strings.TrimPrefix(i.Ref, "docker.io/library/"))
	}
	if want := []string{"x:1", "x:1.1", "x:2", "x:mine"}; !slices.Equal(refs, want) {
		t.Errorf("have %v, want %v", refs, want)
	}
	if len(blobs(t, c.dir)) != 3*4 {
		t.Errorf("%d blobs", len(blobs(t, c.dir)))
	}
}

func TestArchiveOf(t *testing.T) {
	got := archiveOf(`'http://mirror.example/debian/dists/bookworm/InRelease' mirror.example_debian_dists_bookworm_InRelease 0 
'http://mirror.example/debian/dists/bookworm-updates/InRelease' x 0 
'http://mirror.example/debian-security/dists/bookworm-security/InRelease' x 0 
'http://mirror.example/debian/dists/bookworm/main/binary-amd64/Packages.xz' x 0 
'https://tools.example/apt/dists/stable/InRelease' x 0 
'file:/srv/debian/dists/sid/InRelease' x 0 
`)
	if got.Main != "http://mirror.example/debian" || got.Security != "http://mirror.example/debian-security" {
		t.Errorf("%+v", got)
	}
	if got := archiveOf(""); got.Main != "" {
		t.Errorf("of nothing: %+v", got)
	}
	for suite, want := range map[string][]string{
		"forky":  {"deb http://mirror.example/debian forky main"},
		"trixie": {"deb http://mirror.example/debian trixie main", "deb http://mirror.example/debian trixie-updates main", "deb http://mirror.example/debian-security trixie-security main"},
	} {
		if lines := got.debs(suite); !slices.Equal(lines, want) {
			t.Errorf("%s: %q", suite, lines)
		}
		if got.Security = "http://mirror.example/debian-security"; strings.Count(got.sources(suite), "Types: deb") != min(2, len(want)) {
			t.Errorf("%s: %s", suite, got.sources(suite))
		}
	}
}

func TestRecipes(t *testing.T) {
	titles := map[string]bool{}
	for _, r := range Recipes() {
		if titles[r.title()] {
			t.Errorf("two recipes are called %s", r.title())
		}
		titles[r.title()] = true
		if _, err := fs.Stat(recipeFiles, "recipes/"+r.Name+"/hook.sh"); err != nil {
			t.Error(err)
		}
		if !strings.Contains(strings.Join(r.Config.Env, "\n"), "PATH=") {
			t.Errorf("%s has no PATH", r.title())
		}
		f := r.fill("7.8.9")
		if text := fmt.Sprint(f); strings.ContainsAny(text, "{") && strings.Contains(text, "{version}") || strings.Contains(text, "{series}") {
			t.Errorf("%s has holes: %+v", r.title(), f)
		}
		first, again, other := r.hash(Archive{Main: "a"}), r.hash(Archive{Main: "a"}), r.hash(Archive{Main: "b"})
		if first != again || first == other {
			t.Errorf("the hash of %s does not follow what it is made from", r.title())
		}
	}
}

func TestUpstreamVersion(t *testing.T) {
	for debian, want := range map[string]string{
		"3.14.8-1": "3.14.8", "1:1.37.0-6+b9": "1.37.0", "20.19.2+dfsg-1+deb13u3": "20.19.2", "1.26.3-3+deb13u10": "1.26.3",
		"13.8+deb13u8": "13.8", "2:1.27~1": "1.27", "": "", "x": "",
	} {
		if got := upstreamVersion(debian); got != want {
			t.Errorf("%s: %q, want %q", debian, got, want)
		}
	}
}

// The real thing: mmdebstrap, the archive of this machine, the smallest image; made twice, the bytes are the same.
func TestMake(t *testing.T) {
	var made []Image
	for range 2 {
		c := Open(t.TempDir())
		var reports []Report
		cfg := MakeConfig{Only: []string{"busybox"}, Report: func(r Report) { reports = append(reports, r) }}
		if err := c.Make(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if len(reports) != 2 || reports[0].Done || !reports[1].Done || reports[1].Already {
			t.Errorf("reports: %+v", reports)
		}
		i, ok := find(t, c, "busybox")
		if !ok || !i.StandIn() || i.Suite != "trixie" || i.Packages["busybox-static"] == "" ||
			!strings.Contains(i.Note, "stand-in for busybox:latest") {
			t.Fatalf("made %+v", i)
		}
		made = append(made, i)
		path, err := layout.FromPath(c.dir)
		if err != nil {
			t.Fatal(err)
		}
		image, err := path.Image(i.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(image); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(c.dir, ".*-*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}

		reports = nil
		if err := c.Make(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if len(reports) != 1 || !reports[0].Already {
			t.Errorf("the second time: %+v", reports)
		}
	}
	if made[0].Digest != made[1].Digest {
		t.Error("the same packages gave different images")
	}
}

// Who is told to stop stops at once and leaves nothing behind, and so does who comes after one that was killed.
func TestMakeStops(t *testing.T) {
	c := Open(t.TempDir())
	if err := os.Mkdir(filepath.Join(c.dir, ".root-1"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Make(ctx, MakeConfig{Only: []string{"busybox"}, Report: func(Report) { time.AfterFunc(time.Second, cancel) }})
	if err == nil {
		t.Error("made in spite of all")
	}
	if left, err := filepath.Glob(filepath.Join(c.dir, ".*-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestMakeFails(t *testing.T) {
	c := Open(t.TempDir())
	err := c.Make(t.Context(), MakeConfig{Only: []string{"busybox"}, Archive: Archive{Main: "http://127.0.0.1:1/debian"}})
	if err == nil || !strings.Contains(err.Error(), "busybox:latest: mmdebstrap: ") {
		t.Errorf("without an archive: %v", err)
	}
	if err := c.Make(t.Context(), MakeConfig{Only: []string{"nosuch"}}); err == nil || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("an unknown recipe: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(c.dir, ".*-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
