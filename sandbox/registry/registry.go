// Package registry is Slipway's one registry, as an http.Handler that speaks the OCI distribution protocol:
//
//   - a mirror of the public registries: what the catalogue holds first, then what they have, kept by digest;
//   - the images that builds push, each writable only by its build and readable by those who may see it.
//
// Beside it stands the Python package index of the catalogue, also as an http.Handler.
//
// It holds no accounts and decides nothing about people: CanPull does. It never opens a port.
package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway/sandbox/registry/catalog"
	"slipway/server/play"
)

// Config is what a Registry works with.
type Config struct {
	Dir       string                                                        // for pushed images and what was fetched from other registries
	Catalog   *catalog.Catalog                                              // the base images that are here
	Host      string                                                        // by which builders reach the registry
	Transport http.RoundTripper                                             // to other registries, which strangers name: it must refuse what they may not reach
	CanPull   func(ctx context.Context, r *http.Request, build string) bool // whether the sender of r may see a build's image
	MaxImage  int64                                                         // bytes that one build may push
	MaxCache  int64                                                         // bytes of fetched images that are kept
	Log       *slog.Logger
}

// Registry is safe for concurrent use.
type Registry struct {
	cfg      Config
	upstream *upstream
	builds   builds
	uploads  uploads
}

// New returns the registry whose data is in cfg.Dir. What an earlier process left unfinished there is removed.
func New(cfg Config) (*Registry, error) {
	unfinished := filepath.Join(cfg.Dir, "uploads")
	if err := os.RemoveAll(unfinished); err != nil {
		return nil, err
	}
	for _, dir := range []string{unfinished, filepath.Join(cfg.Dir, "builds")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	up, err := newUpstream(filepath.Join(cfg.Dir, "fetched"), cfg.Transport, cfg.MaxCache, cfg.Log)
	if err != nil {
		return nil, err
	}
	return &Registry{
		cfg:      cfg,
		upstream: up,
		builds:   builds{dir: filepath.Join(cfg.Dir, "builds"), grants: map[string]grant{}},
		uploads:  uploads{dir: unfinished, open: map[string]*upload{}},
	}, nil
}

// A target is what a path of the protocol names.
type target struct {
	repo string // as in the path
	kind string // "manifests", "blobs", "uploads", "tags", "referrers"
	ref  string // tag, digest or upload
}

var paths = regexp.MustCompile(`^/v2/(.+)/(?:(manifests|blobs|referrers)/([^/]+)|(tags)/list|blobs/(uploads)/([^/]*))$`)

func parsePath(path string) (target, bool) {
	m := paths.FindStringSubmatch(path)
	if m == nil {
		return target{}, false
	}
	return target{repo: m[1], kind: m[2] + m[4] + m[5], ref: m[3] + m[6]}, true
}

func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	switch req.URL.Path {
	case "/v2/", "/v2":
		r.ping(w, req)
		return
	case "/v2/token":
		serveToken(w, req)
		return
	}
	t, ok := parsePath(req.URL.Path)
	if !ok {
		fail(w, http.StatusNotFound, "UNSUPPORTED", "This registry has no such address.")
		return
	}
	ns := req.URL.Query().Get("ns")
	if build, ok := strings.CutPrefix(t.repo, "builds/"); ok && ns == "" {
		r.serveBuild(w, req, build, t)
		return
	}
	repo, err := repository(t.repo, ns)
	if err != nil {
		fail(w, http.StatusBadRequest, "NAME_INVALID", err.Error())
		return
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "Only builds push to this registry, each its own image.")
		return
	}
	r.serveMirror(w, req, repo, t)
}

// Outside is the registry as people may use it: they pull what builds pushed. The mirror is the builders' alone, who
// are bounded; anyone else could have it fetch without end.
func (r *Registry) Outside() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		t, ok := parsePath(req.URL.Path)
		if ok && (!strings.HasPrefix(t.repo, "builds/") || req.URL.Query().Has("ns")) {
			fail(w, http.StatusNotFound, "NAME_UNKNOWN", "Only the images of builds can be pulled here, by the name that the build's page says.")
			return
		}
		r.ServeHTTP(w, req)
	})
}

