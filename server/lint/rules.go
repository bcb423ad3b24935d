package lint

import (
	"embed"
	"strings"
	"sync"

	"slipway/server/dockerfile"
	"slipway/server/play"

	"golang.org/x/tools/txtar"
)

// Rule is one thing that the linter may report. Its page of explanation is docs/ID.md.
type Rule struct {
	ID       string
	Severity play.Severity
	Title    string   // one sentence: what the rule is about
	Aliases  []string // the same finding under the ids of other rule sets
	Upstream string   // where the rule comes from

	// check looks for what BuildKit doesn't report; nil if BuildKit does.
	check func(in Input, o *dockerfile.Outline) []remark

	// place narrows BuildKit's lines to the words that matter, given BuildKit's message.
	place func(o *dockerfile.Outline, in *dockerfile.Instruction, msg string) (play.Range, bool)
}

// Rules that only this package reports; those of an outline's problems are in package dockerfile.
const (
	InvalidInstruction  = "InvalidInstruction"
	InvalidDockerignore = "InvalidDockerignore"
	UnknownTarget       = "UnknownTarget"
	TooManyErrors       = "TooManyErrors"

	undefinedVar = "UndefinedVar" // BuildKit's
)

const (
	must   = play.SeverityError
	should = play.SeverityWarning
	may    = play.SeverityInfo

	manual = "https://docs.docker.com/reference/dockerfile/"
	checks = "https://docs.docker.com/go/dockerfile/rule/"
)

// Rules lists everything that the linter may report. To add a rule is to add a value with its check here, and a page
// in docs.
func Rules() []Rule {
	return []Rule{
		// What a build would stop at.
		{ID: dockerfile.ParseError, Severity: must, Title: "The instruction is not written as BuildKit can read it.", Upstream: manual},
		{ID: dockerfile.UnknownInstruction, Severity: must, Title: "There is no instruction of that name.", Upstream: manual},
		{ID: dockerfile.InvalidFlag, Severity: must, Title: "The instruction doesn't take that flag, or not with that value.", Upstream: manual},
		{ID: dockerfile.UnterminatedHeredoc, Severity: must, Title: "A heredoc ends with a line that is just its delimiter.", Upstream: manual + "#here-documents"},
		{ID: dockerfile.InvalidDirective, Severity: must, Title: "A parser directive stands once, at the top, with a value that BuildKit knows.", Upstream: manual + "#parser-directives"},
		{ID: dockerfile.NoFrom, Severity: must, Title: "A Dockerfile begins with FROM; only ARG may stand before it.", Upstream: manual + "#from"},
		{ID: InvalidInstruction, Severity: must, Title: "The instruction can be read, but a build can't carry it out.", Upstream: manual},
		{ID: InvalidDockerignore, Severity: must, Title: "The .dockerignore file holds a pattern that can't be read.", Upstream: "https://docs.docker.com/build/concepts/context/#dockerignore-files", check: badIgnore},
		{ID: UnknownTarget, Severity: must, Title: "The build asks for a stage that the Dockerfile doesn't have.", Upstream: "https://docs.docker.com/build/building/multi-stage/#stop-at-a-specific-build-stage", check: badTarget},
		{ID: TooManyErrors, Severity: may, Title: "The checks stopped early, because there are so many errors."},

		// BuildKit's checks.
		{ID: "ConsistentInstructionCasing", Severity: should, Title: "All instructions are written in the same case.", Upstream: checks + "consistent-instruction-casing/", place: nameOf},
		{ID: "CopyIgnoredFile", Severity: should, Title: "A file that .dockerignore excludes can't be copied.", Upstream: checks + "copy-ignored-file/", place: pathIn},
		{ID: "DuplicateStageName", Severity: should, Title: "Each stage has a name of its own.", Aliases: []string{"DL3024"}, Upstream: checks + "duplicate-stage-name/", place: arg(2)},
		{ID: "ExposeInvalidFormat", Severity: should, Title: "EXPOSE names ports of the container, without an address or a port of the host.", Upstream: checks + "expose-invalid-format/", place: wordIn},
		{ID: "ExposeProtoCasing", Severity: should, Title: "The protocol of a port is written in lower case.", Upstream: checks + "expose-proto-casing/", place: wordIn},
		{ID: "FromAsCasing", Severity: should, Title: "FROM and AS are written in the same case.", Upstream: checks + "from-as-casing/", place: arg(1)},
		{ID: "FromPlatformFlagConstDisallowed", Severity: should, Title: "The platform of a base image is not fixed in the Dockerfile.", Aliases: []string{"DL3029"}, Upstream: checks + "from-platform-flag-const-disallowed/", place: flag("platform")},
		{ID: "InvalidBaseImagePlatform", Severity: should, Title: "The base image is for the platform that is built.", Upstream: "https://docs.docker.com/build/building/multi-platform/", place: arg(0)},
		{ID: "InvalidDefaultArgInFrom", Severity: should, Title: "The defaults of the ARGs give a base image.", Upstream: checks + "invalid-default-arg-in-from/", place: arg(0)},
		{ID: "InvalidDefinitionDescription", Severity: should, Title: "A comment right above a stage or an ARG describes it, beginning with its name.", Upstream: checks + "invalid-definition-description/", place: nameOf},
		{ID: "JSONArgsRecommended", Severity: should, Title: "CMD and ENTRYPOINT are JSON arrays, so that the program gets signals.", Upstream: checks + "json-args-recommended/", place: arg(0)},
		{ID: "LegacyKeyValueFormat", Severity: should, Title: "ENV and LABEL are written with an equals sign.", Upstream: checks + "legacy-key-value-format/", place: arg(0)},
		{ID: "MaintainerDeprecated", Severity: should, Title: "MAINTAINER is replaced by a label.", Aliases: []string{"DL4000"}, Upstream: checks + "maintainer-deprecated/", place: nameOf},
		{ID: "MultipleInstructionsDisallowed", Severity: should, Title: "Of several CMD, ENTRYPOINT or HEALTHCHECK in a stage only the last counts.", Upstream: checks + "multiple-instructions-disallowed/", place: nameOf},
		{ID: "NoEmptyContinuation", Severity: should, Title: "An instruction that goes on over several lines has no empty ones.", Upstream: checks + "no-empty-continuation/", place: emptyLine},
		{ID: "RedundantTargetPlatform", Severity: should, Title: "The target platform is the default.", Aliases: []string{"DL3065"}, Upstream: checks + "redundant-target-platform/", place: flag("platform")},
		{ID: "ReservedStageName", Severity: should, Title: "A stage is not named scratch or context.", Aliases: []string{"DL3063"}, Upstream: checks + "reserved-stage-name/", place: arg(2)},
		{ID: "SecretsUsedInArgOrEnv", Severity: should, Title: "A secret in ARG or ENV stays in the image.", Upstream: checks + "secrets-used-in-arg-or-env/", place: keyIn},
		{ID: "StageNameCasing", Severity: should, Title: "Names of stages are written in lower case.", Upstream: checks + "stage-name-casing/", place: arg(2)},
		{ID: "UndefinedArgInFrom", Severity: should, Title: "A variable in FROM is declared by an ARG before it.", Upstream: checks + "undefined-arg-in-from/", place: variableIn},
		{ID: undefinedVar, Severity: should, Title: "A variable is defined by ARG or ENV before it is used.", Upstream: checks + "undefined-var/", place: variableIn},
		{ID: "WorkdirRelativePath", Severity: should, Title: "The first WORKDIR of a build is absolute.", Upstream: checks + "workdir-relative-path/", place: arg(0)},
	}
}

