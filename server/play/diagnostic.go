package play

import "fmt"

// Position is a place in a text. Both count from 1; a column is a Unicode code point of its line.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// Before reports whether p comes before q.
func (p Position) Before(q Position) bool {
	return p.Line < q.Line || p.Line == q.Line && p.Column < q.Column
}

// Range is a stretch of a text; End is the position after its last character.
type Range struct {
	Start Position `json:"start"`
	End   Position `json:"end"`
}

// Place is a range of a file, or the whole file if the range is zero.
type Place struct {
	File  string `json:"file"`
	Range Range  `json:"range,omitzero"`
}

func (p Place) String() string {
	if p.Range.Start.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Range.Start.Line, p.Range.Start.Column)
}

// Severity orders diagnostics from "must" to "may".
type Severity string

const (
	SeverityError   Severity = "error"   // the build can't work
	SeverityWarning Severity = "warning" // it works, and will hurt
	SeverityInfo    Severity = "info"    // worth knowing
)

// Diagnostic is one finding of the linter.
type Diagnostic struct {
	Rule     string   `json:"rule"`              // e.g. "StageNameCasing"
	Aliases  []string `json:"aliases,omitempty"` // the same finding under the ids of other rule sets
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Detail   string   `json:"detail,omitempty"` // what the rule is about, one sentence
	File     string   `json:"file"`
	Range    Range    `json:"range"`
	URL      string   `json:"url,omitempty"` // page of explanation
	Fixes    []Fix    `json:"fixes,omitempty"`
}

// Fix is one way to mend a finding. A safe fix never changes what the image does.
type Fix struct {
	Title string `json:"title"`
	Safe  bool   `json:"safe"`
	Edits []Edit `json:"edits"`
}

// Edit replaces a range of a file.
type Edit struct {
	File  string `json:"file"`
	Range Range  `json:"range"`
	Text  string `json:"text"`
}
