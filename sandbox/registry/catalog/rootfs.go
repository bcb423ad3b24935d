package catalog

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Debian's "slim" images leave out what nobody reads in a container.
var slim = []string{
	"path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright",
	"path-exclude=/usr/share/man/*", "path-exclude=/usr/share/info/*", "path-exclude=/usr/share/groff/*",
	"path-exclude=/usr/share/lintian/*", "path-exclude=/usr/share/linda/*",
	"path-exclude=/usr/share/locale/*", "path-include=/usr/share/locale/locale.alias",
}

// makeRoot makes a recipe's root filesystem as a tar file in the folder work.
func makeRoot(ctx context.Context, r Recipe, a Archive, work string) (string, error) {
	hooks := []string{filepath.Join(work, "recipes", r.Name, "hook.sh")}
	variant := "minbase"
	if r.Bare {
		variant = "extract"
	} else {
		hooks = slices.Insert(hooks, 0, filepath.Join(work, "recipes", "debian", "hook.sh"))
	}
	hooks = slices.Compact(hooks)
	if err := os.CopyFS(work, recipeFiles); err != nil {
		return "", err
	}
	apt := filepath.Join(work, "recipes", "debian", "root", "etc", "apt")
	if err := os.MkdirAll(filepath.Join(apt, "sources.list.d"), 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(apt, "sources.list.d", "debian.sources"), []byte(a.sources(r.Suite)), 0o644); err != nil {
		return "", err
	}
	if len(a.Apt) > 0 { // what this archive needs, a build's apt-get needs too
		lines := strings.Join(a.Apt, "\n") + "\n"
		if err := os.WriteFile(filepath.Join(apt, "apt.conf.d", "99archive"), []byte(lines), 0o644); err != nil {
			return "", err
		}
	}

	out := filepath.Join(work, "root.tar")
	args := []string{"--quiet", "--variant=" + variant, "--format=tar", "--include=" + strings.Join(r.Packages, ",")}
	for _, line := range a.Apt {
		args = append(args, "--aptopt="+line)
	}
	if !r.Bare {
		for _, line := range slim {
			args = append(args, "--dpkgopt="+line)
		}
	}
	if r.HookDir != "" {
		args = append(args, "--hook-dir="+r.HookDir)
	}
	for _, hook := range hooks {
		when := "--customize-hook="
		if r.Bare {
			when = "--extract-hook=" // an extracted system is not customized
		}
		args = append(args, when+"sh "+hook+` "$1"`)
	}
	args = append(args, r.Suite, out)
	return out, mmdebstrap(ctx, work, append(args, a.debs(r.Suite)...)...)
}

// packageList is the file in which a hook leaves what is installed, as lines of name=version. It is not
// part of the image.
const packageList = ".packages"

// bareRoot is the folder in which the hook of a bare recipe leaves the image's files: the rest of the
// system stays as it was until mmdebstrap is done with it.
const bareRoot = "image/"

// A root is a root filesystem as a tar file.
type root struct {
	file     string
	within   string    // the folder of the tar that is the root: "" or bareRoot
	newest   time.Time // the newest file that came from a package
	packages map[string]string
}

// readRoot finds out what a root filesystem holds. Files from before made came from packages, later ones
// are the work of installation.
func readRoot(file, within string, made time.Time) (root, error) {
	r := root{file: file, within: within, packages: map[string]string{}, newest: time.Unix(0, 0)}
	err := r.each(func(h *tar.Header, content io.Reader) error {
		if h.ModTime.After(r.newest) && h.ModTime.Before(made) {
			r.newest = h.ModTime
		}
		if h.Name != packageList {
			return nil
		}
		list, err := io.ReadAll(content)
		for line := range strings.Lines(string(list)) {
			pkg, version, _ := strings.Cut(strings.TrimSpace(line), "=")
			r.packages[pkg] = version
		}
		return err
	})
	if err == nil && len(r.packages) == 0 {
		err = fmt.Errorf("the root filesystem has no list of packages")
	}
	return r, err
}

// layer writes the root filesystem as an image has it: without anything of this machine or of the moment,
// so that the same packages give the same bytes.
func (r root) layer(w io.Writer) error {
	out := tar.NewWriter(w)
	err := r.each(func(h *tar.Header, content io.Reader) error {
		if ofTheMachine(h) {
			return nil
		}
		if h.ModTime.After(r.newest) {
			h.ModTime = r.newest
		}
		clean := tar.Header{
			Typeflag: h.Typeflag, Name: h.Name, Linkname: h.Linkname, Size: h.Size, Mode: h.Mode, Uid: h.Uid, Gid: h.Gid,
			ModTime: h.ModTime.Truncate(time.Second), Devmajor: h.Devmajor, Devminor: h.Devminor,
		}
		if h.Typeflag == tar.TypeLink {
			clean.Linkname = strings.TrimPrefix(strings.TrimPrefix(h.Linkname, "./"), r.within)
		}
		for key, value := range h.PAXRecords { // file capabilities
			if strings.HasPrefix(key, "SCHILY.xattr.security.") {
				if clean.PAXRecords == nil {
					clean.PAXRecords = map[string]string{}
				}
				clean.PAXRecords[key] = value
			}
		}
		if err := out.WriteHeader(&clean); err != nil {
			return err
		}
		_, err := io.Copy(out, content)
		return err
	})
	if err != nil {
		return err
	}
	return out.Close()
}

func (r root) each(f func(*tar.Header, io.Reader) error) error {
	file, err := os.Open(r.file)
	if err != nil {
		return err
	}
	defer file.Close()
	in := tar.NewReader(file)
	for {
		h, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var ok bool
		if h.Name, ok = strings.CutPrefix(strings.TrimPrefix(h.Name, "./"), r.within); !ok || h.Name == "" {
			continue
		}
		if err := f(h, in); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

// ofTheMachine says whether an entry of a root filesystem comes from the machine or the moment of its making,
// or is a cache, and does not belong into an image.
func ofTheMachine(h *tar.Header) bool {
	switch h.Name {
	case packageList, "etc/hostname", "etc/resolv.conf", "etc/machine-id":
		return true
	}
	within := func(folders ...string) bool {
		return slices.ContainsFunc(folders, func(f string) bool { return strings.HasPrefix(h.Name, f) && h.Name != f })
	}
	if within("dev/", "proc/", "sys/", "run/", "tmp/") || strings.Contains(h.Name, "/__pycache__/") {
		return true
	}
	if h.Typeflag != tar.TypeReg {
		return false
	}
	if within("var/cache/apt/", "var/cache/ldconfig/", "var/lib/apt/lists/", "var/log/") {
		return true
	}
	dir, base := path.Split(h.Name)
	switch dir {
	case "etc/": // passwd-, shadow- …: what was before
		return strings.HasSuffix(base, "-")
	case "var/lib/dpkg/", "var/cache/debconf/":
		return strings.HasSuffix(base, "-old") || strings.HasPrefix(base, "lock")
	}
	return strings.HasSuffix(base, ".pyc")
}
