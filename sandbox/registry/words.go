package registry

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/google/go-containerregistry/pkg/name"
)

// familiar writes a reference as people do: "python:3.14-slim".
func familiar(ref string) string {
	ref = strings.TrimPrefix(ref, name.DefaultRegistry+"/")
	ref = strings.TrimPrefix(ref, "docker.io/")
	return strings.TrimPrefix(ref, "library/")
}

func familiarRegistry(host string) string {
	if host == name.DefaultRegistry {
		return "docker.io"
	}
	return host
}

// registryTitle names a registry in a sentence.
func registryTitle(host string) string {
	if host == name.DefaultRegistry {
		return "Docker Hub"
	}
	return host
}

// list writes words as a list in a sentence.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// nearest gives the n candidates that are most like what was wanted, the nearest first.
func nearest(want string, candidates []string, n int) []string {
	near := slices.Clone(candidates)
	slices.SortStableFunc(near, func(a, b string) int {
		return cmp.Compare(levenshtein.Distance(want, a, nil), levenshtein.Distance(want, b, nil))
	})
	return near[:min(n, len(near))]
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) // an error is a client that left
}

// mediaType is what a manifest says it is, or otherwise what it was filed as.
func mediaType(raw []byte, otherwise string) string {
	var m struct {
		MediaType string `json:"mediaType"`
	}
	if json.Unmarshal(raw, &m) == nil && m.MediaType != "" {
		return m.MediaType
	}
	return otherwise
}
