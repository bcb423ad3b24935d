package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed static
var static embed.FS

// entry is an asset: its file, whose name carries a hash of its content, and the chunks that it imports.
type entry struct {
	File    string   `json:"file"`
	Imports []string `json:"imports"`
}

// manifest maps the plain name of an asset to what was made of it.
var manifest = sync.OnceValue(func() map[string]entry {
	var m map[string]entry
	b, err := static.ReadFile("static/manifest.json")
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		panic(fmt.Sprintf("web/static/manifest.json: %v; run go run ./cmd/dev gen", err))
	}
	return m
})

// asset is the path under which an asset is served.
func asset(name string) string {
	e, ok := manifest()[name]
	if !ok {
		panic("no asset " + name)
	}
	return "/static/" + e.File
}

// imports are the paths of what a script will ask for next: the page asks for them at once.
func imports(name string) []string {
	var out []string
	for _, file := range manifest()[name].Imports {
		out = append(out, "/static/"+file)
	}
	return out
}

// Static serves the built assets under "/static/". Their names carry hashes, so browsers keep them for ever.
func Static() (http.Handler, error) {
	type body struct{ plain, zipped []byte }
	files := map[string]body{}
	err := fs.WalkDir(static, "static", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "manifest.json" {
			return err
		}
		b, err := static.ReadFile(p)
		if err != nil {
			return err
		}
		var z bytes.Buffer
		w, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		files["/"+p] = body{b, z.Bytes()}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h, b := w.Header(), f.plain
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("Content-Type", mime.TypeByExtension(path.Ext(r.URL.Path)))
		h.Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && len(f.zipped) < len(b) {
			h.Set("Content-Encoding", "gzip")
			b = f.zipped
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}), nil
}
