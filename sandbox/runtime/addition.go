package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
)

// An addition is BuildKit's certificate in a bundle that came with the layers
// below a container's own. BuildKit takes it out again when the container has
// ended, but as a file of its own, so that every step would make a layer with
// the whole bundle. Put back as it was, the file is no change: a layer leaves
// out what has the same size, time, mode and owner as below it (BuildKit's
// util/overlay: Changes).
type addition struct {
	rootfs   string
	name     string      // of the bundle below rootfs, without links
	was      fs.FileInfo // before the container started
	size     int64       // without the certificate
	modified time.Time   // of the bundle in the layers below
}

// newAddition returns nil where the bundle is not that of the layers below.
func newAddition(root *os.Root, found *injection) *addition {
	f, err := root.Open(strings.TrimPrefix(found.path, "/"))
	if err != nil {
		return nil
	}
	defer f.Close()
	was, err := f.Stat()
	if err != nil {
		return nil
	}
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return nil
	}
	name, err := filepath.Rel(root.Name(), path)
	if err != nil || !filepath.IsLocal(name) {
		return nil
	}
	below, modified, err := readBelow(root.Name(), name)
	if err != nil || !bytes.Equal(below, found.bundle) {
		return nil
	}
	return &addition{rootfs: root.Name(), name: name, was: was, size: int64(len(below)), modified: modified}
}

// remove takes the certificate out, unless the container changed the bundle or
// there is nothing to take out: a is nil. What fails here is left to BuildKit,
// and costs a layer the bundle.
func (a *addition) remove() {
	if a == nil {
		return
	}
	root, err := os.OpenRoot(a.rootfs)
	if err != nil {
		return
	}
	defer root.Close()
	if is, err := root.Lstat(a.name); err != nil || !untouched(a.was, is) {
		return
	}
	f, err := root.OpenFile(a.name, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	if err := errors.Join(f.Truncate(a.size), f.Close()); err != nil {
		return
	}
	_ = root.Chtimes(a.name, time.Time{}, a.modified)
}

// untouched reports whether a file is the same and nothing about it changed:
// the kernel sets the change time, which nobody can set back.
func untouched(was, is fs.FileInfo) bool {
	old, ok := was.Sys().(*syscall.Stat_t)
	now, ok2 := is.Sys().(*syscall.Stat_t)
	return ok && ok2 && os.SameFile(was, is) && old.Ctim == now.Ctim
}

// readBelow reads a file out of the layers below the one of its own that a
// container has, and when it was modified. No part of name is a link.
func readBelow(rootfs, name string) ([]byte, time.Time, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(rootfs))
	if err != nil {
		return nil, time.Time{}, err
	}
	if len(mounts) == 0 || mounts[0].FSType != "overlay" {
		return nil, time.Time{}, fmt.Errorf("%s: no layers: %w", rootfs, fs.ErrNotExist)
	}
	for _, layer := range layersBelow(mounts[0].VFSOptions) {
		data, modified, err := readRegular(layer, name)
		if !errors.Is(err, fs.ErrNotExist) {
			return data, modified, err
		}
	}
	return nil, time.Time{}, &fs.PathError{Op: "find in the layers", Path: name, Err: fs.ErrNotExist}
}

// layersBelow are the folders of an overlay's lower layers, the topmost first.
// Where there are many, containerd mounts by paths relative to the folder of all
// snapshots (core/mount: compactLowerdirOption), which holds that of the upper
// layer as snapshots/<id>/fs.
func layersBelow(options string) []string {
	var upper string
	var layers []string
	for option := range strings.SplitSeq(options, ",") {
		if dirs, ok := strings.CutPrefix(option, "lowerdir="); ok {
			layers = strings.Split(dirs, ":")
		}
		if dir, ok := strings.CutPrefix(option, "upperdir="); ok {
			upper = dir
		}
	}
	for i, dir := range layers {
		if !filepath.IsAbs(dir) {
			layers[i] = filepath.Join(filepath.Dir(filepath.Dir(upper)), dir)
		}
	}
	return layers
}

// readRegular reads a regular file of a layer; whatever else has its name is an
// error that is not fs.ErrNotExist.
func readRegular(layer, name string) (data []byte, modified time.Time, err error) {
	root, err := os.OpenRoot(layer)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer root.Close()
	info, err := root.Lstat(name)
	if err != nil {
		return nil, time.Time{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > bundleMax {
		return nil, time.Time{}, fmt.Errorf("%s: not a bundle", name)
	}
	data, err = root.ReadFile(name)
	return data, info.ModTime(), err
}
