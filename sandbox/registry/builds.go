package registry

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"slipway/server/play"
)

const maxManifest = 4 << 20 // bytes; what other registries take

// builds are the images that builds pushed. Each has a folder that is an OCI image layout. A blob that several
// have is one file with several names: taking a build's folder away frees what only it used.
type builds struct {
	dir string

	mu     sync.Mutex
	grants map[string]grant // build → its permission to push
}

// A grant lets a build push.
type grant struct {
	password string
	domain   string // builds of the same trust domain may take over each other's blobs
	left     int64  // bytes that it may still push
}

var buildName = regexp.MustCompile(`^[a-z0-9]+([._-]{1,2}[a-z0-9]+)*$`)

// Push lets a build push its image, as builds/BUILD with the build as the user and the password, until done is
// called. Builds of the same trust domain need not upload again what another of them pushed.
func (r *Registry) Push(build, domain string) (password string, done func()) {
	password = rand.Text()
	r.builds.mu.Lock()
	defer r.builds.mu.Unlock()
	r.builds.grants[build] = grant{password: password, domain: domain, left: r.cfg.MaxImage}
	return password, func() {
		r.uploads.abandon(build)
		r.builds.mu.Lock()
		defer r.builds.mu.Unlock()
		if r.builds.grants[build].password == password { // not that of a later attempt
			delete(r.builds.grants, build)
		}
	}
}

// Delete removes a build's image. It is no error if there is none.
func (r *Registry) Delete(build string) error {
	if !buildName.MatchString(build) {
		return fmt.Errorf("not a build's name: %q", build)
	}
	return os.RemoveAll(r.builds.folder(build))
}

// Manifest gives the manifest of an image that a build pushed; name is "builds/BUILD".
func (r *Registry) Manifest(_ context.Context, name, digest string) ([]byte, error) {
	path, err := r.pushed(name, digest)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// Blob opens a blob of an image that a build pushed; name is "builds/BUILD".
func (r *Registry) Blob(_ context.Context, name, digest string) (io.ReadCloser, error) {
	path, err := r.pushed(name, digest)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

func (r *Registry) pushed(name, digest string) (string, error) {
	build, ok := strings.CutPrefix(name, "builds/")
	hash, err := v1.NewHash(digest)
	if !ok || err != nil || !buildName.MatchString(build) {
		return "", fmt.Errorf("no such image: %s@%s", name, digest)
	}
	return r.builds.blob(build, hash), nil
}

func (b *builds) folder(build string) string { return filepath.Join(b.dir, build) }

func (b *builds) blob(build string, h v1.Hash) string {
	return filepath.Join(b.folder(build), "blobs", h.Algorithm, h.Hex)
}

// pushes says whether a request comes from the build itself while it may push.
func (b *builds) pushes(req *http.Request, build string) bool {
	user, password, ok := req.BasicAuth()
	b.mu.Lock()
	defer b.mu.Unlock()
	g, granted := b.grants[build]
	return ok && granted && user == build && subtle.ConstantTimeCompare([]byte(password), []byte(g.password)) == 1
}

// spend takes bytes off what a build may push.
func (b *builds) spend(build string, n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	g, ok := b.grants[build]
	if !ok || g.left < n {
		return play.Errorf(play.Limited, "The image is larger than a build may push here.")
	}
	g.left -= n
	b.grants[build] = g
	return nil
}

func (b *builds) domain(build string) string {
	b.mu.Lock()
	g, ok := b.grants[build]
	b.mu.Unlock()
	if ok {
		return g.domain
	}
	domain, _ := os.ReadFile(filepath.Join(b.folder(build), "domain")) // "" is nobody's
	return string(domain)
}

// begin makes a build's folder.
func (b *builds) begin(build string) error {
	if err := os.MkdirAll(filepath.Join(b.folder(build), "blobs", "sha256"), 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(b.folder(build), "oci-layout")); err == nil {
		return nil
	}
	if err := writeFile(filepath.Join(b.folder(build), "domain"), []byte(b.domain(build))); err != nil {
		return err
	}
	return writeFile(filepath.Join(b.folder(build), "oci-layout"), []byte(`{"imageLayoutVersion": "1.0.0"}`))
}

// take gives a build a blob that is a file elsewhere.
func (b *builds) take(build string, h v1.Hash, from string) error {
	if err := b.begin(build); err != nil {
		return err
	}
	to := b.blob(build, h)
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return ignoreExist(err)
	}
	return copyFile(from, to) // another file system
}

func ignoreExist(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	temp, err := os.CreateTemp(filepath.Dir(to), ".new-")
	if err != nil {
		return err
	}
	_, err = io.Copy(temp, in)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), to)
	}
	if err != nil {
		os.Remove(temp.Name())
	}
	return err
}

