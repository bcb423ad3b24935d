package catalog

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	pep440 "github.com/aquasecurity/go-pep440-version"
)

const distPackages = "usr/lib/python3/dist-packages/"

// A dist is one Python distribution as a Debian package has it.
type dist struct {
	name     string // as its metadata writes it
	version  string
	metadata []byte            // METADATA of the wheel
	extra    map[string][]byte // other files of the dist-info folder: entry_points.txt
	files    []string          // below distPackages
	libs     []string          // shared libraries in the tree that go into the wheel
	rpath    map[string]string // compiled module → where it finds them
}

func (d *dist) project() string { return NormalizeProject(d.name) }

var separators = regexp.MustCompile(`[-_.]+`)

// NormalizeProject is PEP 503's form of a project's name.
func NormalizeProject(name string) string {
	return strings.ToLower(separators.ReplaceAllString(name, "-"))
}

// readDists finds the distributions among the packages of an extracted system: lists has one file per
// package with the paths that it brought.
func readDists(tree, lists string) ([]*dist, error) {
	root, err := os.OpenRoot(tree) // links in a package must not lead out of it
	if err != nil {
		return nil, err
	}
	defer root.Close()
	packages, err := os.ReadDir(lists)
	if err != nil {
		return nil, err
	}
	var dists []*dist
	for _, p := range packages {
		raw, err := os.ReadFile(filepath.Join(lists, p.Name()))
		if err != nil {
			return nil, err
		}
		d, err := readDist(root.FS(), strings.Split(string(raw), "\n"))
		if err != nil {
			return nil, fmt.Errorf("package %s: %w", p.Name(), err)
		}
		if d != nil {
			dists = append(dists, d)
		}
	}
	return dists, nil
}

var infoFolder = regexp.MustCompile(`^[^/]+\.(dist-info|egg-info)(/|$)`)

// readDist reads the distribution in one package; nil if there is none.
func readDist(root fs.FS, listed []string) (*dist, error) {
	d := &dist{extra: map[string][]byte{}, rpath: map[string]string{}}
	info := ""
	for _, line := range listed {
		file, ok := strings.CutPrefix(strings.TrimPrefix(line, "./"), distPackages)
		if !ok || file == "" || strings.HasSuffix(file, "/") {
			continue
		}
		if m := infoFolder.FindString(file); m != "" {
			info = strings.TrimSuffix(m, "/")
			continue
		}
		if foreign(file) {
			continue
		}
		files, err := walk(root, file)
		if err != nil {
			return nil, err
		}
		d.files = append(d.files, files...)
	}
	if info == "" || len(d.files) == 0 {
		return nil, nil
	}
	var err error
	if d.metadata, err = readMetadata(root, distPackages+info); err != nil {
		return nil, err
	}
	d.name, d.version = field(d.metadata, "Name"), field(d.metadata, "Version")
	if d.name == "" || d.version == "" {
		return nil, fmt.Errorf("%s names no distribution", info)
	}
	if points, err := fs.ReadFile(root, distPackages+info+"/entry_points.txt"); err == nil {
		d.extra["entry_points.txt"] = points
	}
	slices.Sort(d.files)
	return d, nil
}

var module = regexp.MustCompile(`\.cpython-([0-9]+)[^/]*\.so$`)

// foreign says that a file is compiled for another Python, or by this one.
func foreign(file string) bool {
	m := module.FindStringSubmatch(file)
	return m != nil && m[1] != "314" || strings.Contains(file, "__pycache__/")
}

// walk gives the files at a path of distPackages: itself, or, if it is a link to a folder, what is in there. Links
// to what is not among the packages, because it is only recommended or lies outside, are left out.
func walk(root fs.FS, file string) ([]string, error) {
	if _, err := fs.Stat(root, distPackages+file); err != nil {
		return nil, nil
	}
	var files []string
	err := fs.WalkDir(root, distPackages+file, func(p string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if info, err := fs.Stat(root, p); err == nil && info.Mode().IsRegular() {
			files = append(files, strings.TrimPrefix(p, distPackages))
		}
		return nil
	})
	return files, err
}

