package builder

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// cpuPeriod is the kernel's default scheduling period, in microseconds.
const cpuPeriod = 100_000

// serverLeaf is the child cgroup for the server's own processes under version 2,
// where a cgroup with bounded children may hold no process itself.
const serverLeaf = "slipway-server"

// controllers are those that bound a builder.
func controllers() []string { return []string{"memory", "pids", "cpu"} }

// A cgroup bounds one builder. Under cgroup v2 all controllers share one
// folder; under v1 each has its own.
type cgroup struct {
	v2   bool
	dirs map[string]string // controller → folder; only those that the machine has
}

// A hierarchy says where this process sits, so that a builder's cgroup goes
// below it and inside whatever bounds the server already has.
type hierarchy struct {
	v2   bool
	dirs map[string]string // controller → this process's own folder
}

func findHierarchy() (hierarchy, error) {
	paths, err := ownCgroups()
	if err != nil {
		return hierarchy{}, err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return hierarchy{}, err
	}
	h := hierarchy{v2: unified(), dirs: map[string]string{}}
	for _, m := range mounts {
		if h.v2 {
			own := below(m, paths[""])
			if filepath.Base(own) == serverLeaf {
				own = filepath.Dir(own) // where an earlier pool moved us
			}
			have, _ := os.ReadFile(filepath.Join(own, "cgroup.controllers"))
			for _, c := range strings.Fields(string(have)) {
				h.dirs[c] = own
			}
			continue
		}
		for _, c := range strings.Split(m.VFSOptions, ",") {
			if path, ok := paths[c]; ok && m.FSType == "cgroup" && c != "" {
				h.dirs[c] = below(m, path)
			}
		}
	}
	return h, nil
}

// below joins a cgroup's path to where its hierarchy is mounted, which in a
// container may show only a part of it.
func below(m *mountinfo.Info, path string) string {
	if rel, err := filepath.Rel(m.Root, path); err == nil && filepath.IsLocal(rel) {
		return filepath.Join(m.Mountpoint, rel)
	}
	return m.Mountpoint
}

// ownCgroups reads this process's cgroup by controller; "" is that of v2.
func ownCgroups() (map[string]string, error) {
	f, err := os.Open("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	paths := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		parts := strings.SplitN(lines.Text(), ":", 3) // number:controllers:path
		if len(parts) != 3 {
			continue
		}
		for _, c := range strings.Split(parts[1], ",") {
			paths[c] = parts[2]
		}
	}
	return paths, lines.Err()
}

// missing lists the controllers that this machine doesn't give us.
func (h hierarchy) missing() []string {
	return slices.DeleteFunc(controllers(), func(c string) bool { return h.dirs[c] != "" })
}

// newCgroup makes a cgroup with the limits set. It fails only where the machine
// has a controller and refuses to use it.
func (h hierarchy) newCgroup(name string, limits Limits) (*cgroup, error) {
	g := &cgroup{v2: h.v2, dirs: map[string]string{}}
	if h.v2 {
		if err := h.delegate(); err != nil {
			return nil, err
		}
	}
	wanted := controllers()
	if !h.v2 {
		// It bounds nothing here, but runc runs no container without one in sight.
		wanted = append(wanted, "devices")
	}
	for _, c := range wanted {
		own, ok := h.dirs[c]
		if !ok {
			continue
		}
		dir := filepath.Join(own, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, errors.Join(err, g.remove(context.Background()))
		}
		g.dirs[c] = dir
	}
	for _, s := range g.settings(limits) {
		err := os.WriteFile(s.path, []byte(s.value), 0)
		if err != nil && !(s.optional && errors.Is(err, os.ErrNotExist)) {
			return nil, errors.Join(err, g.remove(context.Background()))
		}
	}
	return g, nil
}