// repository is the public repository that a path means: of the registry ns that is mirrored, of the one
// that begins the path, or of Docker Hub.
func repository(path, ns string) (name.Repository, error) {
	first, _, _ := strings.Cut(path, "/")
	if ns == "" && strings.ContainsAny(first, ".:") {
		return name.NewRepository(path)
	}
	if ns == "" || ns == "docker.io" {
		ns = name.DefaultRegistry
	}
	return name.NewRepository(ns + "/" + path)
}

// ping answers whether this is a registry, and where people get a token.
func (r *Registry) ping(w http.ResponseWriter, req *http.Request) {
	if req.Host == r.cfg.Host || req.Header.Get("Authorization") != "" {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte("{}"))
		return
	}
	r.challenge(w, req, "Sign in, or ask for a token without, to pull what is public.")
}

// challenge asks for credentials. A builder has them for its own image only and gives them at once; other
// clients ask for a token first, which they also get without credentials.
func (r *Registry) challenge(w http.ResponseWriter, req *http.Request, message string) {
	if req.Host == r.cfg.Host {
		w.Header().Set("WWW-Authenticate", `Basic realm="slipway"`)
	} else {
		scheme := "http"
		if req.TLS != nil || req.Header.Get("X-Forwarded-Proto") == "https" {
			scheme = "https"
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s://%s/v2/token",service="slipway"`, scheme, req.Host))
	}
	fail(w, http.StatusUnauthorized, "UNAUTHORIZED", message)
}

// A token is what was given for it: the credentials, or nothing. It grants nothing by itself.
const anonymous = "anonymous"

func serveToken(w http.ResponseWriter, req *http.Request) {
	token := anonymous
	if basic, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Basic "); ok {
		token = basic
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": 300}) // an error is a client that left
}

// credentials turns a token back into what it was given for.
func credentials(req *http.Request) *http.Request {
	token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return req
	}
	req = req.Clone(req.Context())
	req.Header.Del("Authorization")
	if token != anonymous {
		req.Header.Set("Authorization", "Basic "+token)
	}
	return req
}

// fail answers with an error in the protocol's form.
func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}}) // likewise
}

// serveManifest answers with a manifest that is here.
func serveManifest(w http.ResponseWriter, req *http.Request, m manifest) {
	h := w.Header()
	h.Set("Content-Type", m.mediaType)
	h.Set("Docker-Content-Digest", m.digest.String())
	h.Set("Content-Length", fmt.Sprint(len(m.raw)))
	if req.Method == http.MethodGet {
		w.Write(m.raw)
	}
}

// serveFile answers with a blob that is a file, in parts if the client asks for them.
func serveFile(w http.ResponseWriter, req *http.Request, file *os.File, digest v1.Hash) {
	info, err := file.Stat()
	if err != nil {
		fail(w, http.StatusInternalServerError, "UNKNOWN", "The blob can't be read.")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Docker-Content-Digest", digest.String())
	h.Set("ETag", `"`+digest.String()+`"`)
	http.ServeContent(w, req, "", info.ModTime(), file)
}

// A manifest is the bytes of one, and what kind they are.
type manifest struct {
	raw       []byte
	mediaType string
	digest    v1.Hash
}

// failWith answers with an error for people, or hides one that is for the log.
func (r *Registry) failWith(w http.ResponseWriter, err error) {
	var e *play.Error
	errors.As(err, &e)
	switch play.KindOf(err) {
	case play.NotFound:
		fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN", e.Msg)
	case play.Denied, play.Unavailable: // clients show what a 403 says, and of a 502 only the number
		fail(w, http.StatusForbidden, "DENIED", e.Msg)
	case play.Limited:
		fail(w, http.StatusRequestEntityTooLarge, "DENIED", e.Msg) // of the codes that clients know, the one that keeps the words
	case play.Invalid:
		fail(w, http.StatusBadRequest, "MANIFEST_INVALID", e.Msg)
	default:
		r.cfg.Log.Error("registry", "err", err)
		fail(w, http.StatusInternalServerError, "UNKNOWN", "The registry failed; trying again may help.")
	}
}
