package explain

import (
	"encoding/csv"
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/server/dockerfile"
	"slipway/server/play"
)

// maxCommands is how many commands of one RUN are told one by one.
const maxCommands = 12

// run says what a RUN does: its commands, then its flags.
func (r *reader) run(in *dockerfile.Instruction, s state) []Sentence {
	var out []Sentence
	switch {
	case in.Form == dockerfile.ExecForm:
		words := values(in)
		out = append(out, say("Runs the program %s itself, without a shell: variables, && and * mean nothing here.", clip(strings.Join(words, " "), 200)))
		if t, ok := (call{words: words}).tool(); ok {
			out = append(out, say("%s: %s.", t.name, t.says))
		}
	case len(in.Heredocs) > 0 && heredocOnly(in):
		out = r.script(in, s)
	default:
		text := in.Args[0].Value
		for _, h := range in.Heredocs { // so that the parser finds their ends
			text += "\n" + h.Content + h.Name
		}
		out = r.shell(text, s, func(from, to int) play.Range {
			return r.o.Span(in, in.Args[0].Offset+from, in.Args[0].Offset+to)
		})
		for _, h := range in.Heredocs {
			out = append(out, about(h.Range, "It reads the text up to %s as a file.", h.Name))
		}
	}
	for _, f := range in.Flags {
		if text := r.runFlag(f, s); text != "" {
			out = append(out, about(f.Range, "%s", text))
		}
	}
	return out
}

// heredocOnly reports whether a RUN is nothing but its heredoc: it is a script then, not a command's input.
func heredocOnly(in *dockerfile.Instruction) bool {
	word := strings.TrimSpace(in.Args[0].Text)
	return strings.HasPrefix(word, "<<") && strings.Trim(strings.TrimPrefix(word, "<<"), `-'"`) == in.Heredocs[0].Name
}

// script says what a RUN does whose text is a heredoc.
func (r *reader) script(in *dockerfile.Instruction, s state) []Sentence {
	h := in.Heredocs[0]
	first, _, _ := strings.Cut(h.Content, "\n")
	if program, ok := strings.CutPrefix(first, "#!"); ok {
		return []Sentence{about(h.Range, "Runs the text below as a program of %s.", strings.TrimSpace(program))}
	}
	from := r.o.Offset(h.Range.Start)
	place := func(a, b int) play.Range {
		if h.Chomp { // the positions in the file are others
			return h.Range
		}
		return play.Range{Start: r.o.Position(from + a), End: r.o.Position(from + b)}
	}
	return r.shell(h.Content, s, place)
}

// shell says what a text for the shell does. place gives the range of a part of the text.
func (r *reader) shell(text string, s state, place func(from, to int) play.Range) []Sentence {
	interpreter := path.Base(s.Shell[0])
	switch interpreter {
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh":
	default:
		return []Sentence{say("Gives the text to %s.", strings.Join(s.Shell, " "))}
	}
	parsed, ok := parse(text)
	if !ok || len(parsed.calls) == 0 {
		first, _, _ := strings.Cut(text, "\n")
		return []Sentence{say("Runs %s in %s.", clip(first, 200), interpreter)}
	}
	calls := parsed.calls
	var names []string
	var tools []tool
	for _, c := range calls {
		t, _ := c.tool()
		if !slices.Contains(names, t.name) {
			names = append(names, t.name)
		}
		tools = append(tools, t)
	}
	if len(calls) == 1 {
		at := place(calls[0].from, calls[0].to)
		if tools[0].says == "" {
			return []Sentence{about(at, "Runs %s in %s.", clip(strings.Join(calls[0].words, " "), 200), interpreter)}
		}
		return []Sentence{about(at, "Runs %s in %s: %s.", tools[0].name, interpreter, tools[0].says)}
	}
	lead := fmt.Sprintf("Runs %s in %s", some(names, maxCommands), interpreter)
	if len(names) == 1 {
		lead = fmt.Sprintf("Runs %s %d times in %s", names[0], len(calls), interpreter)
	}
	switch {
	case parsed.branches:
		lead += ", with conditions or loops."
	case parsed.and && !parsed.then:
		lead += ", each only if the one before it succeeded."
	case parsed.then && !parsed.and && !parsed.stops:
		lead += ", one after the other, even if one fails."
	case parsed.stops:
		lead += ", and stops at the first that fails."
	default:
		lead += "."
	}
	out := []Sentence{say("%s", lead)}
	for i, t := range tools {
		if t.says != "" && len(out) <= maxCommands && !slices.Contains(tools[:i], t) { // each thing is said once
			out = append(out, about(place(calls[i].from, calls[i].to), "%s: %s.", t.name, t.says))
		}
	}
	return out
}

