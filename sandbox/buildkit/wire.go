package buildkit

import "slipway/server/play"

// spec is all that the agent is told: one gob value on its standard input.
type spec struct {
	Build    play.Build
	Registry string // host that the image is pushed to
	Password string // for that host and this build's image only
}

// The agent answers with facts as JSON lines, in the form of play.Event without seq and at, and a last line of this
// kind with what only the node can turn into facts.
const resultKind = "agent_result"

type result struct {
	Kind     string        `json:"kind"`
	Finished play.Finished `json:"finished"`
	Internal string        `json:"internal,omitempty"`  // why it is our fault, for the log
	Missing  string        `json:"missing,omitempty"`   // image reference that could not be resolved
	URL      string        `json:"url,omitempty"`       // that could not be fetched
	DiskFull bool          `json:"disk_full,omitempty"` // it had no room left when the build failed
	Spent    bool          `json:"spent,omitempty"`     // another build should not have to do with this daemon
	Image    *pushed       `json:"image,omitempty"`
}

// pushed is an image in the registry.
type pushed struct {
	Digest   string           `json:"digest"`
	Platform string           `json:"platform"`
	Config   play.ImageConfig `json:"config"`
	Steps    []int            `json:"steps"` // of the layers above the base image, lowest first
}

// imageName is the repository of a build's image.
func imageName(job string) string { return "builds/" + job }
