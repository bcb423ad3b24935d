package explain

import (
	"path"
	"slices"
	"strings"

	"slipway/server/dockerfile"
	"slipway/server/play"
)

// Fields of a State that a base image decides, as State.Unknown names them.
const (
	fieldUser       = "user"
	fieldDir        = "working_dir"
	fieldEnv        = "env"
	fieldExposed    = "exposed"
	fieldVolumes    = "volumes"
	fieldLabels     = "labels"
	fieldEntrypoint = "entrypoint"
	fieldCmd        = "cmd"
	fieldStop       = "stop_signal"
	fieldHealth     = "health"
)

// defaultPath is what BuildKit sets where a base image has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// maxValue bounds what expanding one word may give, in bytes; a longer value is shown as it is written.
const maxValue = 8 << 10

// state is a State as it is walked through a stage. The slices of State only ever grow at their end or are
// replaced whole, so that the states of all steps can share them.
type state struct {
	State
	cmdSet  bool     // a CMD stands in this stage; ENTRYPOINT then leaves it alone
	unset   []string // arguments in scope without a value
	onBuild []dockerfile.Instruction
}

// shown is the state for a Step: whoever appends to its slices changes no other's.
func (s state) shown() State {
	v := s.State
	v.Env, v.Args, v.Labels = slices.Clip(v.Env), slices.Clip(v.Args), slices.Clip(v.Labels)
	v.Exposed, v.Volumes, v.Unknown = slices.Clip(v.Exposed), slices.Clip(v.Volumes), slices.Clip(v.Unknown)
	return v
}

// known reports whether a field's value does not hang on an unknown base image.
func (s *state) known(field string) bool { return !slices.Contains(s.Unknown, field) }

func (s *state) learn(field string) {
	if i := slices.Index(s.Unknown, field); i >= 0 {
		s.Unknown = slices.Delete(slices.Clone(s.Unknown), i, i+1)
	}
}

// set gives the variables with one added or replaced.
func set(vars []Var, v Var) []Var {
	i := slices.IndexFunc(vars, func(o Var) bool { return o.Name == v.Name })
	if i < 0 {
		return append(vars, v)
	}
	vars = slices.Clone(vars)
	vars[i] = v
	return vars
}

