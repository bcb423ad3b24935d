package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Debian packages, each with what needs it.
var (
	runPackages = []string{
		"runc",                        // runs the containers of a build
		"containernetworking-plugins", // the bridge between a build step and BuildKit's proxy
		"xfsprogs", "e2fsprogs",       // file systems of builders, cloned by reflink
		"mmdebstrap", "debian-archive-keyring", // base images of the catalogue
		"ca-certificates", // what builders trust
	}
	testPackages = []string{
		"chromium", "fonts-dejavu-core", // pages in a real browser
		"shellcheck",
		"postgresql",    // the storage suite's second judge
		"skopeo",        // an ordinary registry client
		"nodejs", "npm", // fetch and type-check the front end; skipped if another npm is on the PATH
		"gcc", "libc6-dev", // the race detector
	}
)

// install makes sure that the Debian packages are there.
func (t *tree) install(ctx context.Context, packages []string) error {
	missing := slices.DeleteFunc(slices.Clone(packages), func(p string) bool { return installed(ctx, p) })
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("this machine has no apt-get; install these by hand: %s", strings.Join(missing, " "))
	}
	if os.Getuid() != 0 {
		return errors.New("run as root: packages are missing, and builders need namespaces, mounts and cgroups: " + strings.Join(missing, " "))
	}
	os.Setenv("DEBIAN_FRONTEND", "noninteractive")
	return step("install "+strings.Join(missing, " "), func() error {
		if err := t.quiet(ctx, "apt-get", "-q", "update"); err != nil {
			return err
		}
		return t.quiet(ctx, "apt-get", append([]string{"-q", "install", "-y", "--no-install-recommends"}, missing...)...)
	})
}

func installed(ctx context.Context, pkg string) bool {
	if pkg == "nodejs" || pkg == "npm" {
		if _, err := exec.LookPath("npm"); err == nil {
			return true
		}
	}
	out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${db:Status-Status}", pkg).Output()
	return err == nil && string(out) == "installed"
}
