package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const (
	oomFirst = 1000    // oom_score_adj: a step dies before an agent and the daemon
	openMax  = 1 << 20 // file descriptors; what container engines give
)

// prepareBundle rewrites config.json of a bundle. It returns what to take out of
// the root when the container has ended, and reports true when the container was
// only there to teach us the proxy's certificate and is done.
func (s settings) prepareBundle(bundle string) (added *addition, done bool, err error) {
	path := filepath.Join(bundle, "config.json")
	var spec specs.Spec
	if err := readJSON(path, &spec); err != nil {
		return nil, false, err
	}
	if spec.Process == nil || spec.Linux == nil || spec.Root == nil {
		return nil, false, errors.New("the specification lacks process, linux or root")
	}
	if err := s.refuse(&spec); err != nil {
		return nil, false, err
	}
	rootfs := spec.Root.Path
	if !filepath.IsAbs(rootfs) {
		rootfs = filepath.Join(bundle, rootfs)
	}
	if added, done, err = s.trustProxy(&spec, rootfs); err != nil || done {
		return nil, done, err
	}
	s.restrictProcess(spec.Process)
	spec.Process.OOMScoreAdj = new(int)
	*spec.Process.OOMScoreAdj = oomFirst
	spec.Mounts = slices.DeleteFunc(spec.Mounts, func(m specs.Mount) bool { return m.Destination == traceSocket })
	for i := range spec.Mounts {
		s.clampTmpfs(&spec.Mounts[i])
	}
	// The builder's own cgroup bounds all of it. It may make none below, and
	// runc starts nothing that asks for one.
	spec.Linux.CgroupsPath, spec.Linux.Resources = "", nil
	spec.Linux.MaskedPaths = append(spec.Linux.MaskedPaths, maskedPaths()...)
	return added, false, writeJSON(path, &spec)
}

// prepareProcess rewrites the description of a further process of a container.
func (s settings) prepareProcess(path string) error {
	var p specs.Process
	if err := readJSON(path, &p); err != nil {
		return err
	}
	s.restrictProcess(&p)
	return writeJSON(path, &p)
}

// refuse says no to a container that would share what is the builder's. BuildKit
// asks for none of this unless a build got an entitlement that we never give.
func (s settings) refuse(spec *specs.Spec) error {
	own := map[specs.LinuxNamespaceType]bool{}
	for _, n := range spec.Linux.Namespaces {
		own[n.Type] = true
		if n.Path != "" && (n.Type != specs.NetworkNamespace || !within(n.Path, s.state)) {
			return fmt.Errorf("denied: a container in the %s namespace %s", n.Type, n.Path)
		}
	}
	for _, t := range []specs.LinuxNamespaceType{specs.PIDNamespace, specs.MountNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.NetworkNamespace} {
		if !own[t] {
			return fmt.Errorf("denied: a container without a %s namespace of its own", t)
		}
	}
	if len(spec.Linux.Devices) > 0 {
		return fmt.Errorf("denied: a container with the device %s", spec.Linux.Devices[0].Path)
	}
	for _, m := range spec.Mounts {
		if isBind(m) && m.Destination != traceSocket && !within(m.Source, s.state) && !within(m.Source, os.TempDir()) {
			return fmt.Errorf("denied: a container with the builder's %s at %s", m.Source, m.Destination)
		}
	}
	return nil
}

func isBind(m specs.Mount) bool {
	return m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
}

// within reports whether path is below dir.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// restrictProcess takes away capabilities that no package manager needs, sets
// limits that BuildKit leaves open, and hides the daemon's trace collector.
func (s settings) restrictProcess(p *specs.Process) {
	if c := p.Capabilities; c != nil {
		for _, set := range []*[]string{&c.Bounding, &c.Effective, &c.Inheritable, &c.Permitted, &c.Ambient} {
			*set = slices.DeleteFunc(*set, func(name string) bool {
				return name == "CAP_NET_RAW" || name == "CAP_MKNOD" || name == "CAP_AUDIT_WRITE"
			})
		}
	}
	p.Env = slices.DeleteFunc(p.Env, isTrace)
	// In a user namespace the bound on processes holds for its root too. It
	// counts those of the daemon, but doesn't bind the daemon: some are left
	// for it when a step has taken all it may.
	limits := []specs.POSIXRlimit{
		{Type: "RLIMIT_NPROC", Soft: s.processes, Hard: s.processes},
		{Type: "RLIMIT_NOFILE", Soft: openMax, Hard: openMax},
		{Type: "RLIMIT_CORE"},
	}
	for _, l := range limits {
		if !slices.ContainsFunc(p.Rlimits, func(have specs.POSIXRlimit) bool { return have.Type == l.Type }) {
			p.Rlimits = append(p.Rlimits, clampLimit(l))
		}
	}
}

// clampLimit keeps a limit within our own, which an unprivileged process cannot
// raise.
func clampLimit(l specs.POSIXRlimit) specs.POSIXRlimit {
	which := map[string]int{"RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_CORE": unix.RLIMIT_CORE}
	var own unix.Rlimit
	if err := unix.Getrlimit(which[l.Type], &own); err == nil {
		l.Hard = min(l.Hard, own.Max)
		l.Soft = min(l.Soft, l.Hard)
	}
	return l
}

// clampTmpfs bounds a tmpfs, which by default may take half of the machine's
// memory.
func (s settings) clampTmpfs(m *specs.Mount) {
	if m.Type != "tmpfs" {
		return
	}
	size := s.tmpfs
	m.Options = slices.DeleteFunc(m.Options, func(o string) bool {
		value, ok := strings.CutPrefix(o, "size=")
		if ok {
			if n, err := parseSize(value); err == nil {
				size = min(size, n)
			}
		}
		return ok
	})
	m.Options = append(m.Options, "size="+strconv.FormatInt(size, 10))
}

// parseSize reads a tmpfs size: bytes, or with the suffix k, m or g.
func parseSize(s string) (int64, error) {
	unit := int64(1)
	for suffix, u := range map[string]int64{"k": 1 << 10, "m": 1 << 20, "g": 1 << 30} {
		if digits, ok := strings.CutSuffix(strings.ToLower(s), suffix); ok {
			s, unit = digits, u
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > (1<<62)/unit {
		return 0, fmt.Errorf("size %q", s)
	}
	return n * unit, nil
}

// maskedPaths tell of the machine, not of the container.
func maskedPaths() []string {
	return []string{
		"/proc/config.gz", "/proc/kallsyms", "/proc/modules", "/proc/slabinfo", "/proc/vmallocinfo",
		"/sys/kernel/notes", "/sys/kernel/vmcoreinfo",
	}
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeJSON rewrites a file that another process owns; it keeps its mode.
func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}
