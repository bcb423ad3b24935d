package explain

import (
	"path"
	"slices"
	"strings"

	"slipway/server/dockerfile"
)

// transfer says what a COPY or an ADD does.
func (r *reader) transfer(in *dockerfile.Instruction, s state) []Sentence {
	if len(in.Args) < 2 {
		return r.unreadable(in)
	}
	to := in.Args[len(in.Args)-1]
	t := target{text: s.expand(r.o, to.Value)}
	t.abs, t.known = s.join(t.text)
	sources := in.Args[:len(in.Args)-1]
	t.dir = strings.HasSuffix(t.text, "/") || t.text == "." || strings.HasSuffix(t.text, "/.") || len(sources) > 1 ||
		t.known && t.abs == s.WorkingDir

	var out []Sentence
	bodies := in.Heredocs
	for _, w := range sources {
		if strings.HasPrefix(w.Text, "<<") && len(bodies) > 0 {
			out = append(out, about(w.Range, "Writes the %s below as %s.", plural(strings.Count(bodies[0].Content, "\n"), "line", "lines"), t.file(bodies[0].Name)))
			if bodies[0].Expand {
				out = append(out, about(w.Range, "Variables in the text are replaced; in quotes, <<'%s' would keep them as they are.", bodies[0].Name))
			}
			bodies = bodies[1:]
			continue
		}
		from := s.expand(r.o, w.Value)
		switch {
		case len(in.From) > 0:
			out = append(out, about(w.Range, "Copies %s from %s %s.", from, r.origin(in.From[0]), t.into(from, false)))
		case in.Name == "ADD" && remote(from) != "":
			out = append(out, about(w.Range, remote(from), from, t.into(from, false)))
		default:
			out = append(out, r.local(in, w, from, t))
		}
	}
	for _, f := range in.Flags {
		if text := r.transferFlag(in, f, s); text != "" {
			out = append(out, about(f.Range, "%s", text))
		}
	}
	return out
}

// target is where files go.
type target struct {
	text  string
	abs   string
	known bool
	dir   bool // it is a directory, whatever the sources are
}

func (t target) name() string {
	if t.known {
		return t.abs
	}
	if t.text == "." || t.text == "./" {
		return "the working directory"
	}
	return t.text
}

// into says where a source goes. A directory's contents go, not the directory.
func (t target) into(source string, dir bool) string {
	if t.dir || dir {
		return "into " + t.name()
	}
	return "to " + t.name()
}

// file is the path of a file of that name.
func (t target) file(name string) string {
	if !t.dir {
		return t.name()
	}
	return path.Join(t.name(), name)
}

// local says what is copied from the build context.
func (r *reader) local(in *dockerfile.Instruction, w dockerfile.Word, from string, t target) Sentence {
	clean := strings.TrimPrefix(path.Clean("/"+from), "/")
	kind, n := r.find(clean)
	switch {
	case clean == "":
		left := ""
		if r.ignoreFile() != "" {
			left = ", but for what " + r.ignoreFile() + " leaves out,"
		}
		return about(w.Range, "Copies the whole build context%s %s.", left, t.into(from, true))
	case strings.ContainsAny(clean, "*?["):
		if kind == glob {
			return about(w.Range, "Copies what matches %s in the build context, %s now, %s.", clean, plural(n, "file", "files"), t.into(from, false))
		}
		return about(w.Range, "Copies what matches %s in the build context %s.", clean, t.into(from, false))
	case kind == directory:
		return about(w.Range, "Copies the contents of the directory %s, %s, %s.", clean, plural(n, "file", "files"), t.into(from, true))
	case in.Name == "ADD" && archive(clean) && !off(in, "unpack"):
		return about(w.Range, "Unpacks the archive %s of the build context into %s.", clean, t.name())
	case kind == file:
		if t.dir {
			return about(w.Range, "Copies the file %s into %s.", clean, t.name())
		}
		return about(w.Range, "Copies the file %s to %s.", clean, t.name())
	case kind == ignored:
		return about(w.Range, "Copies %s, but %s leaves it out of the build context: the build can't find it.", clean, r.ignoreFile())
	case kind == missing:
		return about(w.Range, "Copies %s %s, but the build context has no such file.", clean, t.into(from, false))
	}
	return about(w.Range, "Copies %s from the build context %s.", clean, t.into(from, false))
}

