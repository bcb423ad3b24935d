package assets

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// The committed assets are what the sources give, to the byte.
func TestNoDrift(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"src", "node_modules", "package.json", "tsconfig.json"} {
		from, err := filepath.Abs(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(from); err != nil {
			t.Fatalf("%v; run npm ci --ignore-scripts in web", err)
		}
		if err := os.Symlink(from, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := Build(dir, false); err != nil {
		t.Fatal(err)
	}
	want, got := read(t, filepath.Join("..", "static")), read(t, filepath.Join(dir, "static"))
	for name, b := range want {
		if got[name] != b {
			t.Errorf("static/%s is not what src gives; run go run ./cmd/dev gen", name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("static/%s is missing; run go run ./cmd/dev gen", name)
		}
	}
}

func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, p))
		out[p] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
