package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"slipway/server/play"
)

// Registries are the public registries that builders should reach through this one as their mirror.
func Registries() []string {
	return []string{"docker.io", "ghcr.io", "quay.io", "gcr.io", "registry.k8s.io", "public.ecr.aws", "mcr.microsoft.com"}
}

const (
	tagFresh  = 5 * time.Minute  // a tag is believed for so long before its registry is asked again
	downFor   = 30 * time.Second // a registry that could not be reached is not asked again for so long
	askWithin = 15 * time.Second // a registry must answer within
)

// upstream fetches from other registries, and keeps what it fetched by digest.
type upstream struct {
	dir    string
	puller *remote.Puller
	max    int64 // bytes to keep
	log    *slog.Logger

	mu   sync.Mutex
	down map[string]time.Time // registry → when it could not be reached
}

func newUpstream(dir string, rt http.RoundTripper, max int64, log *slog.Logger) (*upstream, error) {
	for _, sub := range []string{"blobs", "tags"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	puller, err := remote.NewPuller(remote.WithTransport(rt), remote.WithUserAgent("slipway"),
		remote.WithRetryBackoff(remote.Backoff{Duration: 100 * time.Millisecond, Factor: 3, Steps: 2}))
	if err != nil {
		return nil, err
	}
	return &upstream{dir: dir, puller: puller, max: max, log: log, down: map[string]time.Time{}}, nil
}

// A tagged is what a tag meant when its registry was last asked.
type tagged struct {
	Digest    string    `json:"digest"`
	MediaType string    `json:"media_type"`
	Asked     time.Time `json:"asked"`
}

// manifest gives a manifest from its registry. A tag that the registry can't be asked about means what it
// meant the last time.
func (u *upstream) manifest(ctx context.Context, ref name.Reference) (manifest, error) {
	known, have := u.tagged(ref)
	if have && (time.Since(known.Asked) < tagFresh || isDigest(ref)) {
		if m, err := u.kept(known); err == nil {
			return m, nil
		}
	}
	m, err := u.fetchManifest(ctx, ref)
	if play.KindOf(err) == play.Unavailable && have {
		if m, err := u.kept(known); err == nil {
			return m, nil
		}
	}
	return m, err
}

func (u *upstream) fetchManifest(ctx context.Context, ref name.Reference) (manifest, error) {
	host := ref.Context().RegistryStr()
	if u.isDown(host) {
		return manifest{}, play.Errorf(play.Unavailable, "%s could not be reached a moment ago.", host)
	}
	ctx, done := context.WithTimeout(ctx, askWithin)
	defer done()
	got, err := u.puller.Get(ctx, ref)
	if err != nil {
		return manifest{}, u.failed(host, err)
	}
	m := manifest{raw: got.Manifest, mediaType: string(got.MediaType), digest: got.Digest}
	if err := u.keep(m.digest, m.raw); err != nil {
		return manifest{}, err
	}
	record, err := json.Marshal(tagged{Digest: m.digest.String(), MediaType: m.mediaType, Asked: time.Now()})
	if err == nil {
		err = writeFile(u.tagFile(ref), record)
	}
	return m, err
}

// failed turns an error of a registry into one whose kind says what happened.
func (u *upstream) failed(host string, err error) error {
	var answer *transport.Error
	if !errors.As(err, &answer) {
		u.mu.Lock()
		maps.DeleteFunc(u.down, func(_ string, at time.Time) bool { return time.Since(at) > downFor })
		u.down[host] = time.Now()
		u.mu.Unlock()
		return play.Errorf(play.Unavailable, "%s can't be reached.", host).Because(err)
	}
	kind := play.Unavailable
	switch answer.StatusCode {
	case http.StatusNotFound, http.StatusUnauthorized: // Docker Hub says 401 of what does not exist
		kind = play.NotFound
	case http.StatusForbidden:
		kind = play.Denied
	case http.StatusTooManyRequests:
		kind = play.Limited
	}
	return play.Errorf(kind, "%s answered with status %d.", host, answer.StatusCode).Because(err)
}

func (u *upstream) isDown(host string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return time.Since(u.down[host]) < downFor
}

func isDigest(ref name.Reference) bool {
	_, ok := ref.(name.Digest)
	return ok
}

func (u *upstream) tagFile(ref name.Reference) string {
	sum := sha256.Sum256([]byte(ref.Name()))
	return filepath.Join(u.dir, "tags", hex.EncodeToString(sum[:])+".json")
}

func (u *upstream) tagged(ref name.Reference) (tagged, bool) {
	var t tagged
	raw, err := os.ReadFile(u.tagFile(ref))
	return t, err == nil && json.Unmarshal(raw, &t) == nil
}

func (u *upstream) kept(t tagged) (manifest, error) {
	digest, err := v1.NewHash(t.Digest)
	if err != nil {
		return manifest{}, err
	}
	raw, err := os.ReadFile(u.blob(digest))
	return manifest{raw: raw, mediaType: t.MediaType, digest: digest}, err
}

func (u *upstream) blob(h v1.Hash) string {
	return filepath.Join(u.dir, "blobs", h.Algorithm+"-"+h.Hex)
}

func (u *upstream) has(h v1.Hash) bool {
	_, err := os.Stat(u.blob(h))
	return err == nil
}

// open opens a kept blob, and notes that it was used.
func (u *upstream) open(h v1.Hash) (*os.File, error) {
	file, err := os.Open(u.blob(h))
	if err == nil {
		now := time.Now()
		_ = os.Chtimes(file.Name(), now, now) // only what is thrown away first depends on it
	}
	return file, err
}

func (u *upstream) keep(h v1.Hash, content []byte) error { return writeFile(u.blob(h), content) }

// serveBlob streams a blob from its registry to the client and keeps it.
func (u *upstream) serveBlob(w http.ResponseWriter, req *http.Request, repo name.Repository, digest v1.Hash) {
	host := repo.RegistryStr()
	if u.isDown(host) {
		fail(w, http.StatusBadGateway, "UNAVAILABLE", registryTitle(host)+" can't be reached from here.")
		return
	}
	layer, err := u.puller.Layer(req.Context(), repo.Digest(digest.String()))
	var size int64
	if err == nil {
		size, err = layer.Size()
	}
	var content io.ReadCloser
	if err == nil && req.Method == http.MethodGet {
		content, err = layer.Compressed()
	}
	if err != nil {
		if play.KindOf(u.failed(host, err)) == play.NotFound {
			fail(w, http.StatusNotFound, "BLOB_UNKNOWN", registryTitle(host)+" has no such blob.")
			return
		}
		fail(w, http.StatusBadGateway, "UNAVAILABLE", registryTitle(host)+" does not give this blob.")
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Docker-Content-Digest", digest.String())
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	if req.Method == http.MethodHead {
		return
	}
	defer content.Close()
	if err := u.stream(w, content, digest); err != nil {
		u.log.Warn("fetch a blob", "repository", repo.Name(), "digest", digest, "err", err)
		panic(http.ErrAbortHandler) // the client must not take what it got for the whole
	}
}

// stream copies a blob to the client and into what is kept. The content's reader checks the digest.
func (u *upstream) stream(w io.Writer, content io.Reader, digest v1.Hash) error {
	temp, err := os.CreateTemp(u.dir, ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails once it was renamed
	last := &delayed{w: w}
	_, err = io.Copy(io.MultiWriter(temp, last), content)
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	if err := last.flush(); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), u.blob(digest)); err != nil {
		return err
	}
	return u.prune()
}

// A delayed writer keeps the last write back: who reads gets the end of a blob only once it was checked.
type delayed struct {
	w    io.Writer
	kept []byte
}

func (d *delayed) Write(p []byte) (int, error) {
	if err := d.flush(); err != nil {
		return 0, err
	}
	d.kept = append(d.kept[:0], p...)
	return len(p), nil
}

func (d *delayed) flush() error {
	_, err := d.w.Write(d.kept)
	d.kept = d.kept[:0]
	return err
}

// prune throws away the blobs that were not used for longest until those that stay fit.
func (u *upstream) prune() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	entries, err := os.ReadDir(filepath.Join(u.dir, "blobs"))
	if err != nil {
		return err
	}
	var total int64
	files := make([]fs.FileInfo, 0, len(entries))
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			total += info.Size()
			files = append(files, info)
		}
	}
	for total > u.max && len(files) > 0 {
		oldest := 0
		for i := range files {
			if files[i].ModTime().Before(files[oldest].ModTime()) {
				oldest = i
			}
		}
		if err := os.Remove(filepath.Join(u.dir, "blobs", files[oldest].Name())); err != nil {
			return err
		}
		total -= files[oldest].Size()
		files = append(files[:oldest], files[oldest+1:]...)
	}
	return nil
}

// writeFile replaces a file at once, so that nobody reads half of it.
func writeFile(path string, content []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	_, err = temp.Write(content)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
	}
	return err
}