// serveBuild answers for the image of a build.
func (r *Registry) serveBuild(w http.ResponseWriter, req *http.Request, build string, t target) {
	if !buildName.MatchString(build) {
		fail(w, http.StatusBadRequest, "NAME_INVALID", "That is not the name of a build's image.")
		return
	}
	req = credentials(req)
	own := r.builds.pushes(req, build)
	reading := req.Method == http.MethodGet || req.Method == http.MethodHead
	if !own && (!reading || t.kind == "uploads" || !r.cfg.CanPull(req.Context(), req, build)) {
		r.challenge(w, req, "This image is not there, or not for everyone; only its build may push it.")
		return
	}
	var err error
	switch {
	case t.kind == "manifests" && reading:
		err = r.pulledManifest(w, req, build, t.ref)
	case t.kind == "manifests" && req.Method == http.MethodPut:
		err = r.putManifest(w, req, build, t)
	case t.kind == "blobs" && reading:
		err = r.pulledBlob(w, req, build, t.ref, own)
	case t.kind == "uploads":
		err = r.serveUpload(w, req, build, t)
	case t.kind == "tags" && reading:
		writeJSON(w, map[string]any{"name": t.repo, "tags": []string{"latest"}})
	default:
		fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "Builds' images are pushed and pulled, nothing else.")
	}
	if err != nil {
		r.failWith(w, err)
	}
}

func (r *Registry) pulledManifest(w http.ResponseWriter, req *http.Request, build, ref string) error {
	unknown := play.Errorf(play.NotFound, "This build has no such image; it may have been removed.")
	digest, err := v1.NewHash(ref)
	if err != nil {
		if ref != "latest" {
			return unknown
		}
		index, err := readLayout(r.builds.folder(build))
		if err != nil || len(index.Manifests) == 0 {
			return unknown.Because(err)
		}
		digest = index.Manifests[0].Digest
	}
	file, err := os.Open(r.builds.blob(build, digest))
	if err != nil {
		return unknown.Because(err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxManifest))
	if err != nil {
		return err
	}
	serveManifest(w, req, manifest{raw: raw, mediaType: mediaType(raw, string(types.OCIManifestSchema1)), digest: digest})
	return nil
}

// pulledBlob answers with a blob of a build's image. The build itself, asking before it uploads, is given
// what is public anyway.
func (r *Registry) pulledBlob(w http.ResponseWriter, req *http.Request, build, ref string, own bool) error {
	digest, err := v1.NewHash(ref)
	if err != nil {
		return play.Errorf(play.Invalid, "%q is not a digest.", ref)
	}
	file, err := os.Open(r.builds.blob(build, digest))
	if errors.Is(err, fs.ErrNotExist) && own {
		if file, err = r.publicBlob(digest); err == nil {
			err = r.builds.take(build, digest, file.Name())
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		fail(w, http.StatusNotFound, "BLOB_UNKNOWN", "This build has no such blob.")
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	serveFile(w, req, file, digest)
	return nil
}

// putManifest takes the manifest of a build's image once all that it names is there.
func (r *Registry) putManifest(w http.ResponseWriter, req *http.Request, build string, t target) error {
	raw, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxManifest))
	if err != nil {
		return play.Errorf(play.Limited, "The manifest has more than %d bytes.", maxManifest).Because(err)
	}
	digest, _, err := v1.SHA256(strings.NewReader(string(raw)))
	if err != nil {
		return err
	}
	if strings.Contains(t.ref, ":") && t.ref != digest.String() {
		return play.Errorf(play.Invalid, "The manifest's digest is %s.", digest)
	}
	if err := r.complete(build, raw); err != nil {
		return err
	}
	if err := r.builds.spend(build, int64(len(raw))); err != nil {
		return err
	}
	if err := r.builds.begin(build); err != nil {
		return err
	}
	if err := writeFile(r.builds.blob(build, digest), raw); err != nil {
		return err
	}
	if t.ref == "latest" {
		index, err := json.Marshal(v1.IndexManifest{
			SchemaVersion: 2, MediaType: types.OCIImageIndex,
			Manifests: []v1.Descriptor{{
				MediaType: types.MediaType(mediaType(raw, req.Header.Get("Content-Type"))), Digest: digest, Size: int64(len(raw)),
				Annotations: map[string]string{"org.opencontainers.image.ref.name": "latest"},
			}},
		})
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(r.builds.folder(build), "index.json"), index); err != nil {
			return err
		}
	}
	w.Header().Set("Docker-Content-Digest", digest.String())
	w.Header().Set("Location", "/v2/"+t.repo+"/manifests/"+digest.String())
	w.WriteHeader(http.StatusCreated)
	return nil
}

// complete checks that a manifest or index names only what the build has.
func (r *Registry) complete(build string, raw []byte) error {
	var m struct {
		Config    *v1.Descriptor  `json:"config"`
		Layers    []v1.Descriptor `json:"layers"`
		Manifests []v1.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return play.Errorf(play.Invalid, "That is not a manifest.").Because(err)
	}
	named := append(m.Layers, m.Manifests...)
	if m.Config != nil {
		named = append(named, *m.Config)
	}
	if len(named) == 0 {
		return play.Errorf(play.Invalid, "The manifest names nothing.")
	}
	for _, d := range named {
		if _, err := os.Stat(r.builds.blob(build, d.Digest)); err != nil {
			return play.Errorf(play.Invalid, "The manifest names %s, which was not pushed.", d.Digest)
		}
	}
	return nil
}

func readLayout(dir string) (*v1.IndexManifest, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return nil, err
	}
	index := new(v1.IndexManifest)
	return index, json.Unmarshal(raw, index)
}
