package explain

import (
	"strings"

	"slipway/server/dockerfile"
)

// command says what a CMD or an ENTRYPOINT does, and how the two go together.
func (r *reader) command(in *dockerfile.Instruction, s state) []Sentence {
	words := r.start(s, in)
	if len(words) == 0 {
		return []Sentence{say("Clears the image's %s.", strings.ToLower(in.Name))}
	}
	line := clip(strings.Join(values(in), " "), 200)
	var out []Sentence
	if in.Name == "ENTRYPOINT" {
		out = append(out, say("A container of the image always starts with %s.", line))
		switch {
		case in.Form == dockerfile.ShellForm:
			out = append(out, say("The shell form takes no further words: CMD, and what docker run is given, are ignored."))
		case s.cmdSet:
			out = append(out, say("CMD, or what docker run is given in its place, follows as further words."))
		case len(s.Cmd) > 0:
			out = append(out, say("The CMD inherited from the base, %s, is cleared.", clip(strings.Join(s.Cmd, " "), 100)))
		default:
			out = append(out, say("What docker run is given follows as further words."))
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
		if s.cmdSet {
			out = append(out, say("It replaces the CMD before it: only the last one counts."))
		}
	}
	if in.Form == dockerfile.ShellForm {
		return append(out, say("The shell form starts %s as process 1, with this text for it: signals such as docker stop's reach the shell, not the program, unless the text says exec.", s.Shell[0]))
	}
	return append(out, say("The JSON form starts the program itself, without a shell: it is process 1 and gets the signals; variables are not expanded."))
}

// healthOptions are HEALTHCHECK's options with what they mean and their defaults.
// https://docs.docker.com/reference/dockerfile/#healthcheck
var healthOptions = []struct{ name, given, standard string }{
	{"interval", "every %s", "every 30 seconds"},
	{"timeout", "a try that takes longer than %s has failed", "a try that takes longer than 30 seconds has failed"},
	{"start-period", "failures in the first %s don't count", ""},
	{"start-interval", "in that time it is tried every %s", ""},
	{"retries", "%s failures in a row make the container unhealthy", "3 failures in a row make the container unhealthy"},
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
	for _, o := range healthOptions {
		if f, ok := flag(in, o.name); ok {
			out = append(out, about(f.Range, sentence(o.given), f.Value))
		} else if o.standard != "" {
			out = append(out, say("%s, which is the default.", strings.TrimSuffix(sentence(o.standard), ".")))
		}
	}
	return out
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}
