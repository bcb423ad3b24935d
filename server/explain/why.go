package explain

import (
	"path"
	"slices"
	"strings"

	"slipway/server/dockerfile"
)

// why says why one does what an instruction does. before and after are the states around it.
func (r *reader) why(in *dockerfile.Instruction, before, after state) []Sentence {
	if in.Err != nil || len(in.Args) == 0 || in.Stage < 0 && in.Name != "ARG" {
		return nil
	}
	switch in.Name {
	case "FROM":
		return r.whyFrom(in)
	case "ARG":
		if in.Stage < 0 {
			return []Sentence{say("One line then decides which image the stages begin with, and a build can choose another.")}
		}
		return []Sentence{say("One Dockerfile then serves several variants. Values can be read from the image's history, so an argument is no place for a secret.")}
	case "ENV":
		var out []Sentence
		for _, w := range in.Args {
			for _, v := range variables {
				if v.name == w.Key && (v.value == "" || v.value == w.Value) {
					out = append(out, about(w.Range, "%s", v.says))
				}
			}
		}
		return out
	case "LABEL":
		return []Sentence{say("People and tools can read from the image what it is; nothing in the build depends on it.")}
	case "WORKDIR":
		return []Sentence{say("The paths in the steps after it stay short. A cd in a RUN would hold for that RUN only.")}
	case "USER":
		if root(after.User) {
			return []Sentence{say("Some steps need root's rights, such as installing packages.")}
		}
		return []Sentence{say("A program that is broken into can then only do what this user may.")}
	case "EXPOSE":
		return []Sentence{say("It tells people and tools which port to connect to.")}
	case "VOLUME":
		return []Sentence{say("Data there outlives the container. An image built on this one can't undo it.")}
	case "STOPSIGNAL":
		return []Sentence{say("Some programs only finish what they are doing on a signal of their own, e.g. nginx on SIGQUIT.")}
	case "SHELL":
		if slices.Contains(values(in), "pipefail") || strings.Contains(strings.Join(values(in), " "), "pipefail") {
			return []Sentence{say("With pipefail, a RUN fails when any command of a pipeline fails, not only the last.")}
		}
		return []Sentence{say("The steps after it can use what that shell has and /bin/sh has not.")}
	case "RUN":
		return r.whyRun(in)
	case "COPY", "ADD":
		return r.whyTransfer(in)
	case "HEALTHCHECK":
		if strings.EqualFold(in.Args[0].Value, "NONE") {
			return nil
		}
		return []Sentence{say("A program can run and yet be stuck. Docker shows the result beside the container; restarting it is left to others.")}
	case "ENTRYPOINT":
		return []Sentence{say("The image then behaves like one program: what docker run is given is only its arguments.")}
	case "ONBUILD":
		return []Sentence{say("A base image can so do what all builds on it have in common.")}
	}
	return nil
}

// variables are those that programs in images heed: what they do, with any value or with a certain one.
var variables = []struct{ name, value, says string }{
	{"PYTHONUNBUFFERED", "", "PYTHONUNBUFFERED makes Python print at once, so that a container's log is not behind."},
	{"PYTHONDONTWRITEBYTECODE", "", "PYTHONDONTWRITEBYTECODE keeps Python from writing .pyc files."},
	{"PIP_NO_CACHE_DIR", "", "PIP_NO_CACHE_DIR keeps pip from storing what it downloads, which would only make the layer larger."},
	{"PIP_DISABLE_PIP_VERSION_CHECK", "", "PIP_DISABLE_PIP_VERSION_CHECK spares pip the question whether it is the newest."},
	{"NODE_ENV", "production", "NODE_ENV=production makes npm leave out the packages that only development needs."},
	{"DEBIAN_FRONTEND", "noninteractive", "DEBIAN_FRONTEND=noninteractive keeps packages from asking questions. As ENV it stays on in containers too; an ARG would not."},
	{"CGO_ENABLED", "0", "CGO_ENABLED=0 makes Go programs that need no C library, so that they run in an image without one."},
	{"UV_COMPILE_BYTECODE", "1", "UV_COMPILE_BYTECODE makes uv compile Python files while it installs them, so that containers start faster."},
	{"UV_LINK_MODE", "copy", "UV_LINK_MODE=copy makes uv copy files from its cache, which a cache mount needs: it is another filesystem."},
	{"PATH", "", "PATH is where the shell looks for programs that are named without a directory."},
	{"LANG", "", "LANG sets the language and the character set that programs assume."},
	{"TZ", "", "TZ is the time zone that programs show times in."},
}

