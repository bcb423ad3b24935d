package explain

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/server/dockerfile"
)

// what says what an instruction does, from its actual arguments. s is the state before it.
func (r *reader) what(in *dockerfile.Instruction, s state) []Sentence {
	switch {
	case in.Err != nil || len(in.Args) == 0 && !starts(in):
		return r.unreadable(in)
	case in.Stage < 0 && in.Name != "ARG":
		return []Sentence{about(in.NameRange, "Only ARG may stand before the first FROM: nothing can be built until this is mended.")}
	}
	switch in.Name {
	case "FROM":
		return r.from(in)
	case "ARG":
		return r.arg(in, s)
	case "ENV":
		return r.env(in, s)
	case "LABEL":
		return r.label(in, s)
	case "WORKDIR":
		return r.workdir(in, s)
	case "USER":
		return r.user(in, s)
	case "EXPOSE":
		return r.expose(in, s)
	case "VOLUME":
		return r.volume(in, s)
	case "STOPSIGNAL":
		return []Sentence{say("docker stop sends %s to the container's first process, in place of SIGTERM.", s.expand(r.o, in.Args[0].Value))}
	case "SHELL":
		return []Sentence{say("From here on, %s runs the shell form of RUN, CMD and ENTRYPOINT, in place of %s.", strings.Join(values(in), " "), strings.Join(s.Shell, " "))}
	case "MAINTAINER":
		return []Sentence{say("Names %s as the image's author. It is deprecated: LABEL org.opencontainers.image.authors=… does the same.", in.Args[0].Value)}
	case "ONBUILD":
		return r.later(in)
	case "RUN":
		return r.run(in, s)
	case "COPY", "ADD":
		return r.transfer(in, s)
	case "CMD", "ENTRYPOINT":
		return r.command(in, s)
	case "HEALTHCHECK":
		return r.health(in)
	}
	return r.unreadable(in)
}

// starts reports whether an instruction says how containers start; it may be empty.
func starts(in *dockerfile.Instruction) bool { return in.Name == "CMD" || in.Name == "ENTRYPOINT" }

func (r *reader) unreadable(in *dockerfile.Instruction) []Sentence {
	if r.url(in.Name) == reference+"#overview" {
		return []Sentence{about(in.NameRange, "A Dockerfile knows no instruction %s: nothing can be built until this is mended.", in.Name)}
	}
	return []Sentence{say("This %s can't be read: nothing can be built until it is mended.", in.Name)}
}

func (r *reader) from(in *dockerfile.Instruction) []Sentence {
	stage := r.plan.Stages[in.Stage]
	word := in.Args[0]
	name := "a stage"
	if stage.Name != "" {
		name = "the stage " + stage.Name
	}
	var out []Sentence
	switch {
	case stage.Base.Stage != nil && *stage.Base.Stage < in.Stage:
		out = append(out, about(word.Range, "Begins %s where %s ends: with its files and its settings.", name, r.called(*stage.Base.Stage)))
	case stage.Base.Ref == "scratch":
		out = append(out, about(word.Range, "Begins %s from nothing: no files, no shell, no user but root.", name))
	default:
		out = append(out, about(word.Range, "Begins %s with the files and the settings of the image %s.", name, stage.Base.Ref))
		tag := stage.Base.Ref[strings.LastIndexByte(stage.Base.Ref, '/')+1:]
		switch {
		case strings.Contains(tag, "@"):
			out = append(out, about(word.Range, "The digest fixes the image: it is the same on every day and every machine."))
		case !strings.Contains(tag, ":"):
			out = append(out, about(word.Range, "Without a tag, that is %s:latest: whatever bears this name on the day of the build.", stage.Base.Ref))
		}
	}
	if word.Text != stage.Base.Ref && strings.Contains(word.Text, "$") {
		out = append(out, about(word.Range, "%s is %s here.", word.Text, stage.Base.Ref))
	}
	for _, f := range in.Flags {
		if f.Name == "platform" {
			switch strings.Trim(f.Value, "${}") {
			case "BUILDPLATFORM":
				out = append(out, about(f.Range, "--platform takes the image for the machine that builds, whatever platform the result is for."))
			case "TARGETPLATFORM":
				out = append(out, about(f.Range, "--platform takes the image for the platform that the result is for, which is also the default."))
			default:
				out = append(out, about(f.Range, "--platform takes the image for %s.", f.Value))
			}
		}
	}
	return out
}

