package server

import (
	"cmp"
	"slices"

	"slipway/server/play"
)

const sarifType = "application/sarif+json"

// SARIF 2.1.0, as far as findings need it: what code scanners of forges read.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID      string    `json:"id"`
		Help    sarifText `json:"shortDescription"`
		HelpURI string    `json:"helpUri,omitempty"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
		Fixes     []sarifFix      `json:"fixes,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
		EndLine     int `json:"endLine"`
		EndColumn   int `json:"endColumn"`
	}
	sarifFix struct {
		Description sarifText     `json:"description"`
		Changes     []sarifChange `json:"artifactChanges"`
	}
	sarifChange struct {
		Artifact     sarifArtifact      `json:"artifactLocation"`
		Replacements []sarifReplacement `json:"replacements"`
	}
	sarifReplacement struct {
		Deleted  *sarifRegion `json:"deletedRegion"`
		Inserted sarifText    `json:"insertedContent"`
	}
)

var sarifLevels = map[play.Severity]string{play.SeverityError: "error", play.SeverityWarning: "warning", play.SeverityInfo: "note"}

// sarifOf writes findings as a SARIF log; base is what their relative links are relative to.
func sarifOf(found []play.Diagnostic, base string) sarifLog {
	run := sarifRun{
		Tool:       sarifTool{sarifDriver{Name: "Slipway", InformationURI: base, Rules: []sarifRule{}}},
		ColumnKind: "unicodeCodePoints", Results: []sarifResult{},
	}
	rules := &run.Tool.Driver.Rules
	for _, d := range found {
		n := slices.IndexFunc(*rules, func(r sarifRule) bool { return r.ID == d.Rule })
		if n < 0 {
			n = len(*rules)
			*rules = append(*rules, sarifRule{ID: d.Rule, Help: sarifText{cmp.Or(d.Detail, d.Rule)}, HelpURI: base + "/rules/" + d.Rule})
		}
		result := sarifResult{
			RuleID: d.Rule, RuleIndex: n, Level: sarifLevels[d.Severity], Message: sarifText{d.Message},
			Locations: []sarifLocation{{sarifPhysical{sarifArtifact{d.File}, regionOf(d.Range)}}},
		}
		for _, f := range d.Fixes {
			fix := sarifFix{Description: sarifText{f.Title}}
			for _, e := range f.Edits {
				fix.Changes = append(fix.Changes, sarifChange{sarifArtifact{e.File}, []sarifReplacement{{regionOf(e.Range), sarifText{e.Text}}}})
			}
			result.Fixes = append(result.Fixes, fix)
		}
		run.Results = append(run.Results, result)
	}
	return sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}}
}

func regionOf(r play.Range) *sarifRegion {
	if r.Start.Line == 0 {
		return nil
	}
	return &sarifRegion{r.Start.Line, r.Start.Column, r.End.Line, r.End.Column}
}
