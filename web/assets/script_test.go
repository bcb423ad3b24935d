package assets

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
)

// The script's own tests pass in Node.
func TestScript(t *testing.T) {
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := filepath.Glob(filepath.Join(dir, "src", "test", "*.test.ts"))
	if err != nil || len(tests) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	out := t.TempDir()
	result := api.Build(api.BuildOptions{
		EntryPoints: tests, AbsWorkingDir: dir, Outdir: out, OutExtension: map[string]string{".js": ".mjs"},
		Bundle: true, Write: true, Platform: api.PlatformNode, Format: api.FormatESModule, Sourcemap: api.SourceMapInline,
	})
	if len(result.Errors) > 0 {
		t.Fatal(join(result.Errors))
	}
	built, err := filepath.Glob(filepath.Join(out, "*.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	run(t, dir, "node", append([]string{"--enable-source-maps", "--test"}, built...)...)
}

// The types hold, strictly.
func TestTypes(t *testing.T) {
	run(t, "..", filepath.Join("node_modules", ".bin", "tsc"), "--noEmit", "-p", ".")
}

func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}
