package builder

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
)

// Where things are inside a builder. The paths say nothing about the machine.
const (
	// Socket is buildkitd's, as a process started with Builder.Start dials it.
	Socket = "/run/buildkit/buildkitd.sock"

	// State is buildkitd's folder, on the builder's filesystem.
	State = "/var/lib/buildkit"

	traceSocket = "/run/buildkit/otel-grpc.sock"
	programs    = "/opt/builder"
	binary      = programs + "/slipway"
	runtimePath = programs + "/bin/runtime"
	runcPath    = programs + "/bin/runc"
	daemonPath  = programs + "/bin/buildkitd"
	cniDir      = programs + "/cni"
	cniConfig   = "/etc/builder/cni.conflist"
	daemonToml  = "/etc/builder/buildkitd.toml"
	trustDir    = "/etc/builder/trust"
)

// The bridge to which BuildKit's network proxy, not the steps, is connected.
// Its address is the builder's own; there is no route beyond.
const (
	bridgeSubnet  = "10.88.0.0/24"
	egressAddress = "10.88.0.1:3128" // the bridge's gateway: the subnet's first address
)

// tmpfsShare and stepShare are what one step may take of the builder's memory
// (as tmpfs) and processes, so that the daemon survives a greedy step.
const (
	tmpfsShare = 0.25
	stepShare  = 0.75
)

// daemonConfig is buildkitd.toml. Sources: BuildKit's docs/buildkitd.toml.md
// and cmd/buildkitd/config.
var daemonConfig = template.Must(template.New("buildkitd.toml").Parse(`root = "{{.State}}"
proxyNetwork = true

[log]
  level = "warn"

[grpc]
  address = ["unix://{{.Socket}}"]

[otel]
  socketPath = "{{.TraceSocket}}"

[cdi]
  disabled = true

[history]
  maxEntries = 0

[frontend."gateway.v0"]
  enabled = false

# Names are looked up by the egress, never inside.
[dns]
  nameservers = ["127.0.0.1"]
  searchDomains = ["invalid"]

[worker.oci]
  enabled = true
  rootless = false
  snapshotter = "overlayfs"
  binary = "{{.Runtime}}"
  networkMode = "cni"
  cniConfigPath = "{{.CNIConfig}}"
  cniBinaryPath = "{{.CNI}}"
  cniPoolSize = {{.Steps}}
  max-parallelism = {{.Steps}}
  gc = true
  maxUsedSpace = {{.MaxUsed}}
  reservedSpace = {{.Reserved}}
  minFreeSpace = {{.MinFree}}
{{range .Mirrored}}
[registry.{{printf "%q" .}}]
  mirrors = [{{printf "%q" $.Mirror}}]
{{end}}{{with .Mirror}}
[registry.{{printf "%q" .}}]
  http = true
{{end}}`))

func (c Config) daemonToml() (string, error) {
	var b strings.Builder
	err := daemonConfig.Execute(&b, map[string]any{
		"State": State, "Socket": Socket, "TraceSocket": traceSocket,
		"Runtime": runtimePath, "CNIConfig": cniConfig, "CNI": cniDir,
		"Steps": c.Limits.Steps, "Mirror": c.Mirror, "Mirrored": c.Mirrored,
		"MaxUsed": c.Limits.Disk * 3 / 4, "Reserved": c.Limits.Disk / 4, "MinFree": c.Limits.Disk / 10,
	})
	return b.String(), err
}

// cniConflist connects BuildKit's proxy to the bridge. Neither masquerading nor
// a firewall is needed where no route leads out, so iptables isn't either.
const cniConflist = `{
  "cniVersion": "0.4.0",
  "name": "builder",
  "plugins": [{
    "type": "bridge",
    "bridge": "builder0",
    "isGateway": true,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "` + bridgeSubnet + `"}]]}
  }]
}
`

