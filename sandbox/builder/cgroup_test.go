package builder

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The machine has one version of cgroups; plain folders stand for the other.
func TestCgroupSettings(t *testing.T) {
	limits := Limits{Memory: 1 << 30, PIDs: 512, CPUs: 1.5}
	for name, test := range map[string]struct {
		v2   bool
		want map[string]string
	}{
		"v1": {false, map[string]string{
			"memory/g/memory.limit_in_bytes":       "1073741824",
			"memory/g/memory.memsw.limit_in_bytes": "1073741824",
			"pids/g/pids.max":                      "512",
			"cpu/g/cpu.cfs_quota_us":               "150000",
		}},
		"v2": {true, map[string]string{
			"cgroup.subtree_control": "+cpu", // the last one written
			"g/memory.max":           "1073741824",
			"g/memory.swap.max":      "0",
			"g/pids.max":             "512",
			"g/cpu.max":              "150000 100000",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			h := hierarchy{v2: test.v2, dirs: map[string]string{}}
			for _, c := range []string{"memory", "pids", "cpu"} {
				h.dirs[c] = root
				if !test.v2 {
					h.dirs[c] = filepath.Join(root, c)
				}
				if err := os.MkdirAll(h.dirs[c], 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if missing := h.missing(); len(missing) > 0 {
				t.Errorf("missing: %v", missing)
			}
			if _, err := h.newCgroup("g", limits); err != nil {
				t.Fatal(err)
			}
			if got := read(t, root); !maps.Equal(got, test.want) {
				t.Errorf("written: %v, want %v", got, test.want)
			}
		})
	}
}

func TestMissingControllers(t *testing.T) {
	root := t.TempDir()
	h := hierarchy{dirs: map[string]string{"pids": root}}
	if got := h.missing(); !slices.Equal(got, []string{"memory", "cpu"}) {
		t.Errorf("missing: %v", got)
	}
	if _, err := h.newCgroup("g", Limits{Memory: 1, PIDs: 2, CPUs: 3}); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, root), map[string]string{"g/pids.max": "2"}; !maps.Equal(got, want) {
		t.Errorf("written: %v, want %v", got, want)
	}
}

func TestCounters(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"memory.current": "100\n", "memory.peak": "200\n", "memory.events": "low 0\noom 4\noom_kill 3\n",
		"pids.current": "7\n", "pids.events": "max 5\n", "cpu.stat": "usage_usec 9\nnr_throttled 6\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	g := cgroup{v2: true, dirs: map[string]string{"memory": root, "pids": root, "cpu": root}}
	want := Usage{Memory: 100, MemoryPeak: 200, OOMKills: 3, PIDs: 7, PIDsRefused: 5, Throttled: 6}
	if got := g.counters(); got != want {
		t.Errorf("counters: %+v, want %+v", got, want)
	}
	if got := g.folders(); !slices.Equal(got, []string{root}) {
		t.Errorf("folders: %v", got)
	}
}

// read returns all files below root by path.
func read(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, root+"/")] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
