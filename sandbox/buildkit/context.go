package buildkit

import (
	"bytes"
	"errors"
	"path"
	"strings"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/util/suggest"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/tonistiigi/fsutil"

	"slipway/server/dockerfile"
	"slipway/server/play"
)

// files is a revision as a build sees it: the Dockerfile, and the build context without what the ignore file
// leaves out. It stays in memory.
type files struct {
	revision   play.Revision
	path       string // of the Dockerfile
	dockerfile []byte
	ignore     string // path of the ignore file; "" without one
	matcher    *patternmatcher.PatternMatcher
	context    fsutil.FS
}

// newFiles reads the Dockerfile and the ignore file. Its errors are *play.Error. All files get one modification
// time: the build's, because tools such as make and cargo take a changed file for changed only if it is newer
// than what they made from it, and zip can't hold 1970.
func newFiles(r play.Revision, name string, modified time.Time) (*files, error) {
	f := &files{revision: r, path: name}
	file, ok := r.File(name)
	if !ok && name == "Dockerfile" {
		if file, ok = r.File("dockerfile"); ok {
			f.path = "dockerfile"
		}
	}
	if !ok {
		return nil, play.Errorf(play.NotFound, "There is no file %s to build from.", name)
	}
	f.dockerfile = file.Content

	var patterns []string
	for _, p := range []string{f.path + ".dockerignore", ".dockerignore"} {
		if file, ok := r.File(p); ok {
			var err error
			f.ignore = p
			if patterns, err = ignorefile.ReadAll(bytes.NewReader(file.Content)); err != nil {
				return nil, play.Errorf(play.Invalid, "%s can't be read: %v.", p, err).In(play.Place{File: p})
			}
			break
		}
	}
	m, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, play.Errorf(play.Invalid, "%s has a pattern that can't be read: %v.", f.ignore, err).In(play.Place{File: f.ignore})
	}
	f.matcher = m

	f.context, err = fsutil.NewFilterFS(newTree(r, modified), &fsutil.FilterOpt{ExcludePatterns: patterns})
	return f, err
}

// parse finds what BuildKit's parser refuses, before the daemon is troubled. Its errors are *play.Error.
func (f *files) parse(o *dockerfile.Outline) error {
	parsed, err := parser.Parse(bytes.NewReader(f.dockerfile))
	if err == nil {
		_, _, err = instructions.Parse(parsed.AST, nil)
	}
	if err == nil {
		return nil
	}
	line := 0
	var at *parser.LocationError
	if errors.As(err, &at) && len(at.Locations) > 0 && len(at.Locations[0]) > 0 {
		line = at.Locations[0][0].Start.Line
	}
	bad := play.Errorf(play.Invalid, "%s", sentence(reason(err)))
	for _, in := range o.Instructions {
		if in.Range.Start.Line <= line && line <= in.Range.End.Line {
			return bad.In(*f.place(in.Range))
		}
	}
	if len(o.Problems) > 0 { // it is about the file as a whole
		return play.Errorf(play.Invalid, "%s", o.Problems[0].Message).In(*f.place(o.Problems[0].Range))
	}
	return bad.In(*f.place(play.Range{}))
}

// place is a stretch of the Dockerfile.
func (f *files) place(r play.Range) *play.Place { return &play.Place{File: f.path, Range: r} }

// has reports whether the context holds p, as a file or a folder, and whether it would but for the ignore file.
func (f *files) has(p string) (there, ignored bool) {
	p = path.Clean(strings.TrimPrefix(p, "/"))
	if p == "." {
		return true, false
	}
	for _, file := range f.revision.Files {
		if file.Path != p && !strings.HasPrefix(file.Path, p+"/") {
			continue
		}
		if out, err := f.matcher.MatchesOrParentMatches(file.Path); err == nil && !out {
			return true, false
		}
		ignored = true
	}
	return false, ignored
}

// nearest is the file or folder of the context that someone who wrote p may have meant, or "".
func (f *files) nearest(p string) string {
	p = path.Clean(strings.TrimPrefix(p, "/"))
	var names []string
	for _, file := range f.revision.Files {
		if there, _ := f.has(file.Path); !there {
			continue
		}
		for name := file.Path; name != "."; name = path.Dir(name) {
			if path.Base(name) == path.Base(p) { // the right name in another folder
				return name
			}
			names = append(names, name)
		}
	}
	near, _ := suggest.Search(p, names, true)
	return near
}
