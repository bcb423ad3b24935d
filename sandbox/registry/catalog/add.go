package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Add puts an operator's own image into the catalogue under ref, such as "acme/base:1" or "ghcr.io/acme/base:1",
// in place of what had that reference. From says where the image is:
//
//	oci:DIR or oci:DIR:TAG   an OCI image layout with one image, or with the reference name TAG
//	tar:FILE                 what "docker save" wrote
//	docker://REFERENCE       a registry that this machine reaches, with the credentials of "docker login"
func (c *Catalog) Add(ctx context.Context, ref, from string) (Image, error) {
	tag, err := name.NewTag(ref)
	if err != nil {
		return Image{}, fmt.Errorf("the reference to add: %w", err)
	}
	kind, where, ok := strings.Cut(from, ":")
	if !ok {
		return Image{}, fmt.Errorf("add %s from %q: want oci:DIR, tar:FILE or docker://REFERENCE", ref, from)
	}
	var add mutate.Appendable
	switch kind {
	case "oci":
		add, err = fromLayout(where)
	case "tar":
		add, err = tarball.ImageFromPath(where, nil)
	case "docker":
		add, err = fromRegistry(ctx, strings.TrimPrefix(where, "//"))
	default:
		err = fmt.Errorf("no such kind of source: %s", kind)
	}
	if err != nil {
		return Image{}, fmt.Errorf("add %s from %s: %w", ref, from, err)
	}
	image := Image{Ref: canonical(tag), Made: time.Now(), Note: "Added to this catalogue by its operator, from " + from + "."}
	images, err := c.put(add, []Image{image})
	if err != nil {
		return Image{}, fmt.Errorf("add %s: %w", ref, err)
	}
	return images[0], nil
}

// Remove takes a reference out of the catalogue and frees what only it used.
func (c *Catalog) Remove(ref string) error {
	tag, err := name.NewTag(ref)
	if err != nil {
		return err
	}
	return c.locked(func() error {
		index, err := readIndex(c.dir)
		if err != nil {
			return err
		}
		before := len(index.Manifests)
		index.Manifests = slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool {
			return d.Annotations[annotationRef] == canonical(tag)
		})
		if len(index.Manifests) == before {
			return fmt.Errorf("%s is not in the catalogue", ref)
		}
		if err := writeIndex(c.dir, index); err != nil {
			return err
		}
		return c.collect()
	})
}

func fromLayout(where string) (mutate.Appendable, error) {
	dir, tag, _ := strings.Cut(where, ":")
	path, err := layout.FromPath(dir)
	if err != nil {
		return nil, err
	}
	index, err := path.ImageIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var found []v1.Descriptor
	for _, d := range manifest.Manifests {
		if tag == "" || d.Annotations[annotationRef] == tag {
			found = append(found, d)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("the layout has %d images that fit; name one of them as oci:DIR:TAG", len(found))
	}
	if found[0].MediaType.IsIndex() {
		return index.ImageIndex(found[0].Digest)
	}
	return index.Image(found[0].Digest)
}

// replaces says whether old must go when i comes: the same reference, or what the same recipe made before.
func (i Image) replaces(old Image) bool {
	return i.Ref == old.Ref || i.StandIn() && i.Recipe == old.Recipe
}

// canonical writes the registry of Docker Hub as people do.
func canonical(tag name.Tag) string {
	return strings.Replace(tag.Name(), name.DefaultRegistry+"/", "docker.io/", 1)
}

// put writes an image's blobs and then its references. The references' digests are filled in.
func (c *Catalog) put(add mutate.Appendable, refs []Image) ([]Image, error) {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return nil, err
	}
	// A layout of its own first: a layer's digest is known only once it is written, and an image that
	// fails half way must leave nothing behind.
	temp, err := os.MkdirTemp(c.dir, ".new-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	path, err := layout.Write(temp, empty.Index)
	if err != nil {
		return nil, err
	}
	switch add := add.(type) {
	case v1.Image:
		err = path.AppendImage(add)
	case v1.ImageIndex:
		err = path.AppendIndex(add)
	default:
		err = fmt.Errorf("neither an image nor an index: %T", add)
	}
	if err != nil {
		return nil, err
	}
	written, err := readIndex(temp)
	if err != nil {
		return nil, err
	}
	desc := written.Manifests[0]
	images := slices.Clone(refs)
	err = c.locked(func() error {
		if err := moveBlobs(temp, c.dir); err != nil {
			return err
		}
		index, err := readIndex(c.dir)
		if err != nil {
			return err
		}
		for i := range images {
			images[i].Digest, images[i].MediaType = desc.Digest, desc.MediaType
		}
		index.Manifests = slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool {
			return slices.ContainsFunc(images, func(i Image) bool { return i.replaces(imageOf(d)) })
		})
		for _, i := range images {
			d := desc
			d.Annotations = i.annotations()
			index.Manifests = append(index.Manifests, d)
		}
		if err := writeIndex(c.dir, index); err != nil {
			return err
		}
		return c.collect()
	})
	return images, err
}

func fromRegistry(ctx context.Context, reference string) (mutate.Appendable, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, err
	}
	got, err := remote.Get(ref, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return nil, err
	}
	if got.MediaType.IsIndex() {
		return got.ImageIndex()
	}
	return got.Image()
}

// locked runs f while no other process changes the catalogue.
func (c *Catalog) locked(f func() error) error {
	lock, err := lockFile(filepath.Join(c.dir, ".lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	return f()
}

// lockFile waits until nobody else has the lock; closing the file gives it back.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock the catalogue: %w", err)
	}
	return file, nil
}

func moveBlobs(from, to string) error {
	blobs, err := filepath.Glob(filepath.Join(from, "blobs", "*", "*"))
	if err != nil {
		return err
	}
	for _, blob := range blobs {
		target := filepath.Join(to, strings.TrimPrefix(blob, from))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.Rename(blob, target); err != nil {
			return err
		}
	}
	return nil
}

func writeIndex(dir string, index *v1.IndexManifest) error {
	raw, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion": "1.0.0"}`+"\n")); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, "index.json"), raw)
}

// writeFile replaces a file at once, so that nobody reads half of it.
func writeFile(path string, content []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	_, err = temp.Write(content)
	err = errors.Join(err, temp.Chmod(0o644), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
	}
	return err
}

// collect removes the blobs that no image uses. A reader that has one of them open keeps it.
func (c *Catalog) collect() error {
	path, err := layout.FromPath(c.dir)
	if err != nil {
		return err
	}
	unused, err := path.GarbageCollect()
	if err != nil {
		return err
	}
	for _, h := range unused {
		if err := path.RemoveBlob(h); err != nil {
			return err
		}
	}
	return nil
}
