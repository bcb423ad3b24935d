package catalog

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// tree writes an extracted system and the lists of what its packages brought. A content that begins with
// "-> " is a link.
func tree(t *testing.T, packages map[string]map[string]string) (root, lists string) {
	t.Helper()
	root, lists = t.TempDir(), t.TempDir()
	for name, files := range packages {
		var list strings.Builder
		for path, content := range files {
			fmt.Fprintf(&list, "./%s\n", path)
			full := filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
				t.Fatal(err)
			}
			var err error
			if to, ok := strings.CutPrefix(content, "-> "); ok {
				err = os.Symlink(to, full)
			} else {
				err = os.WriteFile(full, []byte(content), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(lists, name), []byte(list.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root, lists
}

func TestReadDists(t *testing.T) {
	const at = distPackages
	root, lists := tree(t, map[string]map[string]string{
		"python3-new": {
			at + "new/__init__.py":                          "x = 1",
			at + "new/data":                                 "-> ../../../../share/new-data",
			at + "new/m.cpython-314-x86_64-linux-gnu.so":    "elf",
			at + "new/m.cpython-315-x86_64-linux-gnu.so":    "elf",
			at + "new/stable.abi3.so":                       "elf",
			at + "new/lost.py":                              "-> nowhere",
			at + "new/out.py":                               "-> ../../../../../../../../../etc/passwd",
			at + "new-1.0.dist-info/METADATA":               "Metadata-Version: 2.1\nName: New.Thing\nVersion: 1.0\n\nText\n",
			at + "new-1.0.dist-info/entry_points.txt":       "[console_scripts]\nnew = new:x\n",
			at + "new-1.0.dist-info/INSTALLER":              "debian",
			"usr/bin/new":                                   "#!/bin/sh",
			"usr/lib/python3.14/dist-packages/unrelated.py": "",
			at + "new/__pycache__/__init__.cpython-314.pyc": "",
		},
		"new-data":    {"usr/share/new-data/a.txt": "a", "usr/share/new-data/b/c.txt": "c"},
		"python3-old": {at + "old.py": "y = 2", at + "old-2.egg-info/PKG-INFO": "Name: old\nVersion: 2\n\nText\n", at + "old-2.egg-info/requires.txt": "new\n"},
		"python3-one": {at + "one.py": "", at + "one-3.egg-info": "Name: one\nVersion: 3\n"},
		"libc6":       {"usr/lib/x86_64-linux-gnu/libc.so.6": "GNU C Library (Debian GLIBC 2.43-7) stable release version 2.43.\n"},
	})
	dists, err := readDists(root, lists)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(dists, func(a, b *dist) int { return strings.Compare(a.name, b.name) })
	if len(dists) != 3 {
		t.Fatalf("%d distributions", len(dists))
	}
	d := dists[0]
	want := []string{"new/__init__.py", "new/data/a.txt", "new/data/b/c.txt", "new/m.cpython-314-x86_64-linux-gnu.so", "new/stable.abi3.so"}
	if d.project() != "new-thing" || d.version != "1.0" || !slices.Equal(d.files, want) {
		t.Errorf("%s %s has %q", d.name, d.version, d.files)
	}
	if got := string(dists[1].metadata); got != "Name: old\nVersion: 2\nRequires-Dist: new\n\nText\n" {
		t.Errorf("the egg's metadata is %q", got)
	}

	out := t.TempDir()
	w, err := d.write(root, out)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(w.File, "new_thing-1.0-cp314-cp314-manylinux_2_43_") || w.Project != "new-thing" || w.Version != "1.0" {
		t.Errorf("%+v", w)
	}
	if w, err := dists[1].write(root, out); err != nil || w.File != "old-2-py3-none-any.whl" {
		t.Errorf("%+v %v", w, err)
	}
	files := unzip(t, filepath.Join(out, w.File))
	if files["new_thing-1.0.dist-info/METADATA"] != string(d.metadata) || !strings.Contains(files["new_thing-1.0.dist-info/entry_points.txt"], "new = new:x") ||
		!strings.Contains(files["new_thing-1.0.dist-info/WHEEL"], "Root-Is-Purelib: false\n") || files["new/data/a.txt"] != "a" {
		t.Errorf("the wheel holds %v", files)
	}
	if metadata, err := os.ReadFile(filepath.Join(out, w.File+".metadata")); err != nil || string(metadata) != string(d.metadata) {
		t.Errorf("metadata beside it: %v", err)
	}
	record := files["new_thing-1.0.dist-info/RECORD"]
	for name, content := range files {
		sum := sha256.Sum256([]byte(content))
		line := fmt.Sprintf("%s,sha256=%s,%d\n", name, base64.RawURLEncoding.EncodeToString(sum[:]), len(content))
		if strings.HasSuffix(name, "/RECORD") {
			line = name + ",,\n"
		}
		if !strings.Contains(record, line) {
			t.Errorf("RECORD lacks %q", line)
		}
	}
	again, err := d.write(root, t.TempDir())
	if err != nil || again.SHA256 != w.SHA256 {
		t.Errorf("the same files gave another wheel: %v", err)
	}
}

func unzip(t *testing.T, path string) map[string]string {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := map[string]string{}
	for _, f := range z.File {
		content, err := readZipped(path, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(content)
	}
	return files
}

func TestEggRequires(t *testing.T) {
	got := string(eggRequires("a>=1\n\n[:python_version < '3.9']\nb\n\n[extra]\nc\n\n[test:sys_platform == 'win32']\nd[x]>2\n"))
	want := `Requires-Dist: a>=1
Requires-Dist: b; (python_version < '3.9')
Provides-Extra: extra
Requires-Dist: c; extra == "extra"
Provides-Extra: test
Requires-Dist: d[x]>2; (sys_platform == 'win32') and extra == "test"
`
	if got != want {
		t.Errorf("got %s", got)
	}
}

func TestRelax(t *testing.T) {
	have := &dist{name: "Http_Tools", version: "0.1.1", metadata: []byte("Name: Http_Tools\n\n")}
	d := &dist{name: "d", version: "1", metadata: []byte(`Name: d
Requires-Dist: http-tools>=0.8.0; extra == "standard"
Requires-Dist: HTTP.Tools[fast] (<0.1,>0.0.1)
Requires-Dist: http-tools>=0.1
Requires-Dist: http-tools~=0.1.0; python_version < "4"
Requires-Dist: elsewhere>=99
Requires-Dist: http-tools

Requires-Dist: http-tools>=9 is said in the description
`)}
	relaxed := relax([]*dist{have, d})
	want := `Name: d
Requires-Dist: http-tools; extra == "standard"
Requires-Dist: HTTP.Tools[fast]
Requires-Dist: http-tools>=0.1
Requires-Dist: http-tools~=0.1.0; python_version < "4"
Requires-Dist: elsewhere>=99
Requires-Dist: http-tools

Requires-Dist: http-tools>=9 is said in the description
`
	if string(d.metadata) != want || len(relaxed) != 2 || !strings.Contains(relaxed[0], "d 1 wants http-tools>=0.8.0; here is 0.1.1") {
		t.Errorf("%q %s", relaxed, d.metadata)
	}
}

func TestNormalizeProject(t *testing.T) {
	for in, want := range map[string]string{"Flask": "flask", "ruamel.yaml": "ruamel-yaml", "a__b--c..d": "a-b-c-d"} {
		if got := NormalizeProject(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

// rootTar is a root filesystem as mmdebstrap leaves it. Later is when things were installed.
func rootTar(t *testing.T, later time.Time) string {
	t.Helper()
	packaged := time.Unix(1_700_000_000, 0)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h tar.Header, content string) {
		h.Size, h.Uname, h.Gname = int64(len(content)), "root", "root"
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, content)
	}
	file := func(name string, at time.Time, content string) {
		add(tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, ModTime: at}, content)
	}
	add(tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: later}, "")
	file("./.packages", later, "a=1-1\nlibb=2:3\n")
	file("./usr/bin/a", packaged, "a")
	add(tar.Header{Name: "./usr/bin/b", Linkname: "./usr/bin/a", Typeflag: tar.TypeLink, ModTime: packaged}, "")
	add(tar.Header{Name: "./usr/bin/ping", Typeflag: tar.TypeReg, Mode: 0o755, ModTime: packaged, PAXRecords: map[string]string{
		"SCHILY.xattr.security.capability": "\x01\x00", "SCHILY.xattr.user.origin": "machine"}}, "p")
	file("./etc/made-by-hook", later, "x")
	for _, gone := range []string{
		"etc/hostname", "etc/resolv.conf", "etc/machine-id", "etc/passwd-", "etc/shadow-", "dev/null", "run/lock", "tmp/x", "var/log/dpkg.log",
		"var/log/apt/history.log", "var/cache/apt/pkgcache.bin", "var/cache/ldconfig/aux-cache", "var/lib/apt/lists/x_InRelease", "var/lib/dpkg/status-old",
		"var/lib/dpkg/lock", "var/cache/debconf/config.dat-old", "usr/lib/python3/x/__pycache__/x.pyc", "usr/lib/python3/y.pyc",
	} {
		file("./"+gone, later, "of "+later.String())
	}
	add(tar.Header{Name: "./var/log/nginx/access.log", Linkname: "/dev/stdout", Typeflag: tar.TypeSymlink, ModTime: later}, "")
	add(tar.Header{Name: "./var/lib/apt/lists/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: later}, "")
	file("./var/lib/dpkg/status", later, "Package: a\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "root.tar")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLayer(t *testing.T) {
	var layers [][]byte
	for _, later := range []time.Time{time.Unix(1_800_000_000, 5), time.Unix(1_900_000_000, 7)} {
		r, err := readRoot(rootTar(t, later), "", later.Add(-time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if r.newest.Unix() != 1_700_000_000 || r.packages["libb"] != "2:3" {
			t.Errorf("read %+v", r)
		}
		var b bytes.Buffer
		if err := r.layer(&b); err != nil {
			t.Fatal(err)
		}
		layers = append(layers, b.Bytes())
	}
	if !bytes.Equal(layers[0], layers[1]) {
		t.Error("the layer depends on when it was made")
	}
	var names []string
	in := tar.NewReader(bytes.NewReader(layers[0]))
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if h.Uname != "" || h.ModTime.Unix() > 1_700_000_000 {
			t.Errorf("%+v", h)
		}
		if h.Name == "usr/bin/b" && h.Linkname != "usr/bin/a" {
			t.Errorf("a hard link leads to %s", h.Linkname)
		}
		if h.Name == "usr/bin/ping" && (h.PAXRecords["SCHILY.xattr.security.capability"] == "" || h.PAXRecords["SCHILY.xattr.user.origin"] != "") {
			t.Errorf("its attributes are %v", h.PAXRecords)
		}
	}
	want := []string{"usr/bin/a", "usr/bin/b", "usr/bin/ping", "etc/made-by-hook", "var/log/nginx/access.log", "var/lib/apt/lists/", "var/lib/dpkg/status"}
	if !slices.Equal(names, want) {
		t.Errorf("the layer holds %q", names)
	}
	if _, err := readRoot(rootTar(t, time.Now()), bareRoot, time.Now()); err == nil {
		t.Error("a root without a list of packages")
	}
}
