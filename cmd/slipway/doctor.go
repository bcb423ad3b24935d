package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"slipway/sandbox/registry/catalog"
	"slipway/server/store"
)

type doctorCmd struct {
	Settings
	Database string `env:"SLIPWAY_DATABASE" placeholder:"URL" help:"As for serve."`
	Ready    string `placeholder:"URL" help:"Only ask the server at this address whether it is ready."`
}

// Run prints one line a check. It fails if something that a build needs is missing.
func (c *doctorCmd) Run(ctx context.Context) error {
	if c.Ready != "" {
		return askReady(ctx, c.Ready)
	}
	bad := false
	for _, check := range []struct {
		name string
		do   func(context.Context) (found string, mend string, err error)
	}{
		{"BuildKit", c.buildkit},
		{"runtime", c.runtime},
		{"sandbox", c.sandbox},
		{"network", c.network},
		{"catalogue", c.catalogue},
		{"database", c.database},
		{"disk", c.disk},
		{"clock", c.clock},
	} {
		found, mend, err := check.do(ctx)
		switch {
		case err != nil:
			bad = true
			fmt.Printf("✗ %-10s %v\n  %-10s mend: %s\n", check.name, err, "", mend)
		case mend != "":
			fmt.Printf("! %-10s %s\n  %-10s better: %s\n", check.name, found, "", mend)
		default:
			fmt.Printf("✓ %-10s %s\n", check.name, found)
		}
	}
	if bad {
		return exitCode(1)
	}
	return nil
}

func askReady(ctx context.Context, server string) error {
	ctx, done := context.WithTimeout(ctx, 5*time.Second)
	defer done()
	at, err := url.JoinPath(server, "/readyz")
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is not ready: %s", server, res.Status)
	}
	return nil
}

func (c *doctorCmd) buildkit(ctx context.Context) (string, string, error) {
	const mend = "go build github.com/moby/buildkit/cmd/buildkitd in the source tree, and give its path with --buildkitd; go run ./cmd/dev up does both"
	if _, _, err := version(ctx, c.Buildkitd, mend); err != nil {
		return "", mend, err
	}
	path, err := exec.LookPath(c.Buildkitd)
	if err != nil {
		return "", mend, err
	}
	found := path + ", " + buildkitVersion(buildinfo.ReadFile(path))
	if own, _ := debug.ReadBuildInfo(); buildkitVersion(own, nil) != buildkitVersion(buildinfo.ReadFile(path)) {
		return found, mend + "; this program was made for " + buildkitVersion(own, nil), nil
	}
	return found, "", nil
}

// buildkitVersion is the version of BuildKit that a program was made with.
func buildkitVersion(info *debug.BuildInfo, err error) string {
	if err == nil && info != nil {
		for _, m := range append(info.Deps, &info.Main) {
			if m.Path == "github.com/moby/buildkit" {
				return m.Version
			}
		}
	}
	return "of unknown version"
}

func (c *doctorCmd) runtime(ctx context.Context) (string, string, error) {
	return version(ctx, c.Runc, "apt-get install runc, or give its path with --runc")
}

// version runs a program's --version.
func version(ctx context.Context, program, mend string) (string, string, error) {
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return "", mend, fmt.Errorf("%s does not run: %w", program, err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line), "", nil
}

// sandbox looks at what the kernel must allow.
func (c *doctorCmd) sandbox(context.Context) (string, string, error) {
	if os.Geteuid() != 0 {
		return "", "run it as root, or in a container with --privileged", errors.New("not root: builders need namespaces, mounts and cgroups")
	}
	for _, ns := range []string{"user", "pid", "mnt", "net", "ipc", "uts"} {
		if _, err := os.Stat("/proc/self/ns/" + ns); err != nil {
			return "", "use a kernel with " + ns + " namespaces", err
		}
	}
	if b, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err == nil && strings.TrimSpace(string(b)) == "0" {
		return "", "sysctl user.max_user_namespaces=10000", errors.New("user namespaces are turned off")
	}
	filesystems, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return "", "mount /proc", err
	}
	if !slices.Contains(strings.Fields(string(filesystems)), "overlay") {
		return "", "modprobe overlay", errors.New("the kernel has no overlayfs")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return "", "modprobe loop; in a container, pass /dev/loop-control and loop devices", err
	}
	if !slices.Contains(strings.Fields(string(filesystems)), "xfs") {
		return "namespaces, overlayfs and loop devices; no XFS", "modprobe xfs: builders' file systems are then cloned in milliseconds", nil
	}
	return "namespaces, overlayfs, loop devices, XFS", "", nil
}

