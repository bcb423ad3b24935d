package play

import (
	"errors"
	"regexp"
	"strings"
	"time"
)

// BuildRequest is what a person may ask of a build.
type BuildRequest struct {
	Revision   string            `json:"revision"`
	Dockerfile string            `json:"dockerfile,omitempty"` // path in the context; "" is "Dockerfile"
	Target     string            `json:"target,omitempty"`     // stage name or index; "" is the last
	BuildArgs  map[string]string `json:"build_args,omitempty"`
	Platform   string            `json:"platform,omitempty"` // "" is the builder's own
	NoCache    bool              `json:"no_cache,omitempty"`
	Network    string            `json:"network,omitempty"` // NetworkOn or NetworkOff; "" is NetworkOn
}

const (
	NetworkOn  = "on"  // steps reach public hosts over HTTP and HTTPS
	NetworkOff = "off" // steps reach nothing
)

var argName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Check says what is wrong with the request: an *Error of kind Invalid, or nil. Build arguments that BuildKit
// itself interprets are refused, not forwarded.
func (r BuildRequest) Check() error {
	if r.Dockerfile != "" {
		if err := CheckPath(r.Dockerfile); err != nil {
			return err
		}
	}
	if len(r.BuildArgs) > 100 {
		return Errorf(Limited, "There are %d build arguments; at most 100 are allowed.", len(r.BuildArgs))
	}
	for name, value := range r.BuildArgs {
		upper := strings.ToUpper(name)
		switch {
		case len(name) > 128 || !argName.MatchString(name):
			return Errorf(Invalid, "%q is not a name of a build argument: letters, digits and _ only, not beginning with a digit.", short(name))
		case strings.HasPrefix(upper, "BUILDKIT_") || strings.HasSuffix(upper, "_PROXY") || upper == "SOURCE_DATE_EPOCH":
			return Errorf(Invalid, "The build argument %s is one that BuildKit itself interprets; it can't be set here.", name)
		case len(value) > 4096:
			return Errorf(Limited, "The build argument %s has %d bytes; at most 4096 are allowed.", name, len(value))
		case strings.ContainsRune(value, 0):
			return Errorf(Invalid, "The build argument %s contains a NUL byte.", name)
		}
	}
	if len(r.Target) > 128 {
		return Errorf(Invalid, "The target's name is longer than 128 bytes.")
	}
	if r.Platform != "" && r.Platform != "linux/amd64" && r.Platform != "linux/arm64" {
		return Errorf(Invalid, "The platform %q is not known here; use linux/amd64 or linux/arm64.", short(r.Platform))
	}
	if r.Network != "" && r.Network != NetworkOn && r.Network != NetworkOff {
		return Errorf(Invalid, "network is %q; it is either %q or %q.", short(r.Network), NetworkOn, NetworkOff)
	}
	return nil
}

// File is the path of the Dockerfile.
func (r BuildRequest) File() string {
	if r.Dockerfile == "" {
		return "Dockerfile"
	}
	return r.Dockerfile
}

// State is where a job is in its life. It only moves forward.
type State string

const (
	JobQueued   State = "queued"
	JobRunning  State = "running"
	JobFinished State = "finished"
)

// Outcome is how a job ended.
type Outcome string

const (
	OK        Outcome = "ok"
	Failed    Outcome = "failed"    // the person's Dockerfile or files
	LimitHit  Outcome = "limit"     // a stated limit
	Cancelled Outcome = "cancelled" // someone asked for it
	Broken    Outcome = "internal"  // our fault
)

// Job is one build: the record of a request and of how far it got. What happened is in its log.
type Job struct {
	ID       string
	Snippet  string // it was started from, or ""
	Owner    string // a Viewer's ID
	Domain   string // trust domain: who shares the builder and its cache
	Build    BuildRequest
	State    State
	Attempt  int // counts dispatches; the log refuses writers of older ones
	Outcome  Outcome
	Created  time.Time
	Started  time.Time
	Finished time.Time
	Summary  Summary
}

// Summary is what lists and badges show of a finished job: a fold of its log, kept beside the record.
type Summary struct {
	Steps    int    `json:"steps"`
	Cached   int    `json:"cached"`
	Duration Millis `json:"duration"` // from start to finish
	Image    string `json:"image,omitempty"`
	Digest   string `json:"digest,omitempty"`
	Size     int64  `json:"size,omitempty"` // compressed bytes of the image
	Message  string `json:"message,omitempty"`
}

// Build is a job as a worker gets it: everything it needs, nothing it must look up.
type Build struct {
	Job      string
	Attempt  int
	Domain   string
	Created  time.Time
	Request  BuildRequest
	Revision Revision
	Limits   Limits
}

// Causes with which a job's context ends; context.Cause tells which.
var (
	ErrCancelled = errors.New("cancelled by a person")
	ErrDeadline  = errors.New("the job's time is over")
	ErrLost      = errors.New("another worker has taken over the job")
	ErrStopping  = errors.New("the server is stopping")
)
