package play

// Stage is one FROM and what follows it.
type Stage struct {
	Index  int    `json:"index"`          // from 0, in file order
	Name   string `json:"name,omitempty"` // AS name
	Base   Base   `json:"base"`
	Needed bool   `json:"needed"` // whether the target depends on it
	Range  Range  `json:"range"`
}

// Base is what a stage begins with, or what a COPY --from or mount takes files from.
type Base struct {
	Ref    string `json:"ref"`              // as it resolves: an image reference, a stage's name, or "scratch"
	Stage  *int   `json:"stage,omitempty"`  // index of the stage that it is, if it is one
	Digest string `json:"digest,omitempty"` // of the manifest or index, once resolved
	Origin string `json:"origin,omitempty"` // OriginCatalogue, or the registry's host name; "" until resolved
	Note   string `json:"note,omitempty"`   // what a stand-in is made from
}

// OriginCatalogue marks a base image that Slipway's own catalogue served in place of the official one.
const OriginCatalogue = "catalogue"

// Step is an instruction as written. Every instruction of the file is a step, in file order.
type Step struct {
	N           int      `json:"n"`     // from 1
	Stage       int      `json:"stage"` // index; -1 before the first FROM
	Instruction string   `json:"instruction"`
	Text        string   `json:"text"` // the whole instruction, continuation lines joined, heredoc bodies left out
	Range       Range    `json:"range"`
	Vertices    []string `json:"vertices,omitempty"` // digests of the vertices that carry it out, once planned by the solver; none for steps that only set metadata
	Inputs      []int    `json:"inputs,omitempty"`   // steps whose result it uses
	Needed      bool     `json:"needed"`             // whether the target depends on it
}

// Layer is one layer of an image.
type Layer struct {
	Digest    string `json:"digest"`  // of the compressed blob
	DiffID    string `json:"diff_id"` // of the uncompressed tar
	Size      int64  `json:"size"`    // compressed bytes
	Unpacked  int64  `json:"unpacked"`
	Files     int    `json:"files"`          // entries of the tar
	Step      int    `json:"step,omitempty"` // 0: it came with the base image
	CreatedBy string `json:"created_by,omitempty"`
}

// ImageConfig is how containers of an image start, as the image's configuration says.
type ImageConfig struct {
	User        string            `json:"user,omitempty"`
	WorkingDir  string            `json:"working_dir,omitempty"`
	Env         []string          `json:"env,omitempty"`
	Entrypoint  []string          `json:"entrypoint,omitempty"`
	Cmd         []string          `json:"cmd,omitempty"`
	Exposed     []string          `json:"exposed,omitempty"`
	Volumes     []string          `json:"volumes,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	StopSignal  string            `json:"stop_signal,omitempty"`
	Shell       []string          `json:"shell,omitempty"`
	Healthcheck []string          `json:"healthcheck,omitempty"`
}
