// Package explain turns a reading of a Dockerfile and, if there is one, the view of a build into annotated
// steps: what each does, why one does it, the state it leaves, and what became of it in this very build. It
// states facts with their source and guesses nothing.
package explain

import (
	"slipway/server/play"
	"slipway/server/view"
)

// Options are what is known beside the text. The zero value knows nothing more.
type Options struct {
	File      string                 // the Dockerfile's path in the context; "" is "Dockerfile"
	Target    string                 // stage that is built: name or index; "" is the last
	BuildArgs map[string]string      // given to the build
	Platform  string                 // "" is linux/amd64
	Files     []string               // paths of the build context, sorted; nil if they are not known
	Ignored   func(path string) bool // whether .dockerignore leaves a file out; nil: nothing is

	// Base tells the configuration of an image, where it is known: from the catalogue, from a table of official
	// images, from an earlier build. nil knows none.
	Base func(ref string) (play.ImageConfig, bool)

	Findings []play.Diagnostic // of the linter; a job brings its own as well
	Job      *view.Job         // the build, or nil
}

// Step is one annotated instruction.
type Step struct {
	N           int        `json:"n"`
	Stage       int        `json:"stage"` // -1 before the first FROM
	StageName   string     `json:"stage_name,omitempty"`
	Instruction string     `json:"instruction"`
	Text        string     `json:"text"`
	Source      string     `json:"source"` // the lines as written
	Range       play.Range `json:"range"`
	Needed      bool       `json:"needed"`

	What []Sentence `json:"what"`          // what it does, from its actual arguments
	Why  []Sentence `json:"why,omitempty"` // why one does it
	URL  string     `json:"url"`           // its section of the Dockerfile reference

	Before State `json:"before"`
	After  State `json:"after"`

	Build    *Result           `json:"build,omitempty"` // what became of it, if there is a build
	Findings []play.Diagnostic `json:"findings,omitempty"`
}

// Sentence is one statement, with the words of the instruction that it is about.
type Sentence struct {
	Text  string      `json:"text"`
	About *play.Range `json:"about,omitempty"`
}

// State is what holds after an instruction.
type State struct {
	Stage      int      `json:"stage"`
	Base       string   `json:"base,omitempty"`
	User       string   `json:"user"`
	WorkingDir string   `json:"working_dir"`
	Env        []Var    `json:"env,omitempty"`  // in order of first definition
	Args       []Var    `json:"args,omitempty"` // build arguments in scope
	Shell      []string `json:"shell"`
	Exposed    []string `json:"exposed,omitempty"`
	Volumes    []string `json:"volumes,omitempty"`
	Labels     []Var    `json:"labels,omitempty"`
	Entrypoint []string `json:"entrypoint,omitempty"`
	Cmd        []string `json:"cmd,omitempty"`
	StopSignal string   `json:"stop_signal,omitempty"`
	Health     string   `json:"health,omitempty"`
	Unknown    []string `json:"unknown,omitempty"` // fields that come from a base image that is not known yet, e.g. "user"
}

// Var is a name, its value, and the step that set it (0: the base image).
type Var struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Step  int    `json:"step,omitempty"`
}

// Result is what became of a step in one build.
type Result struct {
	Status   view.Status      `json:"status"`
	Facts    []Sentence       `json:"facts,omitempty"` // e.g. "Added 212 files, 48 MB, in 6.1 s."
	Duration *play.Millis     `json:"duration,omitempty"`
	Added    *int64           `json:"added,omitempty"` // bytes, unpacked
	Files    *int             `json:"files,omitempty"`
	Lines    int              `json:"lines"` // of output
	Requests []play.Requested `json:"requests,omitempty"`
	Base     *play.Base       `json:"base,omitempty"` // for FROM: what it resolved to, and who served it
	Failure  *Failure         `json:"failure,omitempty"`
}

// Failure is why a step failed and what to try.
type Failure struct {
	Message  string   `json:"message"`
	ExitCode *int     `json:"exit_code,omitempty"`
	Meaning  string   `json:"meaning,omitempty"` // of the exit code
	Hint     string   `json:"hint,omitempty"`
	Tail     []string `json:"tail,omitempty"` // last lines of output
}
