package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"slipway/server/play"
)

// readDir reads a folder as a build context, without what its .dockerignore leaves out: what no build would
// see need not travel. Symbolic links and special files are refused by name.
func readDir(dir, dockerfile string, limits play.Limits) ([]play.File, error) {
	ignored, err := ignores(dir, dockerfile)
	if err != nil {
		return nil, err
	}
	keep := []string{dockerfile, dockerfile + ".dockerignore", ".dockerignore"}
	var files []play.File
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil || rel == "." {
			return err
		}
		rel = filepath.ToSlash(rel)
		if !slices.Contains(keep, rel) {
			skip, err := ignored.MatchesOrParentMatches(rel)
			if err != nil {
				return err
			}
			switch {
			case skip && d.IsDir() && !ignored.Exclusions():
				return fs.SkipDir
			case skip:
				return nil
			}
		}
		if d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is neither a file nor a folder; take it out or name it in .dockerignore", rel)
		}
		if len(files) == limits.Files {
			return fmt.Errorf("%s has more than %d files; name what the build doesn't need in .dockerignore (node_modules, .git, …)", dir, limits.Files)
		}
		if info.Size() > limits.FileBytes {
			return fmt.Errorf("%s has %d bytes; a file may have at most %d. If the build doesn't need it, name it in .dockerignore", rel, info.Size(), limits.FileBytes)
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files = append(files, play.File{Path: rel, Mode: info.Mode().Perm(), Content: content})
		return nil
	})
	return files, err
}

func ignores(dir, dockerfile string) (*patternmatcher.PatternMatcher, error) {
	for _, name := range []string{dockerfile + ".dockerignore", ".dockerignore"} {
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		patterns, err := ignorefile.ReadAll(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return patternmatcher.New(slices.DeleteFunc(patterns, func(p string) bool { return strings.TrimSpace(p) == "" }))
	}
	return patternmatcher.New(nil)
}

// encodeFiles are files as the API takes them: text as it is, everything else in base64.
func encodeFiles(files []play.File) map[string]any {
	out := make(map[string]any, len(files))
	for _, f := range files {
		switch {
		case !utf8.Valid(f.Content):
			out[f.Path] = map[string]any{"base64": f.Content, "executable": f.Executable()}
		case f.Executable():
			out[f.Path] = map[string]any{"text": string(f.Content), "executable": true}
		default:
			out[f.Path] = string(f.Content)
		}
	}
	return out
}
