package catalog

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// everywhere are the libraries that every Linux with glibc has, as the manylinux standard counts them.
var everywhere = []string{
	"libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "libutil.so.1", "libresolv.so.2",
	"libgcc_s.so.1", "libstdc++.so.6",
}

// bundle finds the other libraries that the compiled modules need, and makes the modules look for them in
// the wheel's own folder.
func (d *dist) bundle(ctx context.Context, tree string) error {
	for _, file := range d.files {
		if path.Ext(file) != ".so" {
			continue
		}
		libs, err := needed(tree, filepath.Join(tree, distPackages, file))
		if err != nil {
			return err
		}
		if len(libs) == 0 {
			continue
		}
		up := strings.Repeat("../", strings.Count(file, "/"))
		if err := setRunPath(ctx, tree, distPackages+file, "$ORIGIN/"+up+d.libFolder()); err != nil {
			return err
		}
		for _, lib := range libs {
			if !slices.Contains(d.libs, lib) {
				d.libs = append(d.libs, lib)
			}
		}
	}
	slices.Sort(d.libs)
	for _, lib := range d.libs {
		if err := setRunPath(ctx, tree, lib, "$ORIGIN"); err != nil {
			return err
		}
	}
	return nil
}

func (d *dist) libFolder() string { return strings.ReplaceAll(d.project(), "-", "_") + ".libs" }

// needed gives the libraries, as paths below the tree, that a shared object and its libraries are linked
// with and that are not everywhere.
func needed(tree, object string) ([]string, error) {
	f, err := elf.Open(object)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(object), err)
	}
	defer f.Close()
	names, err := f.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	var libs []string
	for _, name := range names {
		if slices.Contains(everywhere, name) || strings.HasPrefix(name, "ld-linux") {
			continue
		}
		found, err := filepath.Glob(filepath.Join(tree, "usr/lib/*-linux-gnu", name))
		if err != nil || len(found) == 0 {
			return nil, errors.Join(fmt.Errorf("no package brings %s", name), err)
		}
		lib, err := filepath.Rel(tree, found[0])
		if err != nil {
			return nil, err
		}
		more, err := needed(tree, found[0])
		if err != nil {
			return nil, err
		}
		libs = append(append(libs, lib), more...)
	}
	return libs, nil
}

// setRunPath tells a shared object of the tree where to look for libraries, with the tree's own patchelf: run
// by the tree's own loader, since its C library is not this machine's.
func setRunPath(ctx context.Context, tree, object, runPath string) error {
	loaders, err := filepath.Glob(filepath.Join(tree, "usr/lib*/ld-linux-*.so.*"))
	if err != nil || len(loaders) == 0 {
		return errors.Join(errors.New("no loader among the packages"), err)
	}
	libraries, err := filepath.Glob(filepath.Join(tree, "usr/lib/*-linux-gnu"))
	if err != nil {
		return err
	}
	_, err = command(ctx, loaders[0], "--library-path", strings.Join(libraries, ":"),
		filepath.Join(tree, "usr/bin/patchelf"), "--set-rpath", runPath, filepath.Join(tree, object))
	return err
}
