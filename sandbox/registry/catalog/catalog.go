// Package catalog holds the base images that Slipway has on its own disk, and makes them: root
// filesystems from a Debian archive, by recipes, in the shape of the official images, and a small Python
// package index repacked from Debian's packages. An operator adds own images beside them.
//
// On disk a catalogue is an OCI image layout whose index has one descriptor per reference, with the
// annotations below, and a folder "python" with wheels. Any OCI tool reads it. It is written by one process at a time and
// may be read while it is written: blobs come first, and the index is replaced by rename.
//
// This package serves nothing; sandbox/registry serves what is here. It never passes a stand-in off as
// the official image: each says what it was made from.
package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Annotations of a descriptor in the catalogue's index.
const (
	annotationRef      = "org.opencontainers.image.ref.name" // "docker.io/library/python:3.14-slim"
	annotationMade     = "org.opencontainers.image.created"  // when it came into this catalogue, RFC 3339
	annotationNote     = "internal.slipway.note"
	annotationRecipe   = "internal.slipway.recipe"
	annotationHash     = "internal.slipway.recipe.hash" // of everything that a recipe is made from
	annotationSuite    = "internal.slipway.suite"
	annotationPackages = "internal.slipway.packages" // JSON object: package → version
)

// An Image is one reference in the catalogue.
type Image struct {
	Ref       string // with registry, repository and tag
	Digest    v1.Hash
	MediaType types.MediaType
	Made      time.Time
	Note      string // what it was made from or where it was taken from, for people

	// Of a stand-in only:
	Recipe   string
	Suite    string            // Debian's
	Packages map[string]string // the packages that matter, with their versions

	hash string
}

// StandIn says that the image was made here in place of the official one.
func (i Image) StandIn() bool { return i.Recipe != "" }

// A Catalog reads one catalogue folder. It sees what others write to the folder.
type Catalog struct {
	dir string

	mu     sync.Mutex
	read   time.Time // modification time of the index that images holds
	images []Image
}

// Open gives the catalogue in dir. The folder may be missing: then the catalogue is empty.
func Open(dir string) *Catalog { return &Catalog{dir: dir} }

// Images lists the references in the order of their names.
func (c *Catalog) Images() ([]Image, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	path := filepath.Join(c.dir, "index.json")
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.ModTime().Equal(c.read) {
		return c.images, nil
	}
	index, err := readIndex(c.dir)
	if err != nil {
		return nil, err
	}
	images := make([]Image, 0, len(index.Manifests))
	for _, d := range index.Manifests {
		images = append(images, imageOf(d))
	}
	slices.SortFunc(images, func(a, b Image) int {
		if a.Ref < b.Ref {
			return -1
		}
		return 1
	})
	c.read, c.images = info.ModTime(), images
	return images, nil
}

// Find gives the image of a reference: by tag, or, if ref is a digest, any image of that repository
// that is or contains the manifest.
func (c *Catalog) Find(ref name.Reference) (Image, bool) {
	images, err := c.Images()
	if err != nil {
		return Image{}, false
	}
	want, byDigest := ref.(name.Digest)
	for _, i := range images {
		have, err := name.ParseReference(i.Ref)
		if err != nil || have.Context().Name() != ref.Context().Name() {
			continue
		}
		if !byDigest && have.Identifier() == ref.Identifier() {
			return i, true
		}
		if byDigest && slices.Contains(c.manifests(i), want.DigestStr()) {
			return i, true
		}
	}
	return Image{}, false
}

// manifests are the digests of an image's manifest or, for an index, of that and all it lists.
func (c *Catalog) manifests(i Image) []string {
	digests := []string{i.Digest.String()}
	if !i.MediaType.IsIndex() {
		return digests
	}
	raw, err := os.ReadFile(c.Blob(i.Digest))
	if err != nil {
		return digests
	}
	var index v1.IndexManifest
	if json.Unmarshal(raw, &index) != nil {
		return digests
	}
	for _, d := range index.Manifests {
		digests = append(digests, d.Digest.String())
	}
	return digests
}

// Blob is the file that holds a blob, whether it is there or not.
func (c *Catalog) Blob(h v1.Hash) string {
	return filepath.Join(c.dir, "blobs", h.Algorithm, h.Hex)
}

// Python is the folder of the Python package index.
func (c *Catalog) Python() string { return filepath.Join(c.dir, "python") }

func imageOf(d v1.Descriptor) Image {
	a := d.Annotations
	i := Image{
		Ref: a[annotationRef], Digest: d.Digest, MediaType: d.MediaType, Note: a[annotationNote],
		Recipe: a[annotationRecipe], Suite: a[annotationSuite], hash: a[annotationHash],
	}
	i.Made, _ = time.Parse(time.RFC3339, a[annotationMade])        // zero if a hand wrote it wrong
	_ = json.Unmarshal([]byte(a[annotationPackages]), &i.Packages) // likewise
	return i
}

func (i Image) annotations() map[string]string {
	a := map[string]string{
		annotationRef:  i.Ref,
		annotationMade: i.Made.UTC().Format(time.RFC3339),
		annotationNote: i.Note,
	}
	if i.StandIn() {
		packages, _ := json.Marshal(i.Packages) // a map of strings always marshals
		a[annotationRecipe], a[annotationHash], a[annotationSuite] = i.Recipe, i.hash, i.Suite
		a[annotationPackages] = string(packages)
	}
	return a
}

func readIndex(dir string) (*v1.IndexManifest, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}, nil
	}
	if err != nil {
		return nil, err
	}
	index := new(v1.IndexManifest)
	if err := json.Unmarshal(raw, index); err != nil {
		return nil, fmt.Errorf("the catalogue's index.json: %w", err)
	}
	return index, nil
}