// runtimeScript is what buildkitd calls as its OCI runtime: a path without
// arguments is all that it takes.
func (c Config) runtimeScript() string {
	argv := append(append([]string{binary}, c.Self[1:]...), "runtime",
		"-runc="+runcPath,
		"-state="+State,
		"-tmpfs="+strconv.FormatInt(int64(float64(c.Limits.Memory)*tmpfsShare), 10),
		"-processes="+strconv.FormatInt(c.Limits.StepPIDs(), 10),
		"--")
	for i, arg := range argv {
		argv[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return "#!/bin/sh\nexec " + strings.Join(argv, " ") + ` "$@"` + "\n"
}

// daemonEnv sends everything that buildkitd fetches, and its proxy for steps,
// through the egress. Its own clipping of step logs is off: the log's gate has
// a bound that says what it left out.
func daemonEnv() []string {
	const proxy = "http://" + egressAddress
	return append(environ(),
		"HTTP_PROXY="+proxy, "HTTPS_PROXY="+proxy, "http_proxy="+proxy, "https_proxy="+proxy,
		"SSL_CERT_DIR="+trustDir, // beside the machine's bundle (Go's crypto/x509)
		"BUILDKIT_STEP_LOG_MAX_SIZE=-1", "BUILDKIT_STEP_LOG_MAX_SPEED=-1",
	)
}

// environ is the environment of every process inside. PATH holds no git, ssh or
// decompressor that a build could make the daemon run.
func environ() []string {
	return []string{"PATH=" + programs + "/bin", "HOME=/run", "XDG_RUNTIME_DIR=/run", "TMPDIR=/tmp", "LANG=C.UTF-8"}
}

// root describes the builder's root: the machine's libraries, the programs,
// the state. It returns the detached mounts in the order of setup.Mounts.
func (c Config) root(state *os.File) (*setup, []*os.File, error) {
	toml, err := c.daemonToml()
	if err != nil {
		return nil, nil, err
	}
	s := &setup{
		Links: map[string]string{
			"/dev/ptmx": "pts/ptmx", "/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0",
			"/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2",
			"/var/run": "/run",
		},
		Files: map[string]file{
			daemonToml:           {0o644, toml},
			trustDir + "/ca.pem": {0o644, string(c.CA)},
			cniConfig:            {0o644, cniConflist},
			runtimePath:          {0o755, c.runtimeScript()},
			"/etc/passwd":        {0o644, "root:x:0:0:root:/run:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"},
			"/etc/group":         {0o644, "root:x:0:\nnogroup:x:65534:\n"},
			"/etc/hosts":         {0o644, "127.0.0.1 localhost\n127.0.0.1 builder\n"},
			"/etc/resolv.conf":   {0o644, "nameserver 127.0.0.1\n"},
			"/etc/nsswitch.conf": {0o644, "passwd: files\ngroup: files\nhosts: files dns\n"},
		},
		Daemon: start{
			Argv: []string{daemonPath, "--config", daemonToml, "--rootless=false"},
			Env:  daemonEnv(),
		},
	}
	var mounts []*os.File
	place := func(path, target string) error {
		tree, err := copyTree(path)
		if err != nil {
			return err
		}
		s.Mounts, mounts = append(s.Mounts, target), append(mounts, tree)
		return nil
	}
	err = func() error {
		for path, target := range map[string]string{c.Self[0]: binary, c.Runc: runcPath, c.Buildkitd: daemonPath, c.CNI: cniDir} {
			if err := place(path, target); err != nil {
				return err
			}
		}
		for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
			if err := place("/dev/"+name, "/dev/"+name); err != nil {
				return err
			}
		}
		return c.placeSystem(s, place)
	}()
	if err != nil {
		closeAll(mounts)
		return nil, nil, fmt.Errorf("make the builder's root: %w", err)
	}
	s.Mounts = append(s.Mounts, State)
	return s, append(mounts, state), nil
}

// placeSystem gives the builder the machine's shared libraries, its certificate
// authorities and a shell for the runtime script, read-only. Nothing of the
// machine's other programs is inside.
func (c Config) placeSystem(s *setup, place func(path, target string) error) error {
	for _, path := range []string{
		"/bin/sh", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache",
		"/etc/ssl/certs", "/etc/pki", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
	} {
		info, err := os.Lstat(path)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		if info.Mode()&os.ModeSymlink == 0 || path == "/bin/sh" {
			err = place(path, path)
		} else if target, e := os.Readlink(path); e != nil {
			err = e
		} else {
			s.Links[path] = filepath.Join("/", target)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
