// Package view holds the folds: functions from the events of a job to what people see of it. A fold reads no
// clock, no environment and no network, ignores events that it has seen and kinds that it does not know, and
// gives the same value for a live log, a replay and a resumed reader. "Now" is an argument to drawing.
package view

import "slipway/server/play"

// Status is what became of a step in this build.
type Status string

const (
	Waiting Status = "waiting" // not begun
	Running Status = "running"
	Ran     Status = "ran"
	Reused  Status = "reused"  // the cache had its result
	Applied Status = "applied" // it only sets metadata: there is nothing to run
	Failing Status = "failed"
	Skipped Status = "skipped" // the build ended, or never needed it; Step.Reason says which
)

// Timeline is a job so far: where it stands, and the state of every step.
type Timeline struct {
	Seq       int64 // of the last event folded in
	At        play.Millis
	State     play.State
	Ahead     int // jobs before it while it is queued
	Started   *play.Started
	StartedAt play.Millis
	Plan      play.Planned
	Steps     []Step   // one for every step of the plan, in file order
	Others    []Vertex // vertices that belong to no step: loading the context, metadata, exporting
	Findings  []play.Diagnostic
	Requests  []play.Requested // that belong to no step
	Exported  *play.Exported
	Truncated []play.Truncated
	Finished  *play.Finished
}

// Step is what became of one step.
type Step struct {
	play.Step
	Status    Status
	Reason    string // for Skipped
	Vertices  []Vertex
	Start     *play.Millis // first start of its vertices, since the job was created
	End       *play.Millis // last completion, once all are complete
	Busy      play.Millis  // time its vertices ran, intervals merged; grows while Running only by events
	Layer     *play.Layer  // that it added to the image
	Requests  []play.Requested
	Truncated []play.Truncated
	Lines     int // of output
	Error     string
}

// Vertex is one vertex with its intervals merged and its transfers.
type Vertex struct {
	Digest    string
	Name      string
	Status    Status
	Intervals []Interval // disjoint, in order; the last may be open
	Error     string
	Progress  []play.Progress
	Lines     int
}

// Interval is a stretch of time since the job was created. End is nil while it is open.
type Interval struct {
	Start play.Millis
	End   *play.Millis
}

// Line is one line of a job's console: a step's or another vertex's output, or BuildKit's own words.
type Line struct {
	N      int    // from 1, over the whole job: the anchor #L12
	Step   int    // 0: of no step
	Vertex string // digest
	Stream int
	At     play.Millis
	Text   string // without terminal codes
	HTML   string // safe: text escaped, colours as classes, links with rel
	Open   bool   // the last line of its stream, which may still grow
}

// Changes is what a reader must draw again to be level with Seq.
type Changes struct {
	Seq    int64  // of the last event folded in
	Steps  []int  // numbers of the steps that changed, ascending
	Others bool   // whether Timeline.Others changed
	Head   bool   // whether anything else of the Timeline changed: state, place in line, findings, outcome
	Lines  []Line // new or changed lines, by N
}
