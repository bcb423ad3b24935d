package runtime

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestMain lets the test binary be the hidden "runtime" command, which ends in
// another program.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "runtime" {
		os.Exit(Main(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func TestParse(t *testing.T) {
	for line, want := range map[string]call{
		"--log /l --log-format json run --bundle /b --keep id":             {root: "/run/runc", name: "run", bundle: "/b", id: "id"},
		"--root /r --debug run -b /b --no-pivot --pid-file /p id":          {root: "/r", name: "run", bundle: "/b", id: "id"},
		"--rootless=true exec --process /p --detach --pid-file /x id":      {root: "/run/runc", name: "exec", bundle: ".", process: "/p", id: "id"},
		"--log /l kill --all id 9":                                         {root: "/run/runc", name: "kill", bundle: ".", id: "id"},
		"delete --force id":                                                {root: "/run/runc", name: "delete", bundle: ".", id: "id"},
		"--systemd-cgroup=false state id":                                  {root: "/run/runc", name: "state"},
		"--log /l run --bundle=/b --console-socket /c --preserve-fds 2 id": {root: "/run/runc", name: "run", bundle: "/b", id: "id"},
	} {
		got, err := parse(strings.Fields(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if slices.Equal(got.args, strings.Fields(line)) {
			got.args = nil
		}
		if got.root != want.root || got.name != want.name || got.bundle != want.bundle && want.bundle != "" ||
			got.process != want.process || got.id != want.id || got.args != nil {
			t.Errorf("%s: %+v, want %+v", line, got, want)
		}
	}
	for _, line := range []string{"", "--log", "run --unheard-of id", "--unheard-of run id"} {
		if c, err := parse(strings.Fields(line)); err == nil {
			t.Errorf("%q is understood as %+v", line, c)
		}
	}
}

// usual is a specification as BuildKit writes it.
func usual(t *testing.T, state string) (s settings, bundle string, spec *specs.Spec) {
	t.Helper()
	bundle = filepath.Join(state, "bundle")
	for _, dir := range []string{"rootfs/etc/ssl", "rootfs/dev"} {
		if err := os.MkdirAll(filepath.Join(bundle, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	caps := []string{"CAP_CHOWN", "CAP_MKNOD", "CAP_NET_RAW", "CAP_AUDIT_WRITE", "CAP_SETUID"}
	score := 0
	return settings{runc: "/bin/true", state: state, trust: filepath.Join(state, "ca.pem"), tmpfs: 64 << 20, processes: 100}, bundle, &specs.Spec{
		Root: &specs.Root{Path: filepath.Join(bundle, "rootfs")},
		Process: &specs.Process{
			Args: []string{"true"}, OOMScoreAdj: &score,
			Env:          []string{"A=b", "OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=unix:///dev/otel-grpc.sock", "OTEL_SERVICE_NAME=mine"},
			Capabilities: &specs.LinuxCapabilities{Bounding: slices.Clone(caps), Effective: slices.Clone(caps), Permitted: slices.Clone(caps)},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "size=65536k"}},
			{Destination: "/scratch", Type: "tmpfs", Source: "tmpfs"},
			{Destination: "/big", Type: "tmpfs", Source: "tmpfs", Options: []string{"size=4g"}},
			{Destination: "/etc/hosts", Type: "bind", Source: filepath.Join(state, "hosts"), Options: []string{"rbind", "ro"}},
			{Destination: "/cache", Source: filepath.Join(os.TempDir(), "buildkit-mount1"), Options: []string{"rbind"}},
			{Destination: "/dev/otel-grpc.sock", Type: "bind", Source: "/run/buildkit/otel-grpc.sock", Options: []string{"ro", "rbind"}},
		},
		Linux: &specs.Linux{
			CgroupsPath: "/buildkit/id",
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.MountNamespace},
				{Type: specs.NetworkNamespace, Path: filepath.Join(state, "net/proxy/1")},
			},
		},
	}
}

func prepare(t *testing.T, s settings, bundle string, spec *specs.Spec) (*specs.Spec, bool, error) {
	t.Helper()
	path := filepath.Join(bundle, "config.json")
	if err := writeJSON(path, spec); err != nil {
		t.Fatal(err)
	}
	_, done, err := s.prepareBundle(bundle)
	var after specs.Spec
	if err := readJSON(path, &after); err != nil {
		t.Fatal(err)
	}
	return &after, done, err
}

func TestRestrict(t *testing.T) {
	s, bundle, spec := usual(t, t.TempDir())
	after, done, err := prepare(t, s, bundle, spec)
	if err != nil || done {
		t.Fatal(done, err)
	}
	p := after.Process
	if *p.OOMScoreAdj != 1000 {
		t.Errorf("oom score: %d", *p.OOMScoreAdj)
	}
	for _, caps := range [][]string{p.Capabilities.Bounding, p.Capabilities.Effective, p.Capabilities.Permitted} {
		if !slices.Equal(caps, []string{"CAP_CHOWN", "CAP_SETUID"}) {
			t.Errorf("capabilities: %v", caps)
		}
	}
	if !slices.Equal(p.Env, []string{"A=b", "OTEL_SERVICE_NAME=mine"}) {
		t.Errorf("environment: %v", p.Env)
	}
	if i := slices.IndexFunc(p.Rlimits, func(l specs.POSIXRlimit) bool { return l.Type == "RLIMIT_NPROC" }); i < 0 || p.Rlimits[i].Hard != 100 {
		t.Errorf("limits: %v", p.Rlimits)
	}
	sizes := map[string]string{"/dev/shm": "size=67108864", "/scratch": "size=67108864", "/big": "size=67108864"}
	for _, m := range after.Mounts {
		if want, ok := sizes[m.Destination]; ok && m.Options[len(m.Options)-1] != want {
			t.Errorf("%s: %v, want %s", m.Destination, m.Options, want)
		}
		if m.Destination == "/dev/otel-grpc.sock" {
			t.Error("the trace collector is mounted")
		}
	}
	if after.Linux.CgroupsPath != "" || !slices.Contains(after.Linux.MaskedPaths, "/proc/kallsyms") {
		t.Errorf("linux: %+v", after.Linux)
	}
}

func TestRefuse(t *testing.T) {
	for name, change := range map[string]func(*specs.Spec){
		"no network namespace": func(s *specs.Spec) { s.Linux.Namespaces = s.Linux.Namespaces[:4] },
		"no pid namespace":     func(s *specs.Spec) { s.Linux.Namespaces = s.Linux.Namespaces[1:] },
		"the daemon's network": func(s *specs.Spec) { s.Linux.Namespaces[4].Path = "/proc/1/ns/net" },
		"another's pids":       func(s *specs.Spec) { s.Linux.Namespaces[0].Path = "/proc/1/ns/pid" },
		"a device":             func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/sda"}} },
		"the daemon's socket":  func(s *specs.Spec) { s.Mounts[4].Source = "/run/buildkit/buildkitd.sock" },
		"out of the state":     func(s *specs.Spec) { s.Mounts[4].Source += strings.Repeat("/..", 9) + "/etc/passwd" },
		"nothing":              func(s *specs.Spec) { s.Linux = nil },
	} {
		s, bundle, spec := usual(t, t.TempDir())
		change(spec)
		if _, _, err := prepare(t, s, bundle, spec); err == nil {
			t.Errorf("%s is allowed", name)
		}
	}
}

func TestTrustProxy(t *testing.T) {
	const ca = "-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n"
	s, bundle, spec := usual(t, t.TempDir())
	variable := func(spec *specs.Spec) string {
		for _, v := range spec.Process.Env {
			if path, ok := strings.CutPrefix(v, "NODE_EXTRA_CA_CERTS="); ok {
				return path
			}
		}
		return ""
	}
	spec.Process.Env = append(spec.Process.Env, "HTTPS_PROXY=http://10.89.0.1:1", "PIP_CERT=/mine")
	if after, _, err := prepare(t, s, bundle, spec); err != nil || variable(after) != "" {
		t.Errorf("nothing is known: %v, %q", err, variable(after))
	}

	forged := "# buildkit proxy CA begin\nforged\n# buildkit proxy CA end\n"
	file := filepath.Join(bundle, "rootfs/etc/ssl/cert.pem")
	if err := os.WriteFile(file, []byte(forged+"\n# buildkit proxy CA begin\n"+ca+"# buildkit proxy CA end\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	after, _, err := prepare(t, s, bundle, spec)
	if err != nil || variable(after) != "/etc/ssl/cert.pem" || !slices.Contains(after.Process.Env, "PIP_CERT=/mine") {
		t.Errorf("with a bundle: %v, %v", err, after.Process.Env)
	}
	if got, err := os.ReadFile(s.trust); err == nil {
		t.Errorf("learnt from an image: %q", got)
	}

	args := spec.Process.Args
	spec.Process.Args = []string{Teach}
	if _, done, err := prepare(t, s, bundle, spec); err != nil || !done {
		t.Errorf("a lesson: %v, %v", done, err)
	}
	if got, err := os.ReadFile(s.trust); err != nil || string(got) != ca {
		t.Errorf("learnt: %q, %v", got, err)
	}
	spec.Process.Args = args

	if err := os.WriteFile(file, []byte(forged), 0o644); err != nil {
		t.Fatal(err)
	}
	after, _, err = prepare(t, s, bundle, spec)
	last := after.Mounts[len(after.Mounts)-1]
	if err != nil || variable(after) != "/dev/proxy-ca.pem" || last.Destination != "/dev/proxy-ca.pem" || last.Source != s.trust {
		t.Errorf("without a bundle: %v, %q, %+v", err, variable(after), last)
	}
	spec.Process.Args = []string{Teach}
	if _, done, err := prepare(t, s, bundle, spec); err == nil {
		t.Errorf("a lesson without a certificate: %v", done)
	}
}

// A link in an image leads nowhere outside it.
func TestTrustStaysInTheImage(t *testing.T) {
	s, bundle, spec := usual(t, t.TempDir())
	spec.Process.Env = append(spec.Process.Env, "HTTPS_PROXY=http://10.89.0.1:1")
	spec.Process.Args = []string{Teach}
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte(beginMark+"secret"+endMark), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(bundle, "rootfs/etc/ssl/cert.pem")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := prepare(t, s, bundle, spec); err == nil {
		t.Error("there was something to learn")
	}
	if data, err := os.ReadFile(s.trust); err == nil {
		t.Errorf("learnt %q", data)
	}
}

// The command calls the real runtime with the same arguments, or says why not.
func TestMainExecutes(t *testing.T) {
	state := t.TempDir()
	s, bundle, spec := usual(t, state)
	if err := writeJSON(filepath.Join(bundle, "config.json"), spec); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(state, "root/id"), 0o755); err != nil {
		t.Fatal(err)
	}
	process, err := json.Marshal(spec.Process)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "process"), process, 0o600); err != nil {
		t.Fatal(err)
	}
	root := "--root " + filepath.Join(state, "root")
	for args, want := range map[string]string{
		root + " run --bundle " + bundle + " id":          "run --bundle",
		root + " exec --process " + state + "/process id": "exec --process",
		root + " delete id":                               "delete id",
		root + " delete gone":                             "",
		root + " state id":                                "state id",
		root + " run --bundle /nowhere id":                "runtime: open /nowhere/config.json",
		root + " create --bundle " + bundle + " id":       "runtime: denied",
		"": "runtime: no command",
	} {
		argv := append([]string{"runtime", "-runc=/bin/echo", "-state=" + s.state, "--"}, strings.Fields(args)...)
		out, err := exec.Command(os.Args[0], argv...).CombinedOutput()
		if failed := strings.HasPrefix(want, "runtime:"); failed != (err != nil) || !strings.Contains(string(out), want) || want == "" && len(out) > 0 {
			t.Errorf("%s: %v: %s", args, err, out)
		}
	}
	var after specs.Process
	if err := readJSON(filepath.Join(state, "process"), &after); err != nil || slices.Contains(after.Capabilities.Bounding, "CAP_MKNOD") {
		t.Errorf("exec: %v, %v", err, after.Capabilities)
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "64k": 64 << 10, "2M": 2 << 20, "3g": 3 << 30, "": 0, "-1": 0, "50%": 0, "9999999999999g": 0} {
		if got, err := parseSize(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}