func add(list []string, words ...string) []string {
	for _, w := range words {
		if !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	return list
}

// lookup is the value of a variable in a word of an instruction: of ENV and ARG the one that came last. A name
// that a base image may define stands for itself as long as the image is not known.
func (s *state) lookup(name string) (string, bool) {
	var found *Var
	for i := range s.Args {
		if s.Args[i].Name == name && !slices.Contains(s.unset, name) {
			found = &s.Args[i]
		}
	}
	for i := range s.Env {
		if e := &s.Env[i]; e.Name == name && (found == nil || e.Step >= found.Step) {
			found = e
		}
	}
	if found != nil {
		return found.Value, true
	}
	if !s.known(fieldEnv) {
		return "$" + name, true
	}
	return "", false
}

// expand is a word as the build will have it, as far as that is known.
func (s *state) expand(o *dockerfile.Outline, word string) string {
	if !strings.ContainsAny(word, "$\\`'\"") {
		return word
	}
	if out, ok := o.Expand(word, s.lookup, maxValue); ok {
		return out
	}
	return word
}

// scratch is the state in which a stage without a base image begins.
func scratch() State {
	return State{Base: "scratch", User: "root", WorkingDir: "/", Env: []Var{{Name: "PATH", Value: defaultPath}}, Shell: []string{"/bin/sh", "-c"}}
}

// based is the state in which a stage on an image begins.
func based(ref string, c play.ImageConfig) State {
	s := State{
		Base: ref, User: "root", WorkingDir: "/", Shell: []string{"/bin/sh", "-c"},
		Exposed: c.Exposed, Volumes: c.Volumes, Entrypoint: c.Entrypoint, Cmd: c.Cmd,
		StopSignal: c.StopSignal, Health: strings.Join(c.Healthcheck, " "),
	}
	if c.User != "" {
		s.User = c.User
	}
	if c.WorkingDir != "" {
		s.WorkingDir = c.WorkingDir
	}
	if len(c.Shell) > 0 {
		s.Shell = c.Shell
	}
	for _, e := range c.Env {
		name, value, _ := strings.Cut(e, "=")
		s.Env = append(s.Env, Var{Name: name, Value: value})
	}
	if !slices.ContainsFunc(s.Env, func(v Var) bool { return v.Name == "PATH" }) {
		s.Env = append(s.Env, Var{Name: "PATH", Value: defaultPath})
	}
	for name, value := range c.Labels {
		s.Labels = append(s.Labels, Var{Name: name, Value: value})
	}
	slices.SortFunc(s.Labels, func(a, b Var) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// unknown is the state in which a stage on an image that nobody knows begins.
func unknown(ref string) State {
	return State{Base: ref, Shell: []string{"/bin/sh", "-c"}, Unknown: []string{
		fieldUser, fieldDir, fieldEnv, fieldExposed, fieldVolumes, fieldLabels, fieldEntrypoint, fieldCmd, fieldStop, fieldHealth,
	}}
}

// apply is the state after an instruction.
func (r *reader) apply(s state, in *dockerfile.Instruction) state {
	if in.Err != nil || len(in.Args) == 0 && !starts(in) || in.Stage < 0 && in.Name != "ARG" {
		return s
	}
	words := make([]string, 0, len(in.Args))
	for _, w := range in.Args {
		words = append(words, w.Value)
	}
	expanded := func() []string {
		out := make([]string, len(words))
		for i, w := range words {
			out[i] = s.expand(r.o, w)
		}
		return out
	}
	switch in.Name {
	case "ENV":
		before := s
		for _, w := range in.Args {
			s.Env = set(s.Env, Var{before.expand(r.o, w.Key), before.expand(r.o, w.Value), in.N})
		}
	case "LABEL":
		for _, w := range in.Args {
			s.Labels = set(s.Labels, Var{s.expand(r.o, w.Key), s.expand(r.o, w.Value), in.N})
		}
	case "ARG":
		for _, w := range in.Args {
			s = r.argument(s, w, in.N)
		}
	case "WORKDIR":
		if dir, ok := s.join(s.expand(r.o, words[0])); ok {
			s.WorkingDir = dir
			s.learn(fieldDir)
		} else {
			s.WorkingDir = ""
		}
	case "USER":
		s.User = s.expand(r.o, words[0])
		s.learn(fieldUser)
	case "EXPOSE":
		for _, p := range expanded() {
			for _, port := range strings.Fields(p) {
				if !strings.Contains(port, "/") {
					port += "/tcp"
				}
				s.Exposed = add(s.Exposed, port)
			}
		}
	case "VOLUME":
		s.Volumes = add(s.Volumes, expanded()...)
	case "STOPSIGNAL":
		s.StopSignal = s.expand(r.o, words[0])
		s.learn(fieldStop)
	case "SHELL":
		s.Shell = words
	case "CMD":
		s.Cmd, s.cmdSet = r.start(s, in), true
		s.learn(fieldCmd)
	case "ENTRYPOINT":
		s.Entrypoint = r.start(s, in)
		s.learn(fieldEntrypoint)
		if !s.cmdSet {
			s.Cmd = nil
			s.learn(fieldCmd)
		}
	case "HEALTHCHECK":
		s.Health = strings.Join(append(options(in), words...), " ")
		s.learn(fieldHealth)
	case "ONBUILD":
		if in.OnBuild != nil {
			s.onBuild = append(slices.Clip(s.onBuild), *in.OnBuild)
		}
	}
	return s
}

// join is a path as WORKDIR and COPY understand it; ok is false if it hangs on an unknown working directory.
func (s *state) join(p string) (abs string, ok bool) {
	switch {
	case path.IsAbs(p):
		return path.Clean(p), true
	case strings.HasPrefix(p, "$"):
		return p, false
	case s.WorkingDir == "":
		return "", false
	}
	return path.Join(s.WorkingDir, p), true
}

// argument brings a build argument into scope.
func (r *reader) argument(s state, w dockerfile.Word, n int) state {
	name, hasDefault := w.Key, strings.Contains(w.Text, "=")
	v, ok := Var{Name: name, Step: n}, true
	if given, isGiven := r.opt.BuildArgs[name]; isGiven {
		v.Value = given
	} else if hasDefault {
		v.Value = s.expand(r.o, w.Value)
	} else if v.Value, ok = r.global.lookup(name); !ok {
		v.Value, ok = r.predefined(name)
	}
	s.Args = set(s.Args, v)
	s.unset = slices.DeleteFunc(slices.Clone(s.unset), func(o string) bool { return o == name })
	if !ok {
		s.unset = append(s.unset, name)
	}
	return s
}

// predefined is the value of an argument that BuildKit sets by itself, where it follows from the platform.
func (r *reader) predefined(name string) (string, bool) {
	platform := r.opt.Platform
	if platform == "" {
		platform = "linux/amd64"
	}
	system, arch, _ := strings.Cut(platform, "/")
	arch, variant, _ := strings.Cut(arch, "/")
	switch name {
	case "TARGETPLATFORM":
		return platform, true
	case "TARGETOS":
		return system, true
	case "TARGETARCH":
		return arch, true
	case "TARGETVARIANT":
		return variant, true
	}
	return "", false
}

// start is what a CMD or ENTRYPOINT puts into the image: its words, or the shell with its text.
func (r *reader) start(s state, in *dockerfile.Instruction) []string {
	var words []string
	if in.Form == dockerfile.ShellForm {
		words = slices.Clone(s.Shell)
	}
	for _, w := range in.Args {
		words = append(words, w.Value)
	}
	return words
}

// options are an instruction's flags as written.
func options(in *dockerfile.Instruction) []string {
	var out []string
	for _, f := range in.Flags {
		out = append(out, "--"+f.Name+"="+f.Value)
	}
	return out
}
