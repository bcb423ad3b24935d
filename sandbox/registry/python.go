package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"slipway/sandbox/registry/catalog"
)

// Python serves the catalogue's Python package index by the simple API: pages in HTML (PEP 503) and JSON
// (PEP 691), with hashes, and metadata beside each file (PEP 658).
type Python struct {
	catalog *catalog.Catalog
}

// NewPython returns the index of a catalogue.
func NewPython(c *catalog.Catalog) *Python { return &Python{catalog: c} }

// Hosts are the names of the index that this one can stand in for: of its pages, then of its files. None if
// the catalogue has no index.
func (p *Python) Hosts() ([]string, error) {
	index, err := p.catalog.ReadPython()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return index.Hosts, nil
}

const (
	simpleJSON = "application/vnd.pypi.simple.v1+json"
	simpleHTML = "application/vnd.pypi.simple.v1+html"
)

func (p *Python) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		http.Error(w, "This package index can only be read.", http.StatusMethodNotAllowed)
		return
	}
	index, err := p.catalog.ReadPython()
	if err != nil {
		http.Error(w, "This catalogue has no Python packages.", http.StatusNotFound)
		return
	}
	w.Header().Set("X-Slipway-Note", index.Note)
	path := strings.Trim(req.URL.Path, "/")
	if file, ok := strings.CutPrefix(path, "simple/files/"); ok {
		p.serveFile(w, req, index, file)
		return
	}
	switch project, ok := strings.CutPrefix(path, "simple/"); {
	case path == "simple":
		serveProjects(w, req, index)
	case ok && !strings.Contains(project, "/"):
		serveProject(w, req, index, project)
	default:
		http.Error(w, index.Note+" It has only /simple/.", http.StatusNotFound)
	}
}

func (p *Python) serveFile(w http.ResponseWriter, req *http.Request, index *catalog.PythonIndex, file string) {
	known := slices.ContainsFunc(index.Wheels, func(h catalog.Wheel) bool {
		return file == h.File || file == h.File+".metadata"
	})
	if !known {
		http.NotFound(w, req)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeFile(w, req, filepath.Join(p.catalog.Python(), file))
}

func wantsJSON(req *http.Request) bool {
	accept := req.Header.Get("Accept")
	return strings.Contains(accept, simpleJSON) || strings.Contains(accept, "application/json")
}

var projectsPage = template.Must(template.New("projects").Parse(`<!DOCTYPE html>
<html><head><meta name="pypi:repository-version" content="1.1"><title>Packages</title></head><body>
<p>{{.Note}}</p>
{{range .Names}}<a href="/simple/{{.}}/">{{.}}</a><br>
{{end}}</body></html>
`))

func serveProjects(w http.ResponseWriter, req *http.Request, index *catalog.PythonIndex) {
	var names []string
	for _, h := range index.Wheels {
		names = append(names, h.Project)
	}
	names = slices.Compact(names)
	if wantsJSON(req) {
		projects := make([]map[string]string, len(names))
		for i, n := range names {
			projects[i] = map[string]string{"name": n}
		}
		writeSimple(w, map[string]any{"meta": map[string]string{"api-version": "1.1"}, "projects": projects})
		return
	}
	w.Header().Set("Content-Type", simpleHTML)
	projectsPage.Execute(w, map[string]any{"Note": index.Note, "Names": names}) // an error is a client that left
}

var projectPage = template.Must(template.New("project").Parse(`<!DOCTYPE html>
<html><head><meta name="pypi:repository-version" content="1.1"><title>{{.Project}}</title></head><body>
<p>{{.Note}}</p>
{{range .Wheels}}<a href="/simple/files/{{.File}}#sha256={{.SHA256}}"{{with .RequiresPython}} data-requires-python="{{.}}"{{end}} data-core-metadata="sha256={{.MetadataSHA256}}">{{.File}}</a><br>
{{end}}</body></html>
`))

func serveProject(w http.ResponseWriter, req *http.Request, index *catalog.PythonIndex, project string) {
	project = catalog.NormalizeProject(project)
	wheels := slices.DeleteFunc(slices.Clone(index.Wheels), func(h catalog.Wheel) bool { return h.Project != project })
	if len(wheels) == 0 {
		var names []string
		for _, h := range index.Wheels {
			names = append(names, h.Project)
		}
		http.Error(w, fmt.Sprintf("%s is not among the %d packages here. Near to it: %s. %s",
			project, len(names), list(nearest(project, names, 3)), index.Note), http.StatusNotFound)
		return
	}
	if !wantsJSON(req) {
		w.Header().Set("Content-Type", simpleHTML)
		projectPage.Execute(w, map[string]any{"Note": index.Note, "Project": project, "Wheels": wheels}) // likewise
		return
	}
	var files []map[string]any
	var versions []string
	for _, h := range wheels {
		file := map[string]any{
			"filename": h.File, "url": "/simple/files/" + h.File, "size": h.Size,
			"hashes":        map[string]string{"sha256": h.SHA256},
			"core-metadata": map[string]string{"sha256": h.MetadataSHA256},
		}
		if h.RequiresPython != "" {
			file["requires-python"] = h.RequiresPython
		}
		files = append(files, file)
		versions = append(versions, h.Version)
	}
	writeSimple(w, map[string]any{
		"meta": map[string]string{"api-version": "1.1"}, "name": project, "versions": versions, "files": files,
	})
}

func writeSimple(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", simpleJSON)
	json.NewEncoder(w).Encode(v) // likewise
}
