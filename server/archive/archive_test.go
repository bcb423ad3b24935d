package archive_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"slipway/server/archive"
	"slipway/server/play"
)

var limits = play.Limits{Files: 20, FileBytes: 1000, TotalBytes: 3000}

func revision(t testing.TB, files ...play.File) play.Revision {
	t.Helper()
	rev, err := play.NewRevision(files, play.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func file(path, content string) play.File {
	return play.File{Path: path, Mode: 0o644, Content: []byte(content)}
}

// awkward holds a file for everything that a format may lose.
func awkward(t testing.TB) play.Revision {
	return revision(t,
		file("Dockerfile", "FROM scratch\nCOPY . .\n"),
		file("no-newline", "no newline"),
		file("empty", ""),
		file("one-newline", "\n"),
		file("crlf.txt", "a\r\nb\r\n"),
		file("bom.txt", "\ufeffFROM x\n"),
		file("marker.txtar", "-- Dockerfile --\nFROM x\n"),
		file("marker-at-end", "x\n-- y --"),
		file("nul", "a\x00b"),
		file("latin1", "caf\xe9\n"),
		file(" leading and trailing ", "x\n"),
		file(`"quoted"`, "x\n"),
		file("looks [base64]", "plain\n"),
		file("a -- b", "x\n"),
		file("ünï/çödé.txt", "x\n"),
		file("page [executable, base64]", ""),
		play.File{Path: "bin/run", Mode: 0o755, Content: []byte("#!/bin/sh\n")},
		play.File{Path: "bin/elf", Mode: 0o755, Content: bytes.Repeat([]byte{0x7f, 'E', 0}, 200)},
	)
}

func TestRoundTrip(t *testing.T) {
	revisions := map[string]play.Revision{
		"awkward":    awkward(t),
		"one file":   revision(t, file("Dockerfile", "FROM x")),
		"one folder": revision(t, file("app/Dockerfile", "FROM x"), file("app/main.py", "")),
	}
	for name, rev := range revisions {
		for _, f := range archive.Formats {
			t.Run(name+"/"+string(f), func(t *testing.T) {
				var b bytes.Buffer
				if err := archive.Write(&b, f, rev); err != nil {
					t.Fatal(err)
				}
				var again bytes.Buffer
				archive.Write(&again, f, rev)
				if !bytes.Equal(b.Bytes(), again.Bytes()) {
					t.Error("the same revision gave two archives")
				}
				files, err := archive.Read(b.Bytes(), play.DefaultLimits())
				if err != nil {
					t.Fatal(err)
				}
				if got := revision(t, files...); got.ID != rev.ID {
					t.Errorf("got %q\nwant %q", got.Files, rev.Files)
				}
			})
		}
	}
}

func TestTxtarIsReadable(t *testing.T) {
	rev := revision(t, file("Dockerfile", "FROM x\n"), file("VERSION", "1"), play.File{Path: "run", Mode: 0o755, Content: []byte{0xff}})
	got := string(archive.FormatTxtar([]byte("hello\n"), rev.Files))
	want := "hello\n-- Dockerfile --\nFROM x\n-- VERSION [no final newline] --\n1\n-- run [executable, base64] --\n/w==\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

type entry struct {
	name string
	mode fs.FileMode
	kind byte // of a tar entry; 0 is a regular file
	text string
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: int64(e.mode.Perm()), Typeflag: e.kind, Size: int64(len(e.text))}
		if e.kind == tar.TypeSymlink || e.kind == tar.TypeLink {
			h.Linkname, h.Size = "/etc/passwd", 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			w.Write([]byte(e.text))
		}
	}
	w.Close()
	return b.Bytes()
}

func zipOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte(e.text))
	}
	w.Close()
	return b.Bytes()
}

