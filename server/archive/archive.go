// Package archive turns the files of a revision into txtar, zip and tar, and what people upload back into
// files. It works in memory, counts expanded bytes while it reads, follows no link and never touches the disk.
package archive

import (
	"bytes"
	"io"
	"path"
	"strings"

	"slipway/server/play"
)

// Format is a way to hold many files in one.
type Format string

const (
	Txtar Format = "txtar"
	Zip   Format = "zip"
	Tar   Format = "tar"
)

// Formats lists every format that Write knows.
var Formats = [...]Format{Txtar, Zip, Tar}

// MediaType is the format's Content-Type.
func (f Format) MediaType() string {
	switch f {
	case Zip:
		return "application/zip"
	case Tar:
		return "application/x-tar"
	}
	return "text/plain; charset=utf-8"
}

// Write writes the files of rev. A zip holds one top folder, so that unpacking it litters nothing; a tar holds
// the files as they are, so that it can be piped to "docker build -".
func Write(w io.Writer, f Format, rev play.Revision) error {
	switch f {
	case Zip:
		return writeZip(w, rev)
	case Tar:
		return writeTar(w, rev)
	}
	_, err := w.Write(FormatTxtar(nil, rev.Files))
	return err
}

// Read reads a zip, tar, tar.gz or txtar, told apart by their bytes. Folders, attributes and owners are
// dropped; one folder that holds everything is stripped. What it gives has passed play.NewRevision's checks
// against limits. The error, if any, is a *play.Error that names the entry.
func Read(data []byte, limits play.Limits) ([]play.File, error) {
	files, err := read(data, limits)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, play.Errorf(play.Invalid, "The archive holds no files.")
	}
	rev, err := play.NewRevision(files, limits)
	if err != nil {
		return nil, err
	}
	return rev.Files, nil
}

func read(data []byte, limits play.Limits) ([]play.File, error) {
	switch {
	case bytes.HasPrefix(data, []byte("PK\x03\x04")), bytes.HasPrefix(data, []byte("PK\x05\x06")):
		return readZip(data, limits)
	case bytes.HasPrefix(data, []byte("\x1f\x8b")):
		return readTarGzip(data, limits)
	case len(data) > 262 && string(data[257:262]) == "ustar":
		return readTar(bytes.NewReader(data), limits)
	case bytes.HasPrefix(data, []byte("\x28\xb5\x2f\xfd")), bytes.HasPrefix(data, []byte("BZh")),
		bytes.HasPrefix(data, []byte("\xfd7zXZ")), bytes.HasPrefix(data, []byte("7z\xbc\xaf")):
		return nil, play.Errorf(play.Invalid, "This kind of archive can't be read here; make a .zip, .tar or .tar.gz of it.")
	}
	_, files, err := ParseTxtar(data)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, play.Errorf(play.Invalid, "This is not a .zip, .tar, .tar.gz or .txtar archive.")
	}
	return files, nil
}

// A reader gathers the entries of an archive and bounds what they expand to.
type reader struct {
	limits  play.Limits
	files   []play.File
	entries int
	bytes   int64
	rooted  bool // an entry began with "./": the top is where the archive says it is
}

// add reads one entry. Entries that are no regular files count, but leave nothing.
func (r *reader) add(name string, mode entryMode, content func() (io.ReadCloser, error)) error {
	// Folders are entries too; a context has at most a few for each file.
	if r.entries++; r.entries > 4*r.limits.Files+100 {
		return r.tooMany()
	}
	if strings.HasPrefix(name, "./") {
		r.rooted = true
		name = strings.TrimLeft(name[2:], "/")
	}
	if mode == folder || litter(name) {
		return nil
	}
	if mode == special {
		return play.Errorf(play.Invalid, "%q is a link or a device; an upload may hold regular files only.", name).In(play.Place{File: name})
	}
	if err := play.CheckPath(name); err != nil {
		return err
	}
	if len(r.files) == r.limits.Files {
		return r.tooMany()
	}
	src, err := content()
	if err != nil {
		return damaged(err)
	}
	defer src.Close()
	left := min(r.limits.FileBytes, r.limits.TotalBytes-r.bytes)
	data, err := io.ReadAll(io.LimitReader(src, left+1))
	if err != nil {
		return damaged(err)
	}
	if int64(len(data)) > left {
		if left == r.limits.FileBytes {
			return play.Errorf(play.Limited, "%s has more than %d bytes, the most that one file may have.", name, r.limits.FileBytes).In(play.Place{File: name})
		}
		return play.Errorf(play.Limited, "The archive expands to more than %d bytes, the most that all files may have together.", r.limits.TotalBytes).In(play.Place{File: name})
	}
	r.bytes += int64(len(data))
	file := play.File{Path: name, Mode: 0o644, Content: data}
	if mode == executable {
		file.Mode = 0o755
	}
	r.files = append(r.files, file)
	return nil
}

func (r *reader) tooMany() error {
	return play.Errorf(play.Limited, "The archive holds more than %d files; leave out what the build doesn't need, such as .git and node_modules.", r.limits.Files)
}

// stripped is the files without the one folder that holds them all, if there is one.
func (r *reader) stripped() []play.File {
	if r.rooted || len(r.files) == 0 {
		return r.files
	}
	top, _, ok := strings.Cut(r.files[0].Path, "/")
	for _, f := range r.files {
		ok = ok && strings.HasPrefix(f.Path, top+"/")
	}
	if !ok {
		return r.files
	}
	for i := range r.files {
		r.files[i].Path = r.files[i].Path[len(top)+1:]
	}
	return r.files
}

type entryMode int

const (
	regular entryMode = iota
	executable
	folder
	special // links, devices, pipes, sockets
)

// litter reports whether name is what macOS puts into archives beside the files.
func litter(name string) bool {
	return strings.HasPrefix(name, "__MACOSX/") || path.Base(name) == ".DS_Store" || strings.HasPrefix(path.Base(name), "._")
}

func damaged(err error) error {
	return play.Errorf(play.Invalid, "The archive is damaged or cut off; make it again.").Because(err)
}
