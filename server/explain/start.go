package explain

import (
	"strings"

	"slipway/server/dockerfile"
)

// command says what a CMD or an ENTRYPOINT does, and how the two go together.
func (r *reader) command(in *dockerfile.Instruction, s state) []Sentence {
	if len(in.Args) == 0 {
		return []Sentence{say("Clears the %s of the image.", in.Name)}
	}
	line := clip(strings.Join(values(in), " "), 200)
	var out []Sentence
	if in.Name == "ENTRYPOINT" {
		out = append(out, say("A container of the image always starts with %s.", line))
		switch {
		case in.Form == dockerfile.ShellForm:
			out = append(out, say("The shell form takes no further words: CMD, and what docker run is given, are ignored."))
		default:
			out = append(out, say("CMD, or what docker run is given in its place, follows as further words."))
		}
		switch {
		case s.cmdSet:
		case !s.known(fieldCmd):
			out = append(out, say("A CMD that the base image may have is cleared."))
		case len(s.Cmd) > 0:
			out = append(out, say("The CMD of the base, %s, is cleared.", clip(strings.Join(s.Cmd, " "), 100)))
		}
	} else {
		switch {
		case len(s.Entrypoint) > 0:
			out = append(out, say("Hands the words %s to the entrypoint, %s, unless docker run is given others.", line, clip(strings.Join(s.Entrypoint, " "), 100)))
		case !s.known(fieldEntrypoint):
			out = append(out, say("A container of the image starts with %s, unless docker run is given something else.", line),
				say("If the base image has an entrypoint, it gets these words."))
		default:
			out = append(out, say("A container of the image starts with %s, unless docker run is given something else.", line))
		}
	}
	if line := r.replaced(in); line > 0 {
		return append(out, say("But only the last %s of a stage counts, and that is the one on line %d.", in.Name, line))
	}
	if in.Form == dockerfile.ShellForm {
		return append(out, say("The shell form starts %s as process 1, with this text for it: signals such as docker stop's reach the shell, not the program, unless the text says exec.", s.Shell[0]))
	}
	return append(out, say("The JSON form starts the program itself, without a shell: it is process 1 and gets the signals; variables are not expanded."))
}

// replaced is the line of a later instruction of the same name in the stage, or 0.
func (r *reader) replaced(in *dockerfile.Instruction) int {
	for i := in.N; i < len(r.o.Instructions) && r.o.Instructions[i].Stage == in.Stage; i++ {
		if next := &r.o.Instructions[i]; next.Name == in.Name && next.Err == nil {
			return next.Range.Start.Line
		}
	}
	return 0
}

// healthOptions are HEALTHCHECK's options with what they mean and their defaults.
// https://docs.docker.com/reference/dockerfile/#healthcheck
var healthOptions = []struct{ name, given, standard string }{
	{"interval", "It is tried every %s.", "it is tried every 30 seconds"},
	{"timeout", "A try that takes longer than %s has failed.", "a try that takes longer than 30 seconds has failed"},
	{"start-period", "Failures in the first %s don't count.", ""},
	{"start-interval", "In the start period it is tried every %s.", ""},
	{"retries", "Failures in a row that make the container unhealthy: %s.", "3 failures in a row make the container unhealthy"},
}

func (r *reader) health(in *dockerfile.Instruction) []Sentence {
	if len(in.Args) > 0 && strings.EqualFold(in.Args[0].Value, "NONE") {
		return []Sentence{say("Switches off the health check that the base image may have.")}
	}
	if len(in.Args) < 2 {
		return r.unreadable(in)
	}
	words := values(in)[1:]
	out := []Sentence{say("Tells whether a container is well by running %s in it: exit code 0 is healthy, 1 is not.", clip(strings.Join(words, " "), 200))}
	var standard []string
	for _, o := range healthOptions {
		if f, ok := flag(in, o.name); ok {
			out = append(out, about(f.Range, o.given, f.Value))
		} else if o.standard != "" {
			standard = append(standard, o.standard)
		}
	}
	if line := r.replaced(in); line > 0 {
		return append(out, say("But only the last HEALTHCHECK of a stage counts, and that is the one on line %d.", line))
	}
	if len(standard) > 0 {
		out = append(out, say("By default, %s.", list(standard)))
	}
	return out
}