// delegate turns the controllers on for children of this process's cgroup, and
// moves the processes in it into a leaf if the kernel insists.
func (h hierarchy) delegate() error {
	for _, c := range controllers() {
		own, ok := h.dirs[c]
		if !ok {
			continue
		}
		control := filepath.Join(own, "cgroup.subtree_control")
		err := os.WriteFile(control, []byte("+"+c), 0)
		if errors.Is(err, unix.EBUSY) {
			if err := moveAll(own, filepath.Join(own, serverLeaf)); err != nil {
				return err
			}
			err = os.WriteFile(control, []byte("+"+c), 0)
		}
		if err != nil {
			return fmt.Errorf("turn on the cgroup controller %s: %w", c, err)
		}
	}
	return nil
}

func moveAll(from, to string) error {
	if err := os.Mkdir(to, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	pids, err := os.ReadFile(filepath.Join(from, "cgroup.procs"))
	if err != nil {
		return err
	}
	for _, pid := range strings.Fields(string(pids)) {
		if err := os.WriteFile(filepath.Join(to, "cgroup.procs"), []byte(pid), 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

type setting struct {
	path, value string
	optional    bool // the kernel may be built without it
}

func (g *cgroup) settings(l Limits) []setting {
	memory, pids := strconv.FormatInt(l.Memory, 10), strconv.FormatInt(l.PIDs, 10)
	quota := strconv.FormatInt(int64(math.Ceil(l.CPUs*cpuPeriod)), 10)
	if g.v2 {
		quota += " " + strconv.Itoa(cpuPeriod)
	}
	var all []setting
	add := func(controller, v1, v2, value string, optional bool) {
		name := v1
		if g.v2 {
			name = v2
		}
		if dir, ok := g.dirs[controller]; ok {
			all = append(all, setting{filepath.Join(dir, name), value, optional})
		}
	}
	add("memory", "memory.limit_in_bytes", "memory.max", memory, false)
	if g.v2 {
		add("memory", "", "memory.swap.max", "0", true)
	} else {
		add("memory", "memory.memsw.limit_in_bytes", "", memory, true) // memory and swap together
	}
	add("pids", "pids.max", "pids.max", pids, false)
	add("cpu", "cpu.cfs_quota_us", "cpu.max", quota, true)
	return all
}

// add moves a process, and so all that it starts, into the cgroup.
func (g *cgroup) add(pid int) error {
	for _, dir := range g.folders() {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			return fmt.Errorf("move process %d into its cgroup: %w", pid, err)
		}
	}
	return nil
}

func (g *cgroup) folders() []string {
	var dirs []string
	for _, dir := range g.dirs {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// remove removes the folders, which the kernel allows a moment after the last
// process is gone.
func (g *cgroup) remove(ctx context.Context) error {
	return removeCgroups(ctx, g.folders())
}

func removeCgroups(ctx context.Context, dirs []string) error {
	for _, dir := range dirs {
		for {
			err := unix.Rmdir(dir)
			if err == nil || err == unix.ENOENT {
				break
			}
			if err != unix.EBUSY || ctx.Err() != nil {
				return &os.PathError{Op: "rmdir", Path: dir, Err: err}
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return nil
}

// counters reads what the cgroup has counted; what the machine doesn't count
// stays zero.
func (g *cgroup) counters() Usage {
	var u Usage
	if dir, ok := g.dirs["memory"]; ok {
		if g.v2 {
			u.Memory = readInt(dir, "memory.current")
			u.MemoryPeak = readInt(dir, "memory.peak")
			u.OOMKills = readKey(dir, "memory.events", "oom_kill")
		} else {
			u.Memory = readInt(dir, "memory.usage_in_bytes")
			u.MemoryPeak = readInt(dir, "memory.max_usage_in_bytes")
			u.OOMKills = readKey(dir, "memory.oom_control", "oom_kill")
		}
	}
	if dir, ok := g.dirs["pids"]; ok {
		u.PIDs = readInt(dir, "pids.current")
		u.PIDsPeak = readInt(dir, "pids.peak")
		u.PIDsRefused = readKey(dir, "pids.events", "max")
	}
	if dir, ok := g.dirs["cpu"]; ok {
		u.Throttled = readKey(dir, "cpu.stat", "nr_throttled")
	}
	return u
}

func readInt(dir, name string) int64 {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return n
}

// readKey reads a number from a file of "key value" lines.
func readKey(dir, name, key string) int64 {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] == key {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			return n
		}
	}
	return 0
}
