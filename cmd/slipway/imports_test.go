package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The README's table of packages is the rule for who may import whom; this holds every file to it.
func TestImports(t *testing.T) {
	allowed := packageTable(t)
	seen := map[string]bool{}
	for file, imports := range sources(t) {
		pkg := path.Dir(file)
		may, ok := allowed[pkg]
		if !ok {
			t.Errorf("the package %s is not in the README's table", pkg)
			allowed[pkg] = []string{"all"}
			continue
		}
		seen[pkg] = true
		for _, imported := range imports {
			ours, ok := strings.CutPrefix(imported, "slipway/")
			if ok && !slices.Contains(may, "all") && !slices.Contains(may, ours) {
				t.Errorf("%s imports %s; the README's table allows it %v", file, ours, may)
			}
		}
	}
	for pkg := range allowed {
		if !seen[pkg] {
			t.Errorf("the README's table names %s, which is not there", pkg)
		}
	}
}

// Each heavy library has one home.
func TestLibraryHomes(t *testing.T) {
	homes := map[string][]string{
		"github.com/labstack/echo":                  {"server"},
		"github.com/danielgtaylor/huma":             {"server"},
		"github.com/a-h/templ":                      {"web", "server"},
		"github.com/moby/buildkit/client":           {"sandbox/buildkit", "server/lint"}, // the linter needs its types
		"github.com/moby/buildkit/session":          {"sandbox/buildkit"},
		"github.com/moby/buildkit/frontend/gateway": {"sandbox/buildkit", "server/lint"},
		"modernc.org/sqlite":                        {"server/store"},
		"github.com/jackc/pgx":                      {"server/store"},
		"github.com/google/go-containerregistry":    {"sandbox/registry", "sandbox/registry/catalog"},
		"github.com/nats-io":                        {"server/eventlog", "server/job"},
	}
	for file, imports := range sources(t) {
		for _, imported := range imports {
			for library, in := range homes {
				if (imported == library || strings.HasPrefix(imported, library+"/")) && !slices.Contains(in, path.Dir(file)) {
					t.Errorf("%s imports %s, whose home is %v", file, imported, in)
				}
			}
		}
	}
}

// sources are the Go files that are no tests, with what they import. It parses the files itself: what `go list`
// prints would be a cached answer.
func sources(t *testing.T) map[string][]string {
	root := os.DirFS(filepath.Join("..", ".."))
	files := map[string][]string{}
	err := fs.WalkDir(root, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name != "." && (strings.HasPrefix(name, ".") || slices.Contains([]string{"node_modules", "testdata", "tools"}, name)) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(root, file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		files[file] = nil
		for _, spec := range parsed.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			files[file] = append(files[file], imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var tableRow = regexp.MustCompile("(?m)^\\| `([a-z/]+)` \\|[^|]*\\| ([^|]*) \\|$")

func packageTable(t *testing.T) map[string][]string {
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	table := map[string][]string{}
	for _, row := range tableRow.FindAllStringSubmatch(string(b), -1) {
		var may []string
		for _, p := range strings.Split(row[2], ",") {
			if p = strings.Trim(strings.TrimSpace(p), "`"); p != "" && p != "none" {
				may = append(may, p)
			}
		}
		table[row[1]] = may
	}
	if len(table) < 15 {
		t.Fatalf("the README's table of packages has %d rows", len(table))
	}
	return table
}