func (r *reader) runFlag(f dockerfile.Flag, s state) string {
	value := s.expand(r.o, f.Value)
	switch f.Name {
	case "mount":
		return r.mount(value, s)
	case "network":
		switch value {
		case "none":
			return "--network=none: it has no network but its own loopback."
		case "host":
			return "--network=host: it shares the network of the machine that builds; a builder must allow that."
		case "default":
			return "--network=default: it has the builder's usual network."
		}
	case "security":
		if value == "insecure" {
			return "--security=insecure: it runs without the sandbox; a builder must allow that."
		}
		return "--security=sandbox: it runs in the sandbox, which is the default."
	case "device":
		return "--device: it may use the device " + value + "; a builder must allow that."
	}
	return ""
}

// mount says what a --mount does.
func (r *reader) mount(value string, s state) string {
	fields, err := csv.NewReader(strings.NewReader(value)).Read()
	if err != nil {
		return ""
	}
	m := map[string]string{"type": "bind"}
	for _, f := range fields {
		k, v, _ := strings.Cut(f, "=")
		switch k = strings.ToLower(k); k {
		case "dst", "destination":
			k = "target"
		case "src":
			k = "source"
		case "rw", "readwrite":
			k = "write"
		}
		m[k] = v
	}
	at := m["target"]
	if abs, ok := s.join(at); ok && at != "" {
		at = abs
	}
	switch m["type"] {
	case "cache":
		text := fmt.Sprintf("Keeps %s from build to build in a cache mount: what it holds need not be fetched again, and never gets into the image.", at)
		switch m["sharing"] {
		case "locked":
			text += " With sharing=locked only one build uses it at a time."
		case "private":
			text += " With sharing=private a build gets a new one while another uses it."
		}
		return text
	case "tmpfs":
		return fmt.Sprintf("%s is in memory while it runs, and gone afterwards.", at)
	case "secret":
		id := m["id"]
		if id == "" {
			id = path.Base(at)
		}
		_, required := m["required"]
		how := ""
		if required && m["required"] != "false" {
			how = " Without it the step fails."
		}
		if env, ok := m["env"]; ok {
			if env == "" {
				env = id
			}
			return fmt.Sprintf("It sees the secret %s as the variable %s while it runs; the image never holds it.%s", id, env, how)
		}
		if m["target"] == "" {
			at = "/run/secrets/" + id
		}
		return fmt.Sprintf("It sees the secret %s as the file %s while it runs; the image never holds it.%s", id, at, how)
	case "ssh":
		return "It may use the SSH agent of whoever builds; the keys stay there."
	case "bind":
		source := "/" + strings.Trim(path.Clean("/"+m["source"]), "/")
		where := "of the build context"
		if from := m["from"]; from != "" {
			where = "of " + r.origin(r.named(from))
		}
		if source == "/" {
			source = "all"
		}
		rule := "It can only read them"
		if _, ok := m["write"]; ok && m["write"] != "false" {
			rule = "What it writes there is thrown away"
		}
		return fmt.Sprintf("It sees %s %s at %s while it runs, without a copy in the image. %s.", source, where, at, rule)
	}
	return ""
}

// named is the stage or image of that name.
func (r *reader) named(name string) dockerfile.Source {
	i := slices.IndexFunc(r.o.Stages, func(s dockerfile.Stage) bool { return s.Name == strings.ToLower(name) })
	return dockerfile.Source{Ref: name, Stage: i}
}