func (r *reader) arg(in *dockerfile.Instruction, s state) []Sentence {
	var out []Sentence
	for _, w := range in.Args {
		hasDefault := strings.Contains(w.Text, "=")
		given, isGiven := r.opt.BuildArgs[w.Key]
		text := "Declares the build argument " + w.Key
		inherited, isGlobal := r.global.lookup(w.Key)
		builtin, isBuiltin := builtinArgs[w.Key]
		switch {
		case in.Stage < 0:
			text += " for the FROM lines"
			if hasDefault {
				text += ", with the default " + quoted(s.expand(r.o, w.Value))
			} else {
				text += ", without a default"
			}
		case hasDefault:
			text += ", with the default " + quoted(s.expand(r.o, w.Value))
		case isGlobal:
			text += ": it has the value of the ARG before the first FROM, " + quoted(inherited)
		case isBuiltin:
			text += ", which BuildKit sets: " + builtin
		default:
			text += ", without a default: it is unset unless the build gives it"
		}
		if isGiven {
			text += "; this build gives it as " + quoted(given)
		}
		out = append(out, about(w.Range, "%s.", text))
		s = r.argument(s, w, in.N)
	}
	if in.Stage < 0 {
		return append(out, say("A stage that wants it must declare it again, with ARG and the name alone."))
	}
	return append(out, say("The steps after it in this stage see it as a variable; containers of the image don't."))
}

// builtinArgs are the arguments that BuildKit sets without being asked, once they are declared.
// https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope
var builtinArgs = map[string]string{
	"TARGETPLATFORM": "the platform of the result, e.g. linux/amd64",
	"TARGETOS":       "the operating system of the result",
	"TARGETARCH":     "the processor architecture of the result, e.g. amd64",
	"TARGETVARIANT":  "the variant of the result's architecture, e.g. v7",
	"BUILDPLATFORM":  "the platform of the machine that builds",
	"BUILDOS":        "the operating system of the machine that builds",
	"BUILDARCH":      "the processor architecture of the machine that builds",
	"BUILDVARIANT":   "the variant of the building machine's architecture",
}

func (r *reader) env(in *dockerfile.Instruction, s state) []Sentence {
	var out []Sentence
	for _, w := range in.Args {
		name, value := s.expand(r.o, w.Key), s.expand(r.o, w.Value)
		if old, ok := s.lookup(name); ok && name == "PATH" && strings.HasSuffix(value, ":"+old) {
			out = append(out, about(w.Range, "Looks for programs in %s first, then where it looked before.", strings.TrimSuffix(value, ":"+old)))
			continue
		}
		if value == "" {
			out = append(out, about(w.Range, "Sets the variable %s to nothing.", name))
			continue
		}
		out = append(out, about(w.Range, "Sets the variable %s to %s.", name, quoted(value)))
	}
	return append(out, say("It holds for the steps after it and in containers of the image."))
}

func (r *reader) label(in *dockerfile.Instruction, s state) []Sentence {
	var out []Sentence
	for _, w := range in.Args {
		out = append(out, about(w.Range, "Labels the image: %s is %s.", s.expand(r.o, w.Key), quoted(s.expand(r.o, w.Value))))
	}
	return out
}