type kind int

const (
	anything kind = iota // the build context is not known
	file
	directory
	glob
	ignored
	missing
)

// find tells what a path or pattern is in the build context, and how many files it stands for.
func (r *reader) find(p string) (kind, int) {
	if r.opt.Files == nil {
		return anything, 0
	}
	ignores := func(f string) bool { return r.opt.Ignored != nil && r.opt.Ignored(f) }
	all, left := 0, 0
	what := missing
	for _, f := range r.opt.Files {
		switch match, _ := path.Match(p, f); {
		case f == p:
			what = file
		case strings.HasPrefix(f, p+"/"):
			what = directory
		case match:
			what = glob
		default:
			continue
		}
		all++
		if ignores(f) {
			left++
		}
	}
	if all > 0 && all == left {
		return ignored, 0
	}
	return what, all - left
}

// ignoreFile is the file that rules what stays out of the build context, or "".
func (r *reader) ignoreFile() string {
	name := r.opt.File
	if name == "" {
		name = "Dockerfile"
	}
	for _, f := range []string{name + ".dockerignore", ".dockerignore"} {
		if slices.Contains(r.opt.Files, f) {
			return f
		}
	}
	return ""
}

// remote is how to say that ADD takes a source from elsewhere, with the source and where it goes, or "".
func remote(source string) string {
	switch {
	case strings.HasPrefix(source, "git@"), strings.HasPrefix(source, "git://"), strings.HasPrefix(source, "ssh://"):
		return "Clones the git repository %s %s."
	case strings.HasPrefix(source, "http://"), strings.HasPrefix(source, "https://"):
		address, _, _ := strings.Cut(source, "#")
		address, _, _ = strings.Cut(address, "?")
		if strings.HasSuffix(address, ".git") {
			return "Clones the git repository %s %s."
		}
		return "Downloads %s %s."
	}
	return ""
}

// archive reports whether ADD unpacks a local file, going by its name. BuildKit looks at the contents.
func archive(p string) bool {
	for _, end := range []string{".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst"} {
		if strings.HasSuffix(p, end) {
			return true
		}
	}
	return false
}

func off(in *dockerfile.Instruction, name string) bool {
	f, ok := flag(in, name)
	return ok && (f.Value == "false" || f.Value == "0")
}

// origin is where --from takes files from.
func (r *reader) origin(src dockerfile.Source) string {
	if src.Stage >= 0 && src.Stage < len(r.o.Stages) {
		return r.called(src.Stage)
	}
	return "the image " + src.Ref
}

func (r *reader) transferFlag(in *dockerfile.Instruction, f dockerfile.Flag, s state) string {
	value := s.expand(r.o, f.Value)
	switch f.Name {
	case "chown":
		user, group, ok := strings.Cut(value, ":")
		if !ok {
			return "--chown gives the files to the user " + user + "; otherwise they belong to root."
		}
		return "--chown gives the files to the user " + user + " and the group " + group + "; otherwise they belong to root."
	case "chmod":
		return "--chmod gives them the permissions " + value + "."
	case "link":
		if _, yes := on(in, "link"); yes {
			return "--link makes a layer that doesn't hang on what is below it: it is reused even when an earlier step changes."
		}
	case "parents":
		if _, yes := on(in, "parents"); yes {
			return "--parents keeps the directories in front of the files' names."
		}
	case "exclude":
		return "--exclude leaves out what matches " + value + "."
	case "checksum":
		return "--checksum fails the step unless the download is exactly " + clip(value, 24) + "."
	case "keep-git-dir":
		if _, yes := on(in, "keep-git-dir"); yes {
			return "--keep-git-dir keeps the repository's .git directory."
		}
	case "unpack":
		if _, yes := on(in, "unpack"); yes {
			return "--unpack unpacks the archive, a downloaded one too."
		}
		return "--unpack=false keeps the archive as it is."
	}
	return ""
}
