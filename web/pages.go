package web

import (
	"context"
	"io"
	"time"

	"slipway/server/explain"
	"slipway/server/play"
	"slipway/server/view"
)

// Layout is what every page needs beside its own content.
type Layout struct {
	BaseURL string // scheme and host without a final slash, for links that leave the page
	Path    string // of the page, for its canonical link
	Nonce   string // of the response's Content-Security-Policy; only EditorPage writes it into the page
	NoIndex bool   // whether to ask search engines to leave the page out
}

// How many lines of output a page shows: of the whole log, and of each step in its place. The text of the log
// has all that were kept.
const (
	LogLines  = 5000
	StepLines = 200
)

// Build is one build as pages show it. Nothing in it depends on who looks but CanCancel.
type Build struct {
	Job       play.Job
	Timeline  *view.Timeline // nil: nothing is known yet
	Steps     []explain.Step
	Lines     []view.Line         // the last of the log, in order of N; pages show at most LogLines
	StepLines map[int][]view.Line // the last of each step, at most StepLines; nil: those that are in Lines
	Now       time.Time           // the moment of drawing
	Pull      string              // reference of the image for an ordinary client; "" if there is none
	CanCancel bool
}

// EditorPage is "/" and "/s/{snippet}[/{revision}]". Its form posts multipart/form-data to Action with these
// fields; the script posts the same things to the JSON API instead.
//
//	action      "build", "save", "lint", "add" (one more empty file) or "upload"; Enter in a field is "lint"
//	title       of the snippet
//	forked_from ID of the snippet that a new one is a copy of, or ""
//	base        ID of the revision that was edited; "" for a snippet that was never saved
//	path.N      path of file N, from 0, without gaps
//	content.N   its text. Browsers send CRLF at every line end: CRLF means LF, unless eol.N is "crlf"
//	eol.N       "crlf" if the file had CRLF line ends
//	base64.N    its content in place of content.N, for files that are not text
//	exec.N      "1" if the file is executable
//	delete.N    "1" if the file is to be left out
//	upload      any number of files to add; archives (.zip, .tar, .tar.gz) are unpacked
//	dockerfile, target, platform, network   as in play.BuildRequest
//	args        build arguments, one NAME=value a line
//	no_cache    "1"
//
// A file whose path and content are empty is left out. A refused post is drawn again with what was typed, and Error.
type EditorPage struct {
	Layout
	Action   string            // where the form posts: the page's own path without the revision
	Snippet  play.Snippet      // zero: never saved
	Title    string            // as typed; it differs from Snippet.Title only after a refused post
	Revision play.Revision     // the files shown; ID "" if they were never saved
	Old      bool              // Revision is not the snippet's latest: read only, with a way to the latest
	Owner    bool              // whether this viewer may add a revision; for others saving makes their own copy
	Options  play.BuildRequest // Revision is not used
	Args     string            // as typed; "": from Options.BuildArgs
	Open     string            // path of the file that is in front; "": the Dockerfile
	Checked  bool              // whether Findings and Steps are of these files
	Findings []play.Diagnostic
	Steps    []explain.Step // from the text, when there is no Build
	Stages   []play.Stage   // to choose the target from
	Build    *Build         // the last build of Revision, if there is one
	Examples []Example
	Limits   play.Limits
	Error    *play.Error // why a post was refused
}

// BuildPage is "/b/{build}".
type BuildPage struct {
	Layout
	Build    Build
	Snippet  *play.Snippet // that it was started from; nil: none
	Revision play.Revision
}

// Example is an entry of the list of examples: a snippet with words about it.
type Example struct {
	Snippet string // ID
	Title   string
	Summary string   // one or two sentences
	Level   string   // "beginner", "intermediate" …
	Group   string   // examples of one group follow each other, e.g. "FastAPI with pip, in five steps"
	Learns  []string // what one learns, each a short phrase
	Needs   string   // what it needs that may not be there, a sentence; "" for nothing
}

// ExamplesPage is "/examples".
type ExamplesPage struct {
	Layout
	Examples []Example
}

// Rule is one lint rule's page of explanation.
type Rule struct {
	ID       string
	Title    string
	Severity play.Severity
	Explain  string // Markdown
	Bad      string // a Dockerfile that fires it
	Good     string // the same, mended
	Upstream string // URL of its origin, or ""
}

// RulesPage is "/rules".
type RulesPage struct {
	Layout
	Rules []Rule
}

// RulePage is "/rules/{id}".
type RulePage struct {
	Layout
	Rule Rule
}

// APICall is one call of the JSON API, for people.
type APICall struct {
	Method, Path string
	Does         string
	Curl         string // a command that works, or ""
}

// APIPage is "/api".
type APIPage struct {
	Layout
	Calls []APICall
	Spec  string // path of the OpenAPI description
}

// ErrorPage is drawn in place of a page that can't be. Err.Err is never shown.
type ErrorPage struct {
	Layout
	Status    int
	Err       *play.Error
	RequestID string
	Retry     time.Duration // when trying again makes sense; 0: not said
}

// Render writes the page. It is a whole HTML document.
func (p EditorPage) Render(ctx context.Context, w io.Writer) error {
	return editorPage(p).Render(ctx, w)
}

// Render writes the page. It is a whole HTML document, the same for every viewer unless Build.CanCancel.
func (p BuildPage) Render(ctx context.Context, w io.Writer) error { return buildPage(p).Render(ctx, w) }

// Render writes the page. It is a whole HTML document.
func (p ExamplesPage) Render(ctx context.Context, w io.Writer) error {
	return examplesPage(p).Render(ctx, w)
}

// Render writes the page. It is a whole HTML document.
func (p RulesPage) Render(ctx context.Context, w io.Writer) error { return rulesPage(p).Render(ctx, w) }

// Render writes the page. It is a whole HTML document.
func (p RulePage) Render(ctx context.Context, w io.Writer) error { return rulePage(p).Render(ctx, w) }

// Render writes the page. It is a whole HTML document.
func (p APIPage) Render(ctx context.Context, w io.Writer) error { return apiPage(p).Render(ctx, w) }

// Render writes the page. It is a whole HTML document.
func (p ErrorPage) Render(ctx context.Context, w io.Writer) error { return errorPage(p).Render(ctx, w) }
