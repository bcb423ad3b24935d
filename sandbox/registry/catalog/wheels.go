package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// wheelFormat changes when the same packages would give other wheels.
const wheelFormat = "1"

// The Python index is repacked from these packages of wheelSuite and from all that they depend on.
const wheelSuite = "forky"

var wheelPackages = []string{
	"python3-pip-whl", "python3-setuptools-whl", "python3-wheel", "python3-hatchling", "python3-poetry-core", "flit",
	"python3-fastapi", "python3-uvicorn", "python3-uvloop", "python3-httptools", "python3-websockets", "python3-watchfiles",
	"python3-dotenv", "python3-yaml", "python3-pydantic", "python3-pydantic-settings", "python3-python-multipart",
	"python3-email-validator", "python3-httpx", "python3-typer", "python3-rich",
	"python3-flask", "python3-gunicorn", "python3-django", "libjs-jquery", "python3-requests", "python3-aiohttp", "python3-aiofiles",
	"python3-sqlalchemy", "python3-redis", "python3-jwt", "python3-orjson", "python3-prometheus-client",
	"python3-pytest", "python3-dateutil", "python3-tqdm", "python3-sniffio", "python3-charset-normalizer",
}

// A PythonIndex is what python/index.json of a catalogue says. Its wheels lie beside it, each with its
// metadata in a file of the same name and ".metadata".
type PythonIndex struct {
	Hosts   []string `json:"hosts"` // of the index that this one stands in for, as pip has them: pages, files
	Suite   string   `json:"suite"`
	Note    string   `json:"note"`
	Wheels  []Wheel  `json:"wheels"`
	Relaxed []string `json:"relaxed,omitempty"` // demands that Debian's versions don't meet and that were dropped
	Hash    string   `json:"hash"`              // of what it was made from
}

// A Wheel is one file of a PythonIndex.
type Wheel struct {
	Project        string `json:"project"` // normalized: lower case, "-" between words
	Version        string `json:"version"`
	File           string `json:"file"`
	Size           int64  `json:"size"`
	SHA256         string `json:"sha256"`
	MetadataSHA256 string `json:"metadata_sha256"`
	RequiresPython string `json:"requires_python,omitempty"`
}

// ReadPython reads the Python index of a catalogue, or fs.ErrNotExist.
func (c *Catalog) ReadPython() (*PythonIndex, error) {
	raw, err := os.ReadFile(filepath.Join(c.Python(), "index.json"))
	if err != nil {
		return nil, err
	}
	index := new(PythonIndex)
	if err := json.Unmarshal(raw, index); err != nil {
		return nil, fmt.Errorf("the catalogue's python/index.json: %w", err)
	}
	return index, nil
}

func wheelHash(a Archive) string {
	h := sha256.New()
	json.NewEncoder(h).Encode([]any{wheelFormat, wheelSuite, wheelPackages, a}) // a hash takes everything, and these types marshal
	h.Write(folderBytes("recipes/wheels"))
	return hex.EncodeToString(h.Sum(nil))
}

func (c *Catalog) hasWheels(a Archive) bool {
	index, err := c.ReadPython()
	return err == nil && index.Hash == wheelHash(a)
}

// makeWheels makes the Python index and puts it in the place of the one that is there.
func (c *Catalog) makeWheels(ctx context.Context, a Archive) error {
	work, err := os.MkdirTemp(c.dir, ".wheels-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.CopyFS(work, recipeFiles); err != nil {
		return err
	}
	tree := filepath.Join(work, "tree")
	lists := filepath.Join(work, "recipes", "wheels", "lists")
	if err := os.Mkdir(lists, 0o755); err != nil {
		return err
	}
	args := []string{
		"--quiet", "--variant=extract", "--format=directory", "--include=" + strings.Join(append(wheelPackages, "patchelf"), ","),
		"--extract-hook=sh " + filepath.Join(work, "recipes", "wheels", "hook.sh") + ` "$1"`,
	}
	for _, line := range a.Apt {
		args = append(args, "--aptopt="+line)
	}
	args = append(append(args, wheelSuite, tree), a.debs(wheelSuite)...)
	if err := mmdebstrap(ctx, work, args...); err != nil {
		return err
	}
	dists, err := readDists(tree, lists)
	if err != nil {
		return err
	}
	index := &PythonIndex{
		Suite: wheelSuite, Hash: wheelHash(a),
		Note: fmt.Sprintf("Slipway's own package index, repacked from Debian %s packages on %s: not the official one.",
			wheelSuite, time.Now().UTC().Format(time.DateOnly)),
	}
	out := filepath.Join(work, "python")
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	if err := index.pack(ctx, tree, dists, out); err != nil {
		return err
	}
	return c.replacePython(out)
}

// pack writes a wheel for each distribution, and the index.
func (index *PythonIndex) pack(ctx context.Context, tree string, dists []*dist, out string) error {
	ready, err := filepath.Glob(filepath.Join(tree, "usr/share/python-wheels/*.whl"))
	if err != nil {
		return err
	}
	index.Relaxed = relax(dists)
	for _, d := range dists {
		if err := d.bundle(ctx, tree); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		w, err := d.write(tree, out)
		if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		index.Wheels = append(index.Wheels, w)
	}
	for _, path := range ready {
		w, err := copyWheel(path, out)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		index.Wheels = append(index.Wheels, w)
		if w.Project == "pip" {
			if index.Hosts, err = indexHosts(path); err != nil {
				return err
			}
		}
	}
	if len(index.Hosts) == 0 {
		return errors.New("no pip among the packages to say which index is the usual one")
	}
	slices.SortFunc(index.Wheels, func(a, b Wheel) int { return strings.Compare(a.Project, b.Project) })
	raw, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(out, "index.json"), raw)
}

func (c *Catalog) replacePython(made string) error {
	return c.locked(func() error {
		old := made + ".old" // goes away with the folder of work
		if err := os.Rename(c.Python(), old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.Rename(made, c.Python())
	})
}

var usualIndex = regexp.MustCompile(`(?s)PyPI = PackageIndex\(\s*"https://([^"/]+)/?",\s*file_storage_domain="([^"]+)"`)

// indexHosts reads from pip where it looks for packages when it is told nothing.
func indexHosts(pip string) ([]string, error) {
	source, err := readZipped(pip, "pip/_internal/models/index.py")
	if err != nil {
		return nil, err
	}
	m := usualIndex.FindSubmatch(source)
	if m == nil {
		return nil, errors.New("this pip does not say which index is the usual one where older ones did")
	}
	return []string{string(m[1]), string(m[2])}, nil
}
