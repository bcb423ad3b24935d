package explain

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"slipway/server/play"
	"slipway/server/view"
)

const (
	tailLines = 12  // of output that stand with a failure
	clueLines = 100 // of output that are searched for what went wrong
)

var exitCode = regexp.MustCompile(`exit code: (\d+)`)

// codeWords are a message that ends with the meaning of an exit code.
var codeWords = regexp.MustCompile(`^(.* exit code \d+): [^:]*$`)

// failure is why a step failed.
func failure(step Step, t *view.Timeline, s *view.Step, j *view.Job, files []string) *Failure {
	f := &Failure{Message: s.Error}
	mine := blamed(step, t.Finished) || t.Finished != nil && t.Finished.Step == 0 && owns(s, t.Finished.Vertex)
	if mine {
		if t.Finished.Message != "" {
			f.Message = t.Finished.Message
		}
		f.ExitCode = t.Finished.ExitCode
	}
	if m := exitCode.FindStringSubmatch(s.Error); f.ExitCode == nil && m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			f.ExitCode = &n
		}
	}
	var lines []string
	for _, l := range j.StepLines(s.N, clueLines) {
		lines = append(lines, l.Text)
	}
	f.Tail = lines[max(0, len(lines)-tailLines):]
	c := clues{step: step, tail: strings.Join(lines, "\n"), message: s.Error + "\n" + f.Message, files: files, code: f.ExitCode, requests: s.Requests}
	if f.ExitCode != nil {
		if f.Meaning = c.meaning(*f.ExitCode); f.Meaning != "" { // which says more than the message
			f.Message = codeWords.ReplaceAllString(f.Message, "$1.")
		}
	}
	if f.Hint = c.hint(); f.Hint == "" && mine {
		f.Hint = t.Finished.Hint
	}
	return f
}

func owns(s *view.Step, vertex string) bool {
	for _, v := range s.Vertices {
		if v.Digest == vertex {
			return true
		}
	}
	return false
}

// clues are the facts from which a failure is read.
type clues struct {
	step     Step
	tail     string // last lines of output, up to clueLines
	message  string // BuildKit's and ours
	files    []string
	code     *int
	requests []play.Requested
}

// signals are those that end programs in builds.
var signals = map[int]string{
	1: "SIGHUP", 2: "SIGINT: it was interrupted", 3: "SIGQUIT", 4: "SIGILL: it contains an instruction that this processor does not know",
	6: "SIGABRT: it gave up by itself, mostly after an error of its own", 7: "SIGBUS: it touched memory that is not there",
	8: "SIGFPE: it divided by zero or the like", 9: "SIGKILL: something ended it by force, mostly because it used more memory than it may",
	11: "SIGSEGV: it touched memory that is not its own", 13: "SIGPIPE: nobody read what it wrote any more",
	15: "SIGTERM: something asked it to end", 24: "SIGXCPU: it used more processor time than it may", 25: "SIGXFSZ: it wrote a file larger than it may",
}

// meaning is an exit code in plain words, or "" where it is the program's own.
func (c clues) meaning(code int) string {
	command := c.command()
	switch {
	case code == 126:
		return "126: the program was found, but can't be run: it is not executable, or not a program."
	case code == 127:
		if name := c.missing(); name != "" {
			return fmt.Sprintf("127: the command %s was not found.", name)
		}
		return "127: a command was not found."
	case code > 128 && code < 128+65:
		if s, ok := signals[code-128]; ok {
			return fmt.Sprintf("%d is 128 + %d: the program was ended by %s.", code, code-128, s)
		}
		return fmt.Sprintf("%d is 128 + %d: the program was ended by signal %d.", code, code-128, code-128)
	case code == 100 && strings.Contains(command, "apt"):
		return "100: apt-get ended with an error."
	case code == 22 && strings.Contains(command, "curl"):
		return "22: the server answered curl with an error."
	case code == 6 && strings.Contains(command, "curl"):
		return "6: curl could not find the host."
	case code == 8 && strings.Contains(command, "wget"):
		return "8: the server answered wget with an error."
	case code == 2 && strings.Contains(c.tail, "yntax error"):
		return "2: the shell could not read the command."
	}
	return "" // it means what the program's documentation says
}

// command is the step's text with the bodies of its heredocs.
func (c clues) command() string { return c.step.Source }

var notFound = []*regexp.Regexp{
	regexp.MustCompile(`(?m)^(?:/bin/|/usr/bin/)?(?:sh|ash|dash): (?:\d+: |line \d+: )?([^\s:]+): (?:not found|Permission denied)\s*$`),
	regexp.MustCompile(`(?m)^(?:/bin/|/usr/bin/)?bash: (?:line \d+: )?([^\s:]+): (?:command not found|No such file or directory)\s*$`),
	regexp.MustCompile(`(?m)^(?:env|/usr/bin/env): [‘'"]?([^\s’'":]+)[’'"]?: No such file or directory`),
	regexp.MustCompile(`exec: "([^"]+)": (?:executable file not found|stat|no such file)`),
	regexp.MustCompile(`(?m)xargs: ([^\s:]+): No such file`),
}

// missing is the command that was not found, or "".
func (c clues) missing() string {
	for _, re := range notFound {
		if m := re.FindStringSubmatch(c.tail); m != nil {
			return m[1]
		}
		if m := re.FindStringSubmatch(c.message); m != nil {
			return m[1]
		}
	}
	return ""
}
