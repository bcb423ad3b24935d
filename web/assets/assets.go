// Package assets bundles the pages' TypeScript and CSS into the files that the program carries. It runs
// esbuild as a library on what npm has fetched, and never fetches anything itself.
package assets

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// entries are the files that pages ask for by name; whatever they import comes along in chunks.
var entries = []string{"theme.ts", "page.ts", "editor.ts", "style.css", "icon.svg"}

// browsers are the oldest that the pages are made for: the first of each with light-dark().
var browsers = []api.Engine{
	{Name: api.EngineChrome, Version: "123"},
	{Name: api.EngineFirefox, Version: "121"},
	{Name: api.EngineSafari, Version: "17.5"},
}

// Build bundles dir/src into dir/static, with hashed names and a manifest, and removes what was there. dir is
// the folder of package web, with node_modules in place. The same input gives the same bytes on any machine.
// With dev the output is readable and has source maps.
func Build(dir string, dev bool) error {
	files, err := bundle(dir, dev)
	if err != nil {
		return err
	}
	out := filepath.Join(dir, "static")
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(out, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// bundle gives the files of static by name.
func bundle(dir string, dev bool) (map[string][]byte, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	options := api.BuildOptions{
		AbsWorkingDir:     dir,
		Outdir:            "static",
		Outbase:           "src",
		EntryNames:        "[name]-[hash]",
		ChunkNames:        "chunk-[hash]",
		AssetNames:        "[name]-[hash]",
		Bundle:            true,
		Splitting:         true,
		Format:            api.FormatESModule,
		Engines:           browsers,
		Charset:           api.CharsetUTF8,
		LegalComments:     api.LegalCommentsNone,
		Loader:            map[string]api.Loader{".svg": api.LoaderCopy},
		MinifyWhitespace:  !dev,
		MinifyIdentifiers: !dev,
		MinifySyntax:      !dev,
		Metafile:          true,
	}
	if dev {
		options.Sourcemap = api.SourceMapInline
	}
	for _, e := range entries {
		options.EntryPoints = append(options.EntryPoints, "src/"+e)
	}
	result := api.Build(options)
	if len(result.Errors) > 0 {
		return nil, fmt.Errorf("bundling: %w", join(result.Errors))
	}
	manifest, err := manifestOf(result.Metafile)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"manifest.json": manifest}
	for _, f := range result.OutputFiles {
		files[filepath.Base(f.Path)] = f.Contents
	}
	return files, nil
}

// entry is what the manifest says of an asset.
type entry struct {
	File    string   `json:"file"`
	Imports []string `json:"imports,omitempty"` // chunks that it can't do without
}

// manifestOf maps the names that pages use to the files that were made of them.
func manifestOf(metafile string) ([]byte, error) {
	var meta struct {
		Outputs map[string]struct {
			EntryPoint string `json:"entryPoint"`
			Imports    []struct {
				Path string `json:"path"`
				Kind string `json:"kind"`
			} `json:"imports"`
		} `json:"outputs"`
	}
	if err := json.Unmarshal([]byte(metafile), &meta); err != nil {
		return nil, fmt.Errorf("esbuild's metafile: %w", err)
	}
	names := map[string]entry{}
	for file, o := range meta.Outputs {
		name, ok := strings.CutPrefix(o.EntryPoint, "src/")
		if !ok || !slices.Contains(entries, name) {
			continue
		}
		if base, ok := strings.CutSuffix(name, ".ts"); ok {
			name = base + ".js"
		}
		e := entry{File: path.Base(file)}
		for _, i := range o.Imports {
			if i.Kind == "import-statement" {
				e.Imports = append(e.Imports, path.Base(i.Path))
			}
		}
		names[name] = e
	}
	b, err := json.MarshalIndent(names, "", "  ")
	return append(b, '\n'), err
}

func join(messages []api.Message) error {
	var all []error
	for _, m := range messages {
		at := ""
		if m.Location != nil {
			at = fmt.Sprintf("%s:%d:%d: ", m.Location.File, m.Location.Line, m.Location.Column)
		}
		all = append(all, errors.New(at+m.Text))
	}
	return errors.Join(all...)
}