func gz(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func paths(files []play.File) (out []string) {
	for _, f := range files {
		name := f.Path
		if f.Executable() {
			name += "*"
		}
		out = append(out, name)
	}
	return out
}

func TestUploadsOfOtherPrograms(t *testing.T) {
	tests := map[string]struct {
		data []byte
		want []string
	}{
		"one top folder goes": {
			tarOf(t, entry{name: "app-main/", kind: tar.TypeDir}, entry{name: "app-main/Dockerfile", text: "FROM x"}, entry{name: "app-main/src/a.py"}),
			[]string{"Dockerfile", "src/a.py"}},
		"tar c . keeps its top": {
			tarOf(t, entry{name: "./", kind: tar.TypeDir}, entry{name: "./src/", kind: tar.TypeDir}, entry{name: "./src/a.py"}),
			[]string{"src/a.py"}},
		"two top folders stay": {
			zipOf(t, entry{name: "a/x"}, entry{name: "b/y"}),
			[]string{"a/x", "b/y"}},
		"modes": {
			gz(tarOf(t, entry{name: "./run.sh", mode: 0o750}, entry{name: "./data", mode: 0o600})),
			[]string{"data", "run.sh*"}},
		"git archive": {
			tarOf(t, entry{name: "Dockerfile", text: "FROM x"}),
			[]string{"Dockerfile"}},
		"litter of macOS": {
			zipOf(t, entry{name: "app/Dockerfile", text: "FROM x"}, entry{name: "__MACOSX/app/._Dockerfile"}, entry{name: "app/.DS_Store"}),
			[]string{"Dockerfile"}},
		"txtar with CRLF": {
			[]byte("-- Dockerfile --\r\nFROM x\r\n-- a --\r\n"),
			[]string{"Dockerfile", "a"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			files, err := archive.Read(test.data, limits)
			if err != nil {
				t.Fatal(err)
			}
			if got := paths(files); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestHostileUploads(t *testing.T) {
	big := strings.Repeat("x", 1001)
	var many, empty []entry
	for range 21 {
		many = append(many, entry{name: "f" + play.Name([]byte{byte(len(many))}, 4)})
	}
	for range 1000 {
		empty = append(empty, entry{name: "d/" + play.Name([]byte{byte(len(empty) >> 8), byte(len(empty))}, 4) + "/", kind: tar.TypeDir})
	}
	whole := zipOf(t, entry{name: "Dockerfile", text: "FROM x"})
	tests := map[string]struct {
		data []byte
		kind play.Kind
		at   string
	}{
		"traversal in a tar":      {tarOf(t, entry{name: "../x"}), play.Invalid, ""},
		"hidden traversal":        {tarOf(t, entry{name: "./../x"}), play.Invalid, ""},
		"traversal in a zip":      {zipOf(t, entry{name: "a/../../x"}), play.Invalid, ""},
		"absolute":                {tarOf(t, entry{name: "/etc/passwd"}), play.Invalid, ""},
		"backslashes":             {zipOf(t, entry{name: `a\b`}), play.Invalid, ""},
		"symbolic link":           {tarOf(t, entry{name: "a", kind: tar.TypeSymlink}), play.Invalid, "a"},
		"hard link":               {tarOf(t, entry{name: "a", kind: tar.TypeLink}), play.Invalid, "a"},
		"device":                  {tarOf(t, entry{name: "a", kind: tar.TypeBlock}), play.Invalid, "a"},
		"pipe":                    {tarOf(t, entry{name: "a", kind: tar.TypeFifo}), play.Invalid, "a"},
		"symbolic link in a zip":  {zipOf(t, entry{name: "a", mode: fs.ModeSymlink | 0o777, text: "/etc"}), play.Invalid, "a"},
		"twice":                   {tarOf(t, entry{name: "a"}, entry{name: "a"}), play.Invalid, "a"},
		"case":                    {zipOf(t, entry{name: "a"}, entry{name: "A"}), play.Invalid, "A"},
		"a large file":            {zipOf(t, entry{name: "a", text: big}), play.Limited, "a"},
		"large together":          {tarOf(t, entry{name: "a", text: big[1:]}, entry{name: "b", text: big[1:]}, entry{name: "c", text: big[1:]}, entry{name: "d", text: "x"}), play.Limited, "d"},
		"many files":              {tarOf(t, many...), play.Limited, ""},
		"many folders":            {tarOf(t, empty...), play.Limited, ""},
		"a bomb":                  {gz(tarOf(t, entry{name: "a", text: strings.Repeat("\x00", 8<<20)})), play.Limited, "a"},
		"a bomb in skipped bytes": {gz(tarOf(t, entry{name: "._a", text: strings.Repeat("\x00", 8<<20)}, entry{name: "b"})), play.Limited, ""},
		"cut off":                 {whole[:len(whole)-5], play.Invalid, ""},
		"cut off gzip":            {gz(tarOf(t, entry{name: "Dockerfile"}))[:30], play.Invalid, ""},
		"empty":                   {nil, play.Invalid, ""},
		"empty zip":               {zipOf(t), play.Invalid, ""},
		"no archive":              {[]byte("FROM x\n"), play.Invalid, ""},
		"xz":                      {[]byte("\xfd7zXZ\x00"), play.Invalid, ""},
		"bad base64":              {[]byte("-- a [base64] --\n!!\n"), play.Invalid, "a"},
		"no name":                 {[]byte("-- \"\" --\nx\n"), play.Invalid, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			files, err := archive.Read(test.data, limits)
			var e *play.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %q and %v, want a play.Error", paths(files), err)
			}
			if e.Kind != test.kind || !strings.HasSuffix(e.Msg, ".") {
				t.Errorf("got %s: %s", e.Kind, e.Msg)
			}
			at := ""
			if e.At != nil {
				at = e.At.File
			}
			if at != test.at {
				t.Errorf("at %q, want %q (%s)", at, test.at, e.Msg)
			}
		})
	}
}

func TestRoundTripOfRandomFiles(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"-- ", " --", "\n", "\r", "a", "\"", "[base64]", " [", "]", "\x00", "\xff", ", ", "ä", " "}
	random := func(n int) string {
		var b strings.Builder
		for range rnd.IntN(n) {
			b.WriteString(pieces[rnd.IntN(len(pieces))])
		}
		return b.String()
	}
	for range 5000 {
		var files []play.File
		for range rnd.IntN(4) + 1 {
			f := play.File{Path: random(6), Mode: []fs.FileMode{0o644, 0o755}[rnd.IntN(2)], Content: []byte(random(12))}
			if play.CheckPath(f.Path) == nil {
				files = append(files, f)
			}
		}
		rev, err := play.NewRevision(files, limits)
		if err != nil {
			continue
		}
		text := archive.FormatTxtar(nil, rev.Files)
		_, got, err := archive.ParseTxtar(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		back, err := play.NewRevision(got, limits)
		if err != nil || back.ID != rev.ID {
			t.Fatalf("%q came back as %q (%v) from\n%q", rev.Files, got, err, text)
		}
	}
}

// FuzzRead: whatever the bytes are, Read gives files that pass every check and come back from every format.
func FuzzRead(f *testing.F) {
	f.Add(tarOf(f, entry{name: "Dockerfile", text: "FROM x"}))
	f.Add(zipOf(f, entry{name: "a/Dockerfile", text: "FROM x", mode: 0o755}))
	f.Add(gz(tarOf(f, entry{name: "./Dockerfile", text: "FROM x"})))
	f.Add(archive.FormatTxtar([]byte("x"), awkward(f).Files))
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := archive.Read(data, limits)
		if err != nil {
			var e *play.Error
			if !errors.As(err, &e) {
				t.Fatalf("not a play.Error: %v", err)
			}
			return
		}
		rev, err := play.NewRevision(files, limits)
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range archive.Formats {
			var b bytes.Buffer
			if err := archive.Write(&b, format, rev); err != nil {
				t.Fatal(err)
			}
			again, err := archive.Read(b.Bytes(), limits)
			if err != nil {
				t.Fatalf("%s: %v", format, err)
			}
			back, err := play.NewRevision(again, limits)
			if err != nil || back.ID != rev.ID {
				t.Fatalf("%s: %q came back as %q (%v)", format, rev.Files, again, err)
			}
		}
	})
}
