package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"

	"slipway/server/play"
)

func writeTar(w io.Writer, rev play.Revision) error {
	t := tar.NewWriter(w)
	for _, f := range rev.Files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: "./" + f.Path, Mode: int64(f.Mode), Size: int64(len(f.Content)), ModTime: stamp}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.Content); err != nil {
			return err
		}
	}
	return t.Close()
}

func readTarGzip(data []byte, limits play.Limits) ([]play.File, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, damaged(err)
	}
	// What is skipped is expanded too, so the stream as a whole has a bound: contents, and headers and padding
	// of a few blocks for each entry.
	bound := limits.TotalBytes + int64(limits.Files)*16<<10 + 1<<20
	capped := &io.LimitedReader{R: z, N: bound}
	files, err := readTar(capped, limits)
	if capped.N <= 0 {
		return nil, play.Errorf(play.Limited, "The archive expands to more than %d bytes, the most that all files may have together.", limits.TotalBytes)
	}
	return files, err
}

func readTar(src io.Reader, limits play.Limits) ([]play.File, error) {
	t := tar.NewReader(src)
	r := reader{limits: limits}
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return r.stripped(), nil
		}
		if err != nil {
			return nil, damaged(err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader { // git archive writes the commit into one
			continue
		}
		if err := r.add(h.Name, tarMode(h), func() (io.ReadCloser, error) { return io.NopCloser(t), nil }); err != nil {
			return nil, err
		}
	}
}

func tarMode(h *tar.Header) entryMode {
	switch {
	case h.Typeflag == tar.TypeDir:
		return folder
	case h.Typeflag != tar.TypeReg:
		return special
	case h.Mode&0o111 != 0:
		return executable
	}
	return regular
}
