package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway/sandbox/registry/catalog"
	"slipway/server/play"
)

// serveMirror answers for a repository of a public registry.
func (r *Registry) serveMirror(w http.ResponseWriter, req *http.Request, repo name.Repository, t target) {
	switch t.kind {
	case "manifests":
		m, err := r.manifest(req.Context(), reference(repo, t.ref))
		if err != nil {
			if play.KindOf(err) != play.Internal && req.URL.Query().Has("ns") {
				// A client of the mirror would go on to the registry itself and then tell only what that
				// said, unless it is refused: containerd fetches and shows the reason of a 403.
				err = denied(err)
			}
			r.failWith(w, err)
			return
		}
		serveManifest(w, req, m)
	case "blobs":
		digest, err := v1.NewHash(t.ref)
		if err != nil {
			fail(w, http.StatusBadRequest, "DIGEST_INVALID", err.Error())
			return
		}
		r.serveBlob(w, req, repo, digest)
	case "tags":
		r.serveTags(w, req, repo)
	default: // referrers: the catalogue has none, and nothing here asks for others'
		fail(w, http.StatusNotFound, "UNSUPPORTED", "This registry has no referrers.")
	}
}

func denied(err error) error {
	var e *play.Error
	errors.As(err, &e)
	return play.Errorf(play.Denied, "%s", e.Msg).Because(e.Err)
}

func reference(repo name.Repository, ref string) name.Reference {
	if strings.Contains(ref, ":") {
		return repo.Digest(ref)
	}
	return repo.Tag(ref)
}

// manifest gives a public manifest: the catalogue's, or the one that its registry has.
func (r *Registry) manifest(ctx context.Context, ref name.Reference) (manifest, error) {
	if image, ok := r.cfg.Catalog.Find(ref); ok {
		digest := image.Digest
		if d, ok := ref.(name.Digest); ok { // perhaps of one platform of an index
			if h, err := v1.NewHash(d.DigestStr()); err == nil {
				digest = h
			}
		}
		raw, err := os.ReadFile(r.cfg.Catalog.Blob(digest))
		if err == nil {
			return manifest{raw: raw, mediaType: mediaType(raw, string(image.MediaType)), digest: digest}, nil
		}
		r.cfg.Log.Error("the catalogue lacks a manifest that it lists", "ref", image.Ref, "err", err)
	}
	m, err := r.upstream.manifest(ctx, ref)
	if err != nil {
		return manifest{}, r.explain(ref, err)
	}
	return m, nil
}

// serveBlob answers with a public blob. Nothing in the catalogue is secret, so a blob of it may be read by
// the name of any repository.
func (r *Registry) serveBlob(w http.ResponseWriter, req *http.Request, repo name.Repository, digest v1.Hash) {
	file, err := r.publicBlob(digest)
	if errors.Is(err, fs.ErrNotExist) {
		r.upstream.serveBlob(w, req, repo, digest)
		return
	}
	if err != nil {
		r.failWith(w, err)
		return
	}
	defer file.Close()
	serveFile(w, req, file, digest)
}

