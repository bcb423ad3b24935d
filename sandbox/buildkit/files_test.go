package buildkit

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/tonistiigi/fsutil"

	"slipway/server/play"
)

// A revision in memory and the same files on disk are the same to BuildKit, whatever is filtered out.
func TestTreeIsLikeDisk(t *testing.T) {
	var files []play.File
	dir := t.TempDir()
	for _, p := range []string{"Dockerfile", "a-b", "a/b/c.go", "a/b/d.txt", "a/c", "a.txt", "z/y/x/w", "z/y.md", "日/本"} {
		f := play.File{Path: p, Mode: 0o644, Content: []byte("content of " + p)}
		if p == "a/c" {
			f.Mode = 0o755
		}
		files = append(files, f)
		path := filepath.Join(dir, p)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, f.Content, f.Mode)); err != nil {
			t.Fatal(err)
		}
	}
	revision, err := play.NewRevision(files, play.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	disk, err := fsutil.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	memory := newTree(revision, time.Unix(1e9, 0))
	for _, opt := range []fsutil.FilterOpt{
		{},
		{ExcludePatterns: []string{"a"}},
		{ExcludePatterns: []string{"a", "!a/b/c.go"}},
		{ExcludePatterns: []string{"**/*.txt", "z"}},
		{ExcludePatterns: []string{"*", "!z"}},
		{FollowPaths: []string{"a/b", "z/y.md"}},
		{FollowPaths: []string{"nothing"}},
		{FollowPaths: []string{"日"}, ExcludePatterns: []string{"a"}},
		{IncludePatterns: []string{"a/*"}},
	} {
		want, got := walk(t, disk, &opt), walk(t, memory, &opt)
		if !slices.Equal(want, got) {
			t.Errorf("%+v: on disk\n%s\nin memory\n%s", opt, strings.Join(want, "\n"), strings.Join(got, "\n"))
		}
	}
}

func walk(t *testing.T, fsys fsutil.FS, opt *fsutil.FilterOpt) []string {
	filtered, err := fsutil.NewFilterFS(fsys, opt)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	err = filtered.Walk(context.Background(), "", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		line := path + " " + info.Mode().String()
		if !entry.IsDir() {
			f, err := filtered.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			content, err := io.ReadAll(f)
			if err != nil {
				return err
			}
			line += " " + string(content)
		}
		all = append(all, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestLayersAreCounted(t *testing.T) {
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	for _, name := range []string{"a", "b", "dir/c"} {
		w.WriteHeader(&tar.Header{Name: name, Size: 5, Mode: 0o644})
		io.WriteString(w, "hello")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	squeeze := func(open func(io.Writer) io.WriteCloser) []byte {
		var b bytes.Buffer
		z := open(&b)
		z.Write(plain.Bytes())
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	want := layerCount{bytes: int64(plain.Len()), files: 3}
	for name, blob := range map[string][]byte{
		"plain": plain.Bytes(),
		"gzip":  squeeze(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }),
		"zstd":  squeeze(func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }),
	} {
		if got, err := count(t.Context(), bytes.NewReader(blob)); err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if got, err := count(t.Context(), bytes.NewReader(nil)); err != nil || got != (layerCount{}) {
		t.Errorf("empty: %+v, %v", got, err)
	}
	if _, err := count(t.Context(), strings.NewReader("no tar at all, whatever it is")); err == nil {
		t.Error("garbage was counted")
	}
}

// A layer that unpacks to more than is read counts as unknown, and costs no memory.
func TestBombIsNotCounted(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		z, _ := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest))
		entries := tar.NewWriter(z)
		entries.WriteHeader(&tar.Header{Name: "zeroes", Size: 2 * maxUnpack, Mode: 0o644})
		zeroes := make([]byte, 1<<20)
		for {
			if _, err := entries.Write(zeroes); err != nil {
				return
			}
		}
	}()
	defer r.Close()
	if got, err := count(t.Context(), r); err != nil || got != (layerCount{}) {
		t.Errorf("%+v, %v", got, err)
	}
}