// readMetadata gives the metadata of a distribution in the form that a wheel has.
func readMetadata(root fs.FS, info string) ([]byte, error) {
	if strings.HasSuffix(info, ".dist-info") {
		return fs.ReadFile(root, info+"/METADATA")
	}
	if raw, err := fs.ReadFile(root, info); err == nil { // a single file
		return raw, nil
	}
	raw, err := fs.ReadFile(root, info+"/PKG-INFO")
	if err != nil {
		return nil, err
	}
	if bytes.Contains(raw, []byte("\nRequires-Dist:")) {
		return raw, nil
	}
	requires, err := fs.ReadFile(root, info+"/requires.txt")
	if err != nil {
		return raw, nil
	}
	head, body, _ := bytes.Cut(raw, []byte("\n\n"))
	return slices.Concat(head, []byte("\n"), eggRequires(string(requires)), []byte("\n"), body), nil
}

// eggRequires turns requires.txt of an egg into lines of METADATA: a section is [extra], [:marker] or
// [extra:marker].
func eggRequires(requires string) []byte {
	var out bytes.Buffer
	extra, marker := "", ""
	for line := range strings.Lines(requires) {
		line = strings.TrimSpace(line)
		if section, ok := strings.CutPrefix(line, "["); ok {
			extra, marker, _ = strings.Cut(strings.TrimSuffix(section, "]"), ":")
			if extra != "" {
				fmt.Fprintf(&out, "Provides-Extra: %s\n", extra)
			}
			continue
		}
		if line == "" {
			continue
		}
		var conditions []string
		if marker != "" {
			conditions = append(conditions, "("+marker+")")
		}
		if extra != "" {
			conditions = append(conditions, fmt.Sprintf("extra == %q", extra))
		}
		if len(conditions) > 0 {
			line += "; " + strings.Join(conditions, " and ")
		}
		fmt.Fprintf(&out, "Requires-Dist: %s\n", line)
	}
	return out.Bytes()
}

// field is the first value of a header of METADATA.
func field(metadata []byte, name string) string {
	head, _, _ := bytes.Cut(metadata, []byte("\n\n"))
	for line := range bytes.Lines(head) {
		if value, ok := bytes.CutPrefix(line, []byte(name+":")); ok {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

var requirement = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*\(?([^;)]*)\)?\s*(;.*)?$`)

// relax drops the demands on versions that no distribution here meets: Debian patches its packages to
// work together, but not always what they say about it. It gives the dropped demands.
func relax(dists []*dist) []string {
	versions := map[string]string{}
	for _, d := range dists {
		versions[d.project()] = d.version
	}
	var relaxed []string
	for _, d := range dists {
		lines := bytes.SplitAfter(d.metadata, []byte("\n"))
		for i, line := range lines {
			if len(bytes.TrimSpace(line)) == 0 {
				break // the description
			}
			wants, ok := bytes.CutPrefix(line, []byte("Requires-Dist:"))
			m := requirement.FindStringSubmatch(strings.TrimSpace(string(wants)))
			if !ok || m == nil {
				continue
			}
			have, here := versions[NormalizeProject(m[1])]
			spec := strings.TrimSpace(m[3])
			if !here || spec == "" || satisfies(have, spec) {
				continue
			}
			relaxed = append(relaxed, fmt.Sprintf("%s %s wants %s%s; here is %s", d.name, d.version, m[1], spec, have))
			lines[i] = fmt.Appendf(nil, "Requires-Dist: %s%s%s\n", m[1], m[2], m[4])
		}
		d.metadata = bytes.Join(lines, nil)
	}
	return relaxed
}

func satisfies(version, spec string) bool {
	v, err := pep440.Parse(version)
	if err != nil {
		return false
	}
	s, err := pep440.NewSpecifiers(spec, pep440.WithPreRelease(true))
	return err == nil && s.Check(v)
}

// tag is the wheel's: what it runs on.
func (d *dist) tag(glibc string) string {
	if !slices.ContainsFunc(d.files, func(f string) bool { return path.Ext(f) == ".so" }) {
		return "py3-none-any"
	}
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	return "cp314-cp314-manylinux_" + strings.ReplaceAll(glibc, ".", "_") + "_" + arch
}