// publicBlob opens a blob of the catalogue or of what was fetched.
func (r *Registry) publicBlob(digest v1.Hash) (*os.File, error) {
	file, err := os.Open(r.cfg.Catalog.Blob(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return r.upstream.open(digest)
	}
	return file, err
}

func (r *Registry) serveTags(w http.ResponseWriter, req *http.Request, repo name.Repository) {
	tags := r.catalogueTags(repo)
	if len(tags) == 0 {
		r.failWith(w, play.Errorf(play.NotFound, "%s is not in the catalogue.", familiar(repo.Name())))
		return
	}
	writeJSON(w, map[string]any{"name": repo.RepositoryStr(), "tags": tags})
}

func (r *Registry) catalogueTags(repo name.Repository) []string {
	var tags []string
	for _, i := range r.images() {
		if tag, err := name.NewTag(i.Ref); err == nil && tag.Context().Name() == repo.Name() {
			tags = append(tags, tag.TagStr())
		}
	}
	return tags
}

func (r *Registry) images() []catalog.Image {
	images, err := r.cfg.Catalog.Images()
	if err != nil {
		r.cfg.Log.Error("read the catalogue", "err", err)
	}
	return images
}

// Origin tells who served an image: play.OriginCatalogue and a sentence about what it is made from, or the
// registry's name. The digest is of its manifest, as it was resolved; "" if it is not known.
func (r *Registry) Origin(ref, digest string) (origin, note string) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return "", ""
	}
	elsewhere := familiarRegistry(parsed.Context().RegistryStr())
	tagged, here := r.cfg.Catalog.Find(parsed)
	hash, err := v1.NewHash(digest)
	if err != nil { // not known
		if here {
			return play.OriginCatalogue, tagged.Note
		}
		return elsewhere, ""
	}
	image, found := r.cfg.Catalog.Find(parsed.Context().Digest(digest))
	switch {
	case found && here && image.Digest == tagged.Digest:
		return play.OriginCatalogue, tagged.Note // which names the tag that was asked for
	case found:
		return play.OriginCatalogue, image.Note
	case here && !r.upstream.has(hash):
		return play.OriginCatalogue, tagged.Note + " (An earlier make of it.)"
	}
	return elsewhere, ""
}

// Missing says why an image can't be had and which there are instead, or "" if it can be had.
func (r *Registry) Missing(ctx context.Context, ref string) string {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return fmt.Sprintf("%q is not an image reference.", ref)
	}
	_, err = r.manifest(ctx, parsed)
	var e *play.Error
	if errors.As(err, &e) {
		return e.Msg
	}
	return ""
}

// explain turns the reason why a registry gave no manifest into words that help.
func (r *Registry) explain(ref name.Reference, err error) error {
	short := familiar(ref.String())
	where := registryTitle(ref.Context().RegistryStr())
	var message string
	kind := play.KindOf(err)
	switch kind {
	case play.NotFound:
		message = fmt.Sprintf("%s is not in the catalogue, and %s has no such image or does not show it to everyone.", short, where)
	case play.Denied:
		message = fmt.Sprintf("%s is not in the catalogue, and %s refuses to give it.", short, where)
	case play.Limited:
		message = fmt.Sprintf("%s is not in the catalogue, and %s allows no more pulls for now; try again later.", short, where)
	default:
		kind = play.Unavailable
		message = fmt.Sprintf("%s is not in the catalogue, and %s can't be reached from here.", short, where)
	}
	return play.Errorf(kind, "%s%s", message, r.suggest(ref)).Because(err)
}

// suggest names what the catalogue has instead: other tags of the image, or images of a similar name, or all.
func (r *Registry) suggest(ref name.Reference) string {
	tags := r.catalogueTags(ref.Context())
	if len(tags) > 0 {
		near := nearest(ref.Identifier(), tags, 6)
		repo := familiar(ref.Context().Name())
		for i := range near {
			near[i] = repo + ":" + near[i]
		}
		return " The catalogue has " + list(near) + "."
	}
	var names []string // of a recipe's many tags the first, and every image of the operator
	for _, i := range r.images() {
		short := familiar(i.Ref)
		if i.StandIn() {
			short = i.Recipe
		}
		if !slices.Contains(names, short) {
			names = append(names, short)
		}
	}
	if len(names) == 0 {
		return " The catalogue is empty: make it, or add images to it."
	}
	want := familiar(ref.Context().Name())
	repos := make([]string, len(names))
	for i, n := range names {
		repos[i], _, _ = strings.Cut(n, ":")
	}
	if close := nearest(want, repos, 1); levenshtein.Distance(want, close[0], nil) <= 2 {
		return " Did you mean " + names[slices.Index(repos, close[0])] + "?"
	}
	return " The catalogue has " + list(nearest(familiar(ref.String()), names, 8)) + "."
}
