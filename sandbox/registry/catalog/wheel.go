package catalog

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// write packs the distribution into a wheel in the folder out.
func (d *dist) write(tree, out string) (Wheel, error) {
	glibc, err := glibcVersion(tree)
	if err != nil {
		return Wheel{}, err
	}
	tag := d.tag(glibc)
	stem := strings.ReplaceAll(d.project(), "-", "_") + "-" + strings.ReplaceAll(d.version, "-", "_")
	w := wheelWriter{}
	w.zip = zip.NewWriter(&w.buf)
	root, err := os.OpenRoot(tree)
	if err != nil {
		return Wheel{}, err
	}
	defer root.Close()
	for _, file := range d.files {
		if err := w.addFile(root, distPackages+file, file); err != nil {
			return Wheel{}, err
		}
	}
	for _, lib := range d.libs {
		if err := w.addFile(root, lib, d.libFolder()+"/"+path.Base(lib)); err != nil {
			return Wheel{}, err
		}
	}
	info := stem + ".dist-info/"
	pure := strings.HasSuffix(tag, "-any")
	about := fmt.Sprintf("Wheel-Version: 1.0\nGenerator: slipway\nRoot-Is-Purelib: %v\nTag: %s\n", pure, tag)
	w.add(info+"METADATA", d.metadata)
	w.add(info+"WHEEL", []byte(about))
	if points, ok := d.extra["entry_points.txt"]; ok {
		w.add(info+"entry_points.txt", points)
	}
	if err := w.finish(info + "RECORD"); err != nil {
		return Wheel{}, err
	}
	return putWheel(out, stem+"-"+tag+".whl", w.buf.Bytes(), d.metadata)
}

var libcFile = regexp.MustCompile(`(?m)GNU C Library .* release version ([0-9]+\.[0-9]+)`)

// glibcVersion reads the version of the tree's C library, which its modules were compiled against.
func glibcVersion(tree string) (string, error) {
	found, err := filepath.Glob(filepath.Join(tree, "usr/lib/*-linux-gnu/libc.so.6"))
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no C library among the packages: %w", err)
	}
	raw, err := os.ReadFile(found[0])
	if err != nil {
		return "", err
	}
	m := libcFile.FindSubmatch(raw)
	if m == nil {
		return "", fmt.Errorf("%s does not say its version", filepath.Base(found[0]))
	}
	return string(m[1]), nil
}

// putWheel writes a wheel and its metadata into the folder out.
func putWheel(out, file string, content, metadata []byte) (Wheel, error) {
	if err := writeFile(filepath.Join(out, file), content); err != nil {
		return Wheel{}, err
	}
	if err := writeFile(filepath.Join(out, file+".metadata"), metadata); err != nil {
		return Wheel{}, err
	}
	sum, metaSum := sha256.Sum256(content), sha256.Sum256(metadata)
	return Wheel{
		Project: NormalizeProject(field(metadata, "Name")), Version: field(metadata, "Version"), File: file, Size: int64(len(content)),
		SHA256: hex.EncodeToString(sum[:]), MetadataSHA256: hex.EncodeToString(metaSum[:]),
		RequiresPython: field(metadata, "Requires-Python"),
	}, nil
}

// copyWheel takes over a wheel that Debian has as a wheel.
func copyWheel(file, out string) (Wheel, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return Wheel{}, err
	}
	name := filepath.Base(file)
	parts := strings.SplitN(name, "-", 3)
	if len(parts) != 3 {
		return Wheel{}, fmt.Errorf("not a wheel's name")
	}
	metadata, err := readZipped(file, parts[0]+"-"+parts[1]+".dist-info/METADATA")
	if err != nil {
		return Wheel{}, err
	}
	return putWheel(out, name, content, metadata)
}

func readZipped(archive, name string) ([]byte, error) {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	f, err := z.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// A wheelWriter writes the zip file of a wheel and its RECORD, without times, so that the same files give
// the same bytes.
type wheelWriter struct {
	buf    bytes.Buffer
	zip    *zip.Writer
	record bytes.Buffer
	err    error // the first
}

func (w *wheelWriter) addFile(root *os.Root, from, name string) error {
	content, err := root.ReadFile(from)
	if err != nil {
		return err
	}
	w.add(name, content)
	return w.err
}

func (w *wheelWriter) add(name string, content []byte) {
	w.write(name, content)
	sum := sha256.Sum256(content)
	fmt.Fprintf(&w.record, "%s,sha256=%s,%d\n", csvField(name), base64.RawURLEncoding.EncodeToString(sum[:]), len(content))
}

func (w *wheelWriter) write(name string, content []byte) {
	if w.err != nil {
		return
	}
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	h.SetMode(0o644)
	f, err := w.zip.CreateHeader(h)
	if err == nil {
		_, err = f.Write(content)
	}
	w.err = err
}

func (w *wheelWriter) finish(record string) error {
	fmt.Fprintf(&w.record, "%s,,\n", record)
	w.write(record, w.record.Bytes())
	if w.err != nil {
		return w.err
	}
	return w.zip.Close()
}

func csvField(s string) string {
	if strings.ContainsAny(s, `,"`) {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}
