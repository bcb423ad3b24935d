package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/stream"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// recipeFormat changes when the same recipe would give another image.
const recipeFormat = "1"

// MakeConfig says what Make makes.
type MakeConfig struct {
	Archive Archive  // zero: this machine's
	Only    []string // images such as "python" or "debian:trixie-slim", and "packages" for the Python index; empty: all
	Again   bool     // also what is there already
	Report  func(Report)
}

// A Report is one line of progress: something begins, or it ended.
type Report struct {
	Name    string
	N, Of   int
	Done    bool
	Took    time.Duration
	Already bool // it was there
	Err     error
}

// Make makes the catalogue's images and its Python index, or those that are missing or whose recipe changed.
// What fails does not keep the others from being made; the error names all that failed.
func (c *Catalog) Make(ctx context.Context, cfg MakeConfig) error {
	if cfg.Archive.Main == "" {
		archive, err := MachineArchive(ctx)
		if err != nil {
			return err
		}
		cfg.Archive = archive
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	making, err := lockFile(filepath.Join(c.dir, ".making")) // two at once would do the same work
	if err != nil {
		return err
	}
	defer making.Close()
	if err := c.sweep(); err != nil {
		return err
	}
	jobs := slices.DeleteFunc(c.jobs(cfg), func(j job) bool { return !cfg.wants(j.name) })
	if len(jobs) == 0 {
		return fmt.Errorf("no recipe is called %s", strings.Join(cfg.Only, ", "))
	}
	report := func(Report) {}
	if cfg.Report != nil {
		var mu sync.Mutex
		report = func(r Report) {
			mu.Lock()
			defer mu.Unlock()
			cfg.Report(r)
		}
	}

	places := make(chan struct{}, min(runtime.NumCPU(), 4))
	failures := make([]error, len(jobs))
	var running sync.WaitGroup
	for n, j := range jobs {
		if !cfg.Again && j.there() {
			report(Report{Name: j.name, N: n + 1, Of: len(jobs), Done: true, Already: true})
			continue
		}
		places <- struct{}{}
		running.Go(func() {
			defer func() { <-places }()
			report(Report{Name: j.name, N: n + 1, Of: len(jobs)})
			start := time.Now()
			if err := j.make(ctx); err != nil {
				failures[n] = fmt.Errorf("%s: %w", j.name, err)
			}
			report(Report{Name: j.name, N: n + 1, Of: len(jobs), Done: true, Took: time.Since(start), Err: failures[n]})
		})
	}
	running.Wait()
	return errors.Join(failures...)
}

// sweep removes what a Make that was killed left behind.
func (c *Catalog) sweep() error {
	for _, pattern := range []string{".root-*", ".wheels-*"} {
		left, err := filepath.Glob(filepath.Join(c.dir, pattern))
		if err != nil {
			return err
		}
		for _, dir := range left {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// A job makes one image, or the Python index.
type job struct {
	name  string
	there func() bool
	make  func(context.Context) error
}

func (c *Catalog) jobs(cfg MakeConfig) []job {
	var jobs []job
	for _, r := range Recipes() {
		jobs = append(jobs, job{
			name:  r.title(),
			there: func() bool { return c.has(r, cfg.Archive) },
			make:  func(ctx context.Context) error { return c.makeImage(ctx, r, cfg.Archive) },
		})
	}
	return slices.Insert(jobs, 2, job{
		name:  "packages for Python",
		there: func() bool { return c.hasWheels(cfg.Archive) },
		make:  func(ctx context.Context) error { return c.makeWheels(ctx, cfg.Archive) },
	})
}

func (cfg MakeConfig) wants(name string) bool {
	first, _, _ := strings.Cut(name, ":")
	first, _, _ = strings.Cut(first, " ")
	return len(cfg.Only) == 0 || slices.Contains(cfg.Only, name) || slices.Contains(cfg.Only, first)
}

// has says whether the catalogue holds what the recipe would make from this archive.
func (c *Catalog) has(r Recipe, a Archive) bool {
	images, err := c.Images()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(images, func(i Image) bool {
		_, err := os.Stat(c.Blob(i.Digest))
		return i.Recipe == r.title() && i.hash == r.hash(a) && err == nil
	})
}

func (c *Catalog) makeImage(ctx context.Context, r Recipe, a Archive) error {
	work, err := os.MkdirTemp(c.dir, ".root-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	start := time.Now().Add(-time.Second)
	tar, err := makeRoot(ctx, r, a, work)
	if err != nil {
		return err
	}
	within := ""
	if r.Bare {
		within = bareRoot
	}
	root, err := readRoot(tar, within, start)
	if err != nil {
		return err
	}
	version := upstreamVersion(root.packages[r.Package])
	if !strings.HasPrefix(version+".", r.Series+".") && r.Series != "" {
		return fmt.Errorf("the recipe is for %s of version %s, and Debian %s now has %s", r.Package, r.Series, r.Suite, version)
	}
	filled := r.fill(version)
	layer, stop := root.stream()
	defer stop()
	image, err := filled.image(layer, root.newest)
	if err != nil {
		return err
	}
	refs := make([]Image, len(filled.Tags))
	for i, tag := range filled.Tags {
		refs[i] = Image{
			Ref:    "docker.io/library/" + r.Name + ":" + tag,
			Made:   time.Now(),
			Note:   fmt.Sprintf("Slipway's stand-in for %s:%s, made from Debian %s packages.", r.Name, tag, r.Suite),
			Recipe: r.title(), Suite: r.Suite, hash: r.hash(a),
			Packages: map[string]string{},
		}
		for _, p := range append(r.Packages, r.Package) {
			refs[i].Packages[p] = root.packages[p]
		}
	}
	_, err = c.put(image, refs)
	return err
}

// image is the recipe's image with the root filesystem as its one layer.
func (r Recipe) image(layer v1.Layer, created time.Time) (v1.Image, error) {
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	image, err := mutate.ConfigFile(image, &v1.ConfigFile{
		Architecture: runtime.GOARCH, OS: "linux", Created: v1.Time{Time: created.UTC()}, Config: r.Config,
		RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, err
	}
	return mutate.Append(image, mutate.Addendum{
		Layer: layer, MediaType: types.OCILayer,
		History: v1.History{
			Created:   v1.Time{Time: created.UTC()},
			CreatedBy: "mmdebstrap " + r.Suite + " " + strings.Join(r.Packages, " "),
			Comment:   "slipway catalogue",
		},
	})
}

// stream gives the root filesystem as a layer whose digest is known once it was written. stop ends an
// unfinished writing.
func (r root) stream() (layer v1.Layer, stop func()) {
	in, out := io.Pipe()
	go func() { out.CloseWithError(r.layer(out)) }()
	return stream.NewLayer(in, stream.WithMediaType(types.OCILayer)), func() { in.Close() }
}

// hash is of all that decides what a recipe makes, but for the packages in the archive.
func (r Recipe) hash(a Archive) string {
	h := sha256.New()
	json.NewEncoder(h).Encode([]any{recipeFormat, r, a, slim}) // a hash takes everything, and these types marshal
	for _, folder := range []string{"recipes/debian", "recipes/" + r.Name} {
		h.Write(folderBytes(folder))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// folderBytes are the names and contents of a folder of recipe files.
func folderBytes(folder string) []byte {
	var b bytes.Buffer
	_ = fs.WalkDir(recipeFiles, filepath.ToSlash(folder), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // embedded files are always there
		}
		content, err := recipeFiles.ReadFile(path)
		fmt.Fprintf(&b, "%s %d\n%s", path, len(content), content)
		return err
	})
	return b.Bytes()
}