func (r *reader) whyFrom(in *dockerfile.Instruction) []Sentence {
	last := r.plan.Target
	switch {
	case in.Stage < 0 || in.Stage >= len(r.plan.Stages):
		return nil
	case r.plan.Stages[in.Stage].Base.Ref == "scratch":
		return []Sentence{say("The result holds only what the file puts in, which suits programs that need no system around them.")}
	case in.Stage == last && len(r.plan.Stages) > 1:
		return []Sentence{say("It begins the stage that becomes the image: of the others only what is copied from them gets in.")}
	case in.Stage == last:
		return []Sentence{say("All that the image needs and the file does not add comes from here: the programs, libraries and users of a system.")}
	case !r.plan.Stages[in.Stage].Needed:
		return []Sentence{say("Nothing that is built here uses this stage, so it is not built.")}
	}
	return []Sentence{say("What a stage like this needs for its work, such as compilers, stays out of the image.")}
}

func (r *reader) whyRun(in *dockerfile.Instruction) []Sentence {
	text := in.Args[0].Value
	for _, h := range in.Heredocs {
		text += "\n" + h.Content
	}
	var out []Sentence
	if strings.Contains(text, "apt-get update") && strings.Contains(text, "apt-get install") {
		out = append(out, say("update and install stand in one RUN because a layer with old lists would be reused: later installs would ask for packages that are gone."))
	}
	if strings.Contains(text, "rm -rf /var/lib/apt/lists") {
		out = append(out, say("Files deleted in the RUN that made them never get into a layer; deleted in a later one they stay in the image unseen."))
	}
	if strings.Contains(text, "--no-install-recommends") {
		out = append(out, say("--no-install-recommends leaves out packages that are only recommended, which keeps the image small."))
	}
	if strings.Contains(text, "--no-cache-dir") {
		out = append(out, say("--no-cache-dir keeps pip's downloads out of the layer."))
	}
	if strings.Contains(text, "apk add --no-cache") {
		out = append(out, say("--no-cache keeps the list of packages out of the layer."))
	}
	if len(out) == 0 {
		out = append(out, say("A RUN that succeeds is kept as a layer, and reused until the command or something before it changes."))
	}
	return out
}

// manifests are files that say which packages a program needs.
var manifests = []string{
	"requirements.txt", "pyproject.toml", "uv.lock", "poetry.lock", "Pipfile", "Pipfile.lock", "setup.py",
	"package.json", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", "go.mod", "go.sum", "Cargo.toml", "Cargo.lock",
	"pom.xml", "build.gradle", "Gemfile", "Gemfile.lock", "composer.json", "composer.lock",
}

func (r *reader) whyTransfer(in *dockerfile.Instruction) []Sentence {
	if len(in.Args) < 2 {
		return nil
	}
	sources := in.Args[:len(in.Args)-1]
	if len(in.From) > 0 {
		if in.From[0].Stage >= 0 {
			return []Sentence{say("Only these files come along; the rest of that stage, with its tools, stays out of the image.")}
		}
		return []Sentence{say("It takes files from a finished image without installing anything.")}
	}
	early := !slices.ContainsFunc(sources, func(w dockerfile.Word) bool { return !r.manifest(w.Text) })
	if early && r.followed(in) {
		return []Sentence{say("The files that name the packages are copied before the rest, so that the packages are installed again only when these files change.")}
	}
	if in.Name == "ADD" && slices.ContainsFunc(sources, func(w dockerfile.Word) bool { return remote(w.Text) != "" }) {
		return []Sentence{say("BuildKit asks whether it has changed and fetches it again only then.")}
	}
	return []Sentence{say("The step runs again when the contents or the permissions of these files change; their times don't count.")}
}

func (r *reader) manifest(source string) bool {
	name := path.Base(source)
	return slices.ContainsFunc(manifests, func(m string) bool {
		ok, _ := path.Match(name, m)
		return ok || name == m
	})
}

// followed reports whether a RUN comes next in the stage and more files after it.
func (r *reader) followed(in *dockerfile.Instruction) bool {
	ran := false
	for _, i := range r.o.Stages[in.Stage].Steps {
		next := &r.o.Instructions[i]
		switch {
		case next.N <= in.N:
		case next.Name == "RUN":
			ran = true
		case (next.Name == "COPY" || next.Name == "ADD") && ran && len(next.From) == 0:
			return true
		}
	}
	return false
}

// root reports whether a user is root.
func root(user string) bool {
	name, _, _ := strings.Cut(user, ":")
	return name == "root" || name == "0"
}
