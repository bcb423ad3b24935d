// Package lint says what is wrong with a Dockerfile, and what will hurt: the checks of "docker build --check", run in
// process by BuildKit's own code, and the errors that a build would stop at. A build stops at the first; here a
// broken line takes nothing from the findings of the other lines.
//
// It reads what it is given: no network, no clock, no files. BuildKit's code expands variables without a bound, so a
// stranger's text belongs behind dockerfile.Preflight and into a process that may die (package guard).
package lint

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"slipway/server/dockerfile"
	"slipway/server/play"

	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// Input is what the linter looks at. It is data, so that it can be handed to another process.
type Input struct {
	File       string            `json:"file"`   // path of the Dockerfile
	Source     string            `json:"source"` // its text
	IgnoreFile string            `json:"ignore_file,omitempty"`
	Ignore     string            `json:"ignore,omitempty"` // text of the .dockerignore that counts
	Target     string            `json:"target,omitempty"` // stage name or index; "" checks all stages
	BuildArgs  map[string]string `json:"build_args,omitempty"`
	Platform   string            `json:"platform,omitempty"`
	Images     map[string]Image  `json:"images,omitempty"` // what is known of base images, by reference as written
}

// Image is what a base image brings along.
type Image struct {
	Env        []string `json:"env,omitempty"` // NAME=value
	User       string   `json:"user,omitempty"`
	WorkingDir string   `json:"working_dir,omitempty"`
	Shell      []string `json:"shell,omitempty"`
	OnBuild    []string `json:"on_build,omitempty"`
	Platform   string   `json:"platform,omitempty"` // "" is the one that is asked for
}

// NewInput picks what the linter needs out of a revision's files: an *play.Error if the Dockerfile is not there.
func NewInput(files []play.File, req play.BuildRequest) (Input, error) {
	in := Input{File: req.File(), Target: req.Target, BuildArgs: req.BuildArgs, Platform: req.Platform}
	text := func(path string) (string, bool) {
		i := slices.IndexFunc(files, func(f play.File) bool { return f.Path == path })
		if i < 0 {
			return "", false
		}
		return string(files[i].Content), true
	}
	var ok bool
	if in.Source, ok = text(in.File); !ok {
		return in, play.Errorf(play.Invalid, "There is no file %s to check.", in.File)
	}
	for _, name := range []string{in.File + ".dockerignore", ".dockerignore"} {
		if in.Ignore, ok = text(name); ok {
			in.IgnoreFile = name
			break
		}
	}
	return in, nil
}

// Lint gives the findings, in the order of the text. An error means that the linter itself is broken, or that ctx
// is done; whatever is wrong with the input is a finding.
func Lint(ctx context.Context, in Input) ([]play.Diagnostic, error) {
	r := &report{in: in, o: dockerfile.Parse([]byte(in.Source)), severity: play.SeverityWarning}
	for _, p := range r.o.Problems {
		r.find(p.Rule, p.Range, p.Message)
	}
	cfg := r.config()
	for _, rule := range Rules() {
		if rule.check == nil {
			continue
		}
		for _, m := range rule.check(in, r.o) {
			d := r.diagnostic(rule.ID, m.at, m.text)
			d.File = cmp.Or(m.file, in.File)
			r.found = append(r.found, d)
		}
	}
	f, err := newFrontend(r, cfg)
	if err != nil {
		return nil, err
	}
	r.unknown = r.unknownStages(f.images)
	r.broken(*cfg)
	if err := r.run(ctx, f); err != nil {
		return nil, err
	}
	return r.findings(), nil
}

// report collects the findings about one text.
type report struct {
	in       Input
	o        *dockerfile.Outline
	found    []play.Diagnostic
	severity play.Severity // of BuildKit's checks: "# check=error=true" makes them stop a build
	unknown  map[int]bool  // stages of whose base image nothing is known
}

// config reads "# check=", or the build argument that overrides it.
func (r *report) config() *linter.Config {
	text, overridden := r.in.BuildArgs["BUILDKIT_DOCKERFILE_CHECK"]
	var at play.Range
	for _, d := range r.o.Directives {
		if d.Name == "check" && !overridden {
			text, at = d.Value, d.ValueRange
			text, _, _ = strings.Cut(text, " ") // as BuildKit does: what follows a blank is a comment
		}
	}
	cfg, err := linter.ParseLintOptions(text)
	if err != nil {
		r.find(dockerfile.InvalidDirective, at, "The options for checks can't be read: "+err.Error()+".")
		cfg = &linter.Config{}
	}
	if cfg.ReturnAsError {
		r.severity = play.SeverityError
		cfg.ReturnAsError = false // else BuildKit adds an error of its own, without a place
	}
	return cfg
}

// remark is what a rule's check has to say.
type remark struct {
	file string // "" is the Dockerfile
	at   play.Range
	text string
}

// badTarget is the check of UnknownTarget.
func badTarget(in Input, o *dockerfile.Outline) []remark {
	if _, ok := o.Target(in.Target); ok {
		return nil
	}
	return []remark{{text: "There is no stage " + quote(in.Target) + " to build."}}
}

// badIgnore is the check of InvalidDockerignore.
func badIgnore(in Input, _ *dockerfile.Outline) []remark {
	err := readIgnore(in.Ignore)
	if err == nil {
		return nil
	}
	return []remark{{file: in.IgnoreFile, text: "The patterns can't be read: " + err.Error() + "."}}
}

// readIgnore says what is wrong with the text of a .dockerignore.
func readIgnore(text string) error {
	patterns, err := ignorefile.ReadAll(strings.NewReader(text))
	if err == nil {
		_, err = patternmatcher.New(patterns)
	}
	return err
}

func (r *report) find(rule string, at play.Range, msg string) {
	r.found = append(r.found, r.diagnostic(rule, at, msg))
}

func (r *report) diagnostic(rule string, at play.Range, msg string) play.Diagnostic {
	d := play.Diagnostic{Rule: rule, Severity: play.SeverityWarning, Message: msg, File: r.in.File, Range: at, URL: "/rules/" + rule}
	if known, ok := Find(rule); ok {
		d.Severity, d.Detail = known.Severity, known.Title
		d.Aliases = known.Aliases
	}
	return d
}

// findings are all of them, each once, in the order of the text.
func (r *report) findings() []play.Diagnostic {
	slices.SortStableFunc(r.found, func(a, b play.Diagnostic) int {
		return cmp.Or(strings.Compare(a.File, b.File), compare(a.Range.Start, b.Range.Start), compare(a.Range.End, b.Range.End),
			strings.Compare(a.Rule, b.Rule), strings.Compare(said(a), said(b)))
	})
	return slices.CompactFunc(r.found, func(a, b play.Diagnostic) bool {
		return a.File == b.File && a.Rule == b.Rule && a.Range == b.Range && said(a) == said(b)
	})
}

func compare(a, b play.Position) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// said is the message without a guess that may differ from run to run.
func said(d play.Diagnostic) string {
	s, _, _ := strings.Cut(d.Message, " (did you mean")
	return s
}

func quote(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return `"` + s + `"`
}

// lines are the lines of a text, without their ends.
func lines(src []byte) [][]byte {
	all := bytes.Split(bytes.TrimPrefix(src, []byte("\xef\xbb\xbf")), []byte("\n"))
	for i := range all {
		all[i] = bytes.TrimSuffix(all[i], []byte("\r"))
	}
	return all
}