func (c *doctorCmd) network(ctx context.Context) (string, string, error) {
	for _, plugin := range []string{"bridge", "host-local", "loopback"} {
		if _, err := os.Stat(filepath.Join(c.CNI, plugin)); err != nil {
			return "", "apt-get install containernetworking-plugins, or give their folder with --cni", fmt.Errorf("the plugin %s is missing: %w", plugin, err)
		}
	}
	ctx, done := context.WithTimeout(ctx, 3*time.Second)
	defer done()
	if _, err := net.DefaultResolver.LookupHost(ctx, "registry-1.docker.io"); err != nil {
		return "plugins in " + c.CNI + "; Docker Hub can't be reached", "nothing, if the catalogue has the images that people need; else let this machine out, or set --egress-proxy", nil
	}
	return "plugins in " + c.CNI + "; Docker Hub's name resolves", "", nil
}

func (c *doctorCmd) catalogue(context.Context) (string, string, error) {
	images, err := catalog.Open(c.catalogDir()).Images()
	if err != nil {
		return "", "remove the folder " + c.catalogDir() + " and run slipway catalog", err
	}
	if len(images) == 0 {
		return "empty", "slipway catalog makes base images from Debian packages, for places that Docker Hub can't be reached from", nil
	}
	return fmt.Sprintf("%d images in %s", len(images), c.catalogDir()), "", nil
}

func (c *doctorCmd) database(ctx context.Context) (string, string, error) {
	dsn := databaseURL(c.Database, c.Data)
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return "none yet: the first start makes " + path, "", nil
		}
	}
	s, err := store.Open(ctx, dsn)
	if err != nil {
		return "", "check --database and that its server runs", err
	}
	defer s.Close()
	if err := s.Ping(ctx); err != nil {
		return "", "slipway migrate", err
	}
	kind, _, _ := strings.Cut(dsn, ":")
	return kind, "", nil
}

func (c *doctorCmd) disk(context.Context) (string, string, error) {
	dir := c.Data
	for {
		var fs unix.Statfs_t
		err := unix.Statfs(dir, &fs)
		if errors.Is(err, unix.ENOENT) && dir != "/" {
			dir = filepath.Dir(dir)
			continue
		}
		if err != nil {
			return "", "give another folder with --data", err
		}
		free := int64(fs.Bavail) * int64(fs.Bsize)
		need := int64(c.Disk) * int64(c.Slots)
		found := fmt.Sprintf("%d GiB free in %s", free>>30, dir)
		switch {
		case free < 2<<30:
			return "", "free some, or give another folder with --data", errors.New("only " + found)
		case free < need:
			return found, fmt.Sprintf("%d GiB: as many as %d builders may fill; or a smaller --disk", need>>30, c.Slots), nil
		}
		return found, "", nil
	}
}

// clock asks the kernel whether something keeps it right, and compares it with the newest file of the system:
// a clock behind that is wrong.
func (c *doctorCmd) clock(context.Context) (string, string, error) {
	now := time.Now()
	if exe, err := os.Executable(); err == nil {
		if info, err := os.Stat(exe); err == nil && now.Before(info.ModTime().Add(-time.Minute)) {
			return "", "set the time", fmt.Errorf("%s is before this program was made", now.Format(time.RFC3339))
		}
	}
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil || state == unix.TIME_ERROR {
		return now.Format(time.RFC3339) + ", not synchronised", "run a time daemon such as chrony; links and limits only need it roughly right", nil
	}
	return now.Format(time.RFC3339) + ", synchronised", "", nil
}
