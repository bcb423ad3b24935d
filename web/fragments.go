package web

import (
	"github.com/a-h/templ"

	"slipway/server/explain"
	"slipway/server/play"
	"slipway/server/view"
)

// The live stream, GET /b/{build}/live?after=SEQ, is server-sent events whose data is HTML:
//
//	event: patch   one or more elements, each with an id. The page morphs each into the element of that id.
//	event: lines   LinesFragment: rows that are added to the log, or take the place of the row of the same id.
//	event: end     the build has finished and everything was sent: the page closes the stream.
//
// Every event carries id: the Seq of the last event folded into it. Fragments depend on no viewer: draw each
// once and send the same bytes to all.

// StepFragment is one step, <li id="step-4">, without its log lines: they come as LinesFragment and stay
// where they are when the step is patched. seen is the step in a build, nil when there is none; now is since
// the job was created.
func StepFragment(build string, s explain.Step, seen *view.Step, now play.Millis) templ.Component {
	return stepItem(stepOf(build, s, seen, now))
}

// StepsFragment is the whole list, <ol id="steps">: for a plan that changed, and for the steps of a text that
// was not built (POST /steps), with an empty build. A list of no steps says so.
func StepsFragment(b Build) templ.Component { return stepList(stepsOf(b)) }

// StatusFragment is where the build stands: <div id="status"> and, for a failed build, why.
func StatusFragment(b Build) templ.Component { return status(b) }

// ResultFragment is what stands outside of the steps: layers, image, network, what was left out. Send it when
// Exported, Requested, Truncated or Finished came.
func ResultFragment(b Build) templ.Component { return result(b) }

// LinesFragment is rows of the log, at most about 500 at a time.
func LinesFragment(lines []view.Line) templ.Component { return logRows(lines) }
