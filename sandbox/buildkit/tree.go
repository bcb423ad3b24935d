package buildkit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"

	"slipway/server/play"
)

// tree is a revision as a filesystem in memory, for sending it to the daemon.
type tree struct {
	entries []*types.Stat // folders before what is in them
	content map[string][]byte
}

func newTree(r play.Revision, modified time.Time) tree {
	t := tree{content: map[string][]byte{}}
	seen := map[string]bool{}
	for _, f := range r.Files {
		for dir := path.Dir(f.Path); dir != "." && !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
			t.entries = append(t.entries, &types.Stat{Path: dir, Mode: uint32(os.ModeDir | 0o755), ModTime: modified.UnixNano()})
		}
		t.entries = append(t.entries, &types.Stat{
			Path: f.Path, Mode: uint32(f.Mode & fs.ModePerm), Size: int64(len(f.Content)), ModTime: modified.UnixNano(),
		})
		t.content[f.Path] = f.Content
	}
	slices.SortFunc(t.entries, func(a, b *types.Stat) int {
		return slices.Compare(strings.Split(a.Path, "/"), strings.Split(b.Path, "/"))
	})
	return t
}

// Walk calls fn for every entry below target, in order; fs.SkipDir leaves out the rest of a folder.
func (t tree) Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	target = strings.Trim(path.Join("/", target), "/")
	skip := ""
	for _, stat := range t.entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if target != "" && stat.Path != target && !strings.HasPrefix(stat.Path, target+"/") ||
			skip != "" && strings.HasPrefix(stat.Path, skip) {
			continue
		}
		entry := &fsutil.DirEntryInfo{Stat: stat.CloneVT()}
		switch err := fn(stat.Path, entry, nil); {
		case errors.Is(err, fs.SkipAll):
			return nil
		case errors.Is(err, fs.SkipDir) && entry.IsDir():
			skip = stat.Path + "/"
		case errors.Is(err, fs.SkipDir):
			if skip = path.Dir(stat.Path) + "/"; skip == "./" {
				return nil
			}
		case err != nil:
			return err
		}
	}
	return nil
}

func (t tree) Open(p string) (io.ReadCloser, error) {
	content, ok := t.content[p]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}
