package registry

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway/server/play"
)

// uploads are blobs on their way in.
type uploads struct {
	dir string

	mu   sync.Mutex
	open map[string]*upload
}

// An upload is a blob on its way in. One request at a time works on it.
type upload struct {
	id    string
	build string
	file  *os.File
	sum   hash.Hash
	size  int64
}

// maxUploads is how many a build may have open: clients send a few layers at a time.
const maxUploads = 32

func (u *uploads) begin(build string) (*upload, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for _, up := range u.open {
		if up.build == build {
			n++
		}
	}
	if n >= maxUploads {
		return nil, play.Errorf(play.Limited, "This build has %d uploads open.", n)
	}
	id := strings.ToLower(rand.Text())
	file, err := os.Create(filepath.Join(u.dir, id))
	if err != nil {
		return nil, err
	}
	return &upload{id: id, build: build, file: file, sum: sha256.New()}, nil
}

// get takes an upload for one request; put gives it back.
func (u *uploads) get(build, id string) (*upload, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	up, ok := u.open[id]
	if !ok || up.build != build {
		return nil, play.Errorf(play.NotFound, "There is no such upload.")
	}
	delete(u.open, id)
	return up, nil
}

func (u *uploads) put(up *upload) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open[up.id] = up
}

// abandon ends the uploads of a build that nobody works on.
func (u *uploads) abandon(build string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, up := range u.open {
		if up.build == build {
			delete(u.open, id)
			up.abandon()
		}
	}
}

func (up *upload) abandon() {
	up.file.Close()
	os.Remove(up.file.Name())
}

// serveUpload takes blobs: a POST begins one (or takes one over from another image), PATCH sends a part, PUT the
// rest.
func (r *Registry) serveUpload(w http.ResponseWriter, req *http.Request, build string, t target) error {
	q := req.URL.Query()
	switch req.Method {
	case http.MethodPost:
		if mount := q.Get("mount"); mount != "" && r.mount(build, mount, q.Get("from")) {
			return created(w, t.repo, mount)
		}
		up, err := r.uploads.begin(build)
		if err != nil {
			return err
		}
		if digest := q.Get("digest"); digest != "" {
			return r.finish(w, req, up, t.repo, digest)
		}
		return r.more(w, req, up, t.repo)
	case http.MethodPatch:
		up, err := r.uploads.get(build, t.ref)
		if err != nil {
			return err
		}
		return r.more(w, req, up, t.repo)
	case http.MethodPut:
		up, err := r.uploads.get(build, t.ref)
		if err != nil {
			return err
		}
		return r.finish(w, req, up, t.repo, q.Get("digest"))
	case http.MethodDelete:
		up, err := r.uploads.get(build, t.ref)
		if err != nil {
			return err
		}
		up.abandon()
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "An upload is begun by POST, continued by PATCH and finished by PUT.")
	return nil
}

// mount gives a build a blob of another image: one that is public, or of a build of the same trust domain.
func (r *Registry) mount(build, digest, from string) bool {
	hash, err := v1.NewHash(digest)
	if err != nil {
		return false
	}
	if file, err := r.publicBlob(hash); err == nil {
		defer file.Close()
		return r.builds.take(build, hash, file.Name()) == nil
	}
	other, ok := strings.CutPrefix(from, "builds/")
	if !ok || !buildName.MatchString(other) {
		return false
	}
	domain := r.builds.domain(build)
	return domain != "" && domain == r.builds.domain(other) && r.builds.take(build, hash, r.builds.blob(other, hash)) == nil
}

// more takes a part of a blob.
func (r *Registry) more(w http.ResponseWriter, req *http.Request, up *upload, repo string) error {
	if err := r.receive(req, up); err != nil {
		up.abandon()
		return err
	}
	r.uploads.put(up)
	h := w.Header()
	h.Set("Location", "/v2/"+repo+"/blobs/uploads/"+up.id)
	h.Set("Docker-Upload-Uuid", up.id)
	h.Set("Range", fmt.Sprintf("0-%d", max(0, up.size-1)))
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// finish takes the last part of a blob and files it, if it is what it was said to be.
func (r *Registry) finish(w http.ResponseWriter, req *http.Request, up *upload, repo, digest string) error {
	defer up.abandon() // the file has its other name by then
	if err := r.receive(req, up); err != nil {
		return err
	}
	have := "sha256:" + hex.EncodeToString(up.sum.Sum(nil))
	if have != digest {
		return play.Errorf(play.Invalid, "The blob's digest is %s, not %s.", have, digest)
	}
	hash, err := v1.NewHash(digest)
	if err != nil {
		return err
	}
	if err := r.builds.take(up.build, hash, up.file.Name()); err != nil {
		return err
	}
	return created(w, repo, digest)
}

// receive appends a request's body to an upload.
func (r *Registry) receive(req *http.Request, up *upload) error {
	buf := make([]byte, 256<<10)
	for {
		n, err := req.Body.Read(buf)
		if n > 0 {
			if err := r.builds.spend(up.build, int64(n)); err != nil {
				return err
			}
			if _, err := up.file.Write(buf[:n]); err != nil {
				return err
			}
			up.sum.Write(buf[:n])
			up.size += int64(n)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return play.Errorf(play.Invalid, "The upload broke off.").Because(err)
		}
	}
}

func created(w http.ResponseWriter, repo, digest string) error {
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Location", "/v2/"+repo+"/blobs/"+digest)
	w.WriteHeader(http.StatusCreated)
	return nil
}
