package assets

import (
	"os"
	"path/filepath"
	"testing"
)

// The committed assets are what the sources give, to the byte. It needs what npm fetches.
func TestNoDrift(t *testing.T) {
	want, err := bundle("..", false)
	if err != nil {
		t.Fatal(err)
	}
	const mend = "run go run ./cmd/dev gen"
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join("..", "static", name))
		if err != nil || string(got) != string(content) {
			t.Errorf("static/%s is not what src gives; %s", name, mend)
		}
	}
	files, err := os.ReadDir(filepath.Join("..", "static"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, ok := want[f.Name()]; !ok {
			t.Errorf("static/%s comes from nothing in src; %s", f.Name(), mend)
		}
	}
}