var byID = sync.OnceValue(func() map[string]Rule {
	all := map[string]Rule{}
	for _, r := range Rules() {
		all[r.ID] = r
	}
	return all
})

// Find is the rule of an id.
func Find(id string) (Rule, bool) {
	r, ok := byID()[id]
	return r, ok
}

//go:embed docs
var docs embed.FS

// Page is a rule's explanation: markdown, with an example that the rule reports and one that it doesn't.
type Page struct {
	Text      string // markdown, without a title
	Bad, Good Example
}

// Example is some files, and the stage that is built.
type Example struct {
	Files  []txtar.File
	Target string
}

// Page reads the rule's page.
func (r Rule) Page() (Page, error) {
	src, err := docs.ReadFile("docs/" + r.ID + ".md")
	if err != nil {
		return Page{}, err
	}
	text := string(src)
	return Page{Text: text, Bad: example(text, "## Reported"), Good: example(text, "## Not reported")}, nil
}

// example is the first fenced block behind a heading: a Dockerfile, or several files in txtar's form.
func example(text, heading string) Example {
	_, rest, _ := strings.Cut(text, heading+"\n")
	_, rest, _ = strings.Cut(rest, "```dockerfile")
	options, rest, _ := strings.Cut(rest, "\n")
	block, _, _ := strings.Cut(rest, "```\n")
	e := Example{Target: strings.TrimPrefix(options, " target="), Files: txtar.Parse([]byte(block)).Files}
	if len(e.Files) == 0 {
		e.Files = []txtar.File{{Name: "Dockerfile", Data: []byte(block)}}
	}
	return e
}
