package archive

import (
	"archive/zip"
	"bytes"
	"io"
	"strings"
	"time"

	"slipway/server/play"
)

// stamp is the time of every entry, so that the same revision is the same archive: the first that zip can say.
var stamp = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func writeZip(w io.Writer, rev play.Revision) error {
	z := zip.NewWriter(w)
	for _, f := range rev.Files {
		h := &zip.FileHeader{Name: "slipway-" + rev.ID + "/" + f.Path, Method: zip.Deflate, Modified: stamp}
		h.SetMode(f.Mode)
		e, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := e.Write(f.Content); err != nil {
			return err
		}
	}
	return z.Close()
}

func readZip(data []byte, limits play.Limits) ([]play.File, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, damaged(err)
	}
	r := reader{limits: limits}
	for _, e := range z.File {
		if e.Flags&1 != 0 {
			return nil, play.Errorf(play.Invalid, "%q is encrypted; make the archive without a password.", e.Name).In(play.Place{File: e.Name})
		}
		if err := r.add(e.Name, zipMode(e), e.Open); err != nil {
			return nil, err
		}
	}
	return r.stripped(), nil
}

func zipMode(e *zip.File) entryMode {
	mode := e.Mode()
	switch {
	case strings.HasSuffix(e.Name, "/") || mode.IsDir():
		return folder
	case mode.Type() != 0:
		return special
	case mode&0o111 != 0:
		return executable
	}
	return regular
}
