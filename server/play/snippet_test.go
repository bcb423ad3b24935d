package play

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestCheckPath(t *testing.T) {
	for _, good := range []string{"Dockerfile", "a/b/c.txt", ".dockerignore", "näme.txt", "with space", "..a", "a..b/c"} {
		if err := CheckPath(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", ".", "..", "../x", "/etc/passwd", "a//b", "a/", "./a", "a/../b", `a\b`, "a\x00b", "a\nb",
		"\xff", "a\u202eb", strings.Repeat("x", 256), strings.Repeat("d/", 16) + "f"} {
		if err := CheckPath(bad); KindOf(err) != Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestTitle(t *testing.T) {
	for given, want := range map[string]string{
		"": "", "  My  snippet\n": "My snippet", "a\u202eb\x00c\u2028d": "a b c d", "\xffx": "x", "Öl 漢": "Öl 漢",
		strings.Repeat("é", 200): strings.Repeat("é", 120),
	} {
		if got := Title(given); got != want {
			t.Errorf("%q became %q, want %q", given, got, want)
		}
	}
}

func TestRevisionRefuses(t *testing.T) {
	limits := DefaultLimits()
	limits.Files, limits.FileBytes, limits.TotalBytes = 3, 10, 15
	file := func(p string, n int) File { return File{Path: p, Content: make([]byte, n)} }
	for _, c := range []struct {
		name  string
		kind  Kind
		files []File
	}{
		{"too many", Limited, []File{file("a", 0), file("b", 0), file("c", 0), file("d", 0)}},
		{"too large", Limited, []File{file("a", 11)}},
		{"too large together", Limited, []File{file("a", 10), file("b", 10)}},
		{"twice", Invalid, []File{file("a", 0), file("a", 0)}},
		{"case only", Invalid, []File{file("Readme", 0), file("README", 0)}},
		{"file and folder", Invalid, []File{file("a", 0), file("a/b", 0)}},
		{"file and deep folder", Invalid, []File{file("A", 0), file("a/b/c", 0)}},
		{"bad path", Invalid, []File{file("../a", 0)}},
	} {
		if _, err := NewRevision(c.files, limits); KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// The id is a function of paths, modes and contents, whatever their order.
func TestRevisionID(t *testing.T) {
	files := []File{{"Dockerfile", 0o644, []byte("FROM a")}, {"b", 0o755, nil}, {"c/d", 0o600, []byte{0, 255}}}
	want, err := NewRevision(files, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		shuffled := slices.Clone(files)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got, _ := NewRevision(shuffled, DefaultLimits()); got.ID != want.ID {
			t.Fatal("the id depends on the order")
		}
	}
	for i, change := range []func([]File){
		func(f []File) { f[0].Path = "dockerfile" },
		func(f []File) { f[0].Mode = 0o755 },
		func(f []File) { f[2].Content = []byte{0, 254} },
	} {
		changed := slices.Clone(files)
		change(changed)
		if got, err := NewRevision(changed, DefaultLimits()); err != nil || got.ID == want.ID {
			t.Errorf("change %d left the id as it was (%v)", i, err)
		}
	}
	if !IsName(want.ID) || len(want.ID) != 22 {
		t.Errorf("id %q", want.ID)
	}
	if f, ok := want.File("c/d"); !ok || !bytes.Equal(f.Content, []byte{0, 255}) {
		t.Errorf("File: %v %v", f, ok)
	}
	if _, ok := want.File("c"); ok {
		t.Error("a folder was found as a file")
	}
}

func TestName(t *testing.T) {
	if got := Name(nil, 4); got != "0000" {
		t.Errorf("Name(nil) = %q", got)
	}
	if a, b := Name([]byte{1, 0}, 10), Name([]byte{0, 1}, 10); a == b || !IsName(a) {
		t.Errorf("%q %q", a, b)
	}
	for _, s := range []string{"", "short", "UPPERCASE1", "with-dash1", "aeiouaeiou"} {
		if IsName(s) {
			t.Errorf("%q passes for an id", s)
		}
	}
}

func TestBuildRequestRefuses(t *testing.T) {
	for name, r := range map[string]BuildRequest{
		"reserved":     {BuildArgs: map[string]string{"BUILDKIT_SYNTAX": "x"}},
		"proxy":        {BuildArgs: map[string]string{"http_proxy": "x"}},
		"epoch":        {BuildArgs: map[string]string{"SOURCE_DATE_EPOCH": "0"}},
		"bad name":     {BuildArgs: map[string]string{"A B": "x"}},
		"NUL":          {BuildArgs: map[string]string{"A": "x\x00"}},
		"network":      {Network: "host"},
		"platform":     {Platform: "linux/riscv64"},
		"path":         {Dockerfile: "../Dockerfile"},
		"long target":  {Target: strings.Repeat("t", 129)},
		"options-like": {BuildArgs: map[string]string{"--x": "y"}},
	} {
		if err := r.Check(); KindOf(err) != Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	ok := BuildRequest{Dockerfile: "docker/Dockerfile.dev", Target: "run", BuildArgs: map[string]string{"VERSION": "1"}, Network: NetworkOff, Platform: "linux/amd64"}
	if err := ok.Check(); err != nil {
		t.Error(err)
	}
}