func (r *reader) workdir(in *dockerfile.Instruction, s state) []Sentence {
	w := in.Args[0]
	p := s.expand(r.o, w.Value)
	dir, ok := s.join(p)
	switch {
	case !ok && strings.HasPrefix(p, "$"):
		return []Sentence{about(w.Range, "Makes %s the working directory; the variable comes from the base image.", p)}
	case !ok:
		return []Sentence{about(w.Range, "Makes %s, below the working directory of the base image, the working directory; creates it if it is missing.", p)}
	}
	text := "Makes %s the working directory of the steps after it and of containers"
	if dir != "/" {
		text += "; creates it if it is missing"
	}
	out := []Sentence{about(w.Range, text+".", dir)}
	if !path.IsAbs(p) {
		out = append(out, about(w.Range, "%s is relative to %s.", p, s.WorkingDir))
	}
	return out
}

func (r *reader) user(in *dockerfile.Instruction, s state) []Sentence {
	w := in.Args[0]
	name, group, hasGroup := strings.Cut(s.expand(r.o, w.Value), ":")
	who := "the user " + name
	if name == "root" || name == "0" {
		who = "root, who may do anything in the container"
	}
	if hasGroup {
		who += " with the group " + group
	}
	out := []Sentence{about(w.Range, "Runs the steps after it, and containers, as %s.", who)}
	if name != "" && strings.Trim(name, "0123456789") == "" {
		out = append(out, about(w.Range, "A number needs no entry in /etc/passwd."))
	}
	return out
}

func (r *reader) expose(in *dockerfile.Instruction, s state) []Sentence {
	var ports []string
	for _, w := range in.Args {
		for _, p := range strings.Fields(s.expand(r.o, w.Value)) {
			port, protocol, ok := strings.Cut(p, "/")
			if !ok {
				protocol = "tcp"
			}
			ports = append(ports, fmt.Sprintf("%s (%s)", port, strings.ToUpper(protocol)))
		}
	}
	noun := "port "
	if len(ports) > 1 {
		noun = "ports "
	}
	return []Sentence{say("Notes that the program in the image listens on %s%s.", noun, list(ports)),
		say("It opens nothing: whoever starts a container does, e.g. with docker run -p.")}
}

func (r *reader) volume(in *dockerfile.Instruction, s state) []Sentence {
	var dirs []string
	for _, w := range in.Args {
		dirs = append(dirs, s.expand(r.o, w.Value))
	}
	noun := "a volume"
	if len(dirs) > 1 {
		noun = "volumes"
	}
	return []Sentence{say("Declares %s %s: what a container writes there is kept outside its own files, in a volume made for it unless one is given.", list(dirs), noun)}
}

func (r *reader) later(in *dockerfile.Instruction) []Sentence {
	if in.OnBuild == nil {
		return r.unreadable(in)
	}
	return []Sentence{about(in.OnBuild.Range, "Stores %s in the image for later: it runs right after the FROM of a build that begins with this image.", in.OnBuild.Text),
		say("Nothing happens now.")}
}

// values are the words of an instruction.
func values(in *dockerfile.Instruction) []string {
	out := make([]string, 0, len(in.Args))
	for _, w := range in.Args {
		out = append(out, w.Value)
	}
	return out
}

// flag is the value of an instruction's flag.
func flag(in *dockerfile.Instruction, name string) (dockerfile.Flag, bool) {
	i := slices.IndexFunc(in.Flags, func(f dockerfile.Flag) bool { return f.Name == name })
	if i < 0 {
		return dockerfile.Flag{}, false
	}
	return in.Flags[i], true
}

// on reports whether a flag that is on or off is on.
func on(in *dockerfile.Instruction, name string) (dockerfile.Flag, bool) {
	f, ok := flag(in, name)
	return f, ok && (f.Value == "" || f.Value == "true" || f.Value == "1")
}

// quoted is a value in a sentence: as it is if it can't be mistaken, else in quotes.
func quoted(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\n,.;\"") && strings.Trim(s, "0123456789.") != "" {
		return fmt.Sprintf("%q", clip(s, 200))
	}
	return clip(s, 200)
}

// clip shortens a text to about n bytes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
