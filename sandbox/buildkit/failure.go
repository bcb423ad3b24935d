package buildkit

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"
	solvererr "github.com/moby/buildkit/solver/errdefs"
	digest "github.com/opencontainers/go-digest"

	"slipway/server/dockerfile"
	"slipway/server/play"
)

// maxExitCode is the largest exit code of a process. BuildKit gives a larger one where the runtime was killed, and the
// step with it: no step can do that.
const maxExitCode = 255

// failed says in plain words how a build ended that didn't work out.
func (w *work) failed(err error) result {
	if w.end != nil {
		return result{Finished: *w.end}
	}
	if w.err != nil {
		err = w.err
	}
	res := result{Finished: play.Finished{Outcome: play.Failed}, DiskFull: w.full}
	end := &res.Finished
	var vertex *solvererr.VertexError
	if errors.As(err, &vertex) {
		end.Vertex = vertex.Digest
	}
	step := w.failedStep(err, end.Vertex)
	if step != nil {
		end.Step, end.At = step.N, w.files.place(step.Range)
	}
	var exit *gatewayapi.ExitError
	switch problems := w.outline.Problems; {
	case w.join == nil && w.images.missing() != "":
		res.Missing = w.images.missing()
		end.Message = fmt.Sprintf("The image %s can't be had: %s.", res.Missing, reason(w.images.why()))
		end.Hint = "Check the name and the tag."
	case w.join == nil && step == nil && w.strict():
		end.Message = fmt.Sprintf("BuildKit's check %s found something, and the Dockerfile says that the build must fail then.", w.check)
		end.Hint = "Mend it, or take error=true out of the check directive."
		if n := stepAt(w.plan.Steps, w.line); n > 0 {
			end.Step, end.At = n, w.files.place(w.plan.Steps[n-1].Range)
		}
	case w.join == nil && step == nil && len(problems) > 0:
		end.Message, end.At = problems[0].Message, w.files.place(problems[0].Range)
	case w.refusedPush(err) != "":
		end.Outcome, end.Message = play.LimitHit, w.refusedPush(err)
	case strings.Contains(err.Error(), "no space left on device"): // the daemon sends the text only
		res.DiskFull = true
	case step == nil && end.Vertex == "":
		return broken(err)
	case errors.As(err, &exit) && exit.ExitCode > maxExitCode:
		return broken(err)
	case errors.As(err, &exit):
		code := int(exit.ExitCode)
		end.ExitCode = &code
		end.Message, end.Hint = exitWords(code, step)
	case w.notFound(end, step):
	case w.elsewhere(&res, err, step):
	default:
		end.Message = sentence(reason(err))
	}
	return res
}

// refusedPush is why the registry, which is ours and speaks to people, didn't take the image, or "". The credential is
// good, so a denial is a limit.
func (w *work) refusedPush(err error) string {
	_, why, _ := strings.Cut(err.Error(), "failed to push "+w.image+": denied: ") // the daemon sends the text only
	why, _, _ = strings.Cut(why, "\n")
	return why
}

// strict reports whether BuildKit's checks found something in a Dockerfile that makes errors of what they find.
func (w *work) strict() bool {
	return w.check != "" && slices.ContainsFunc(w.outline.Directives, func(d dockerfile.Directive) bool {
		return d.Name == "check" && strings.Contains(d.Value, "error=true")
	})
}

// failedStep is the step that an error is about: by its vertex, or by the place in the Dockerfile that it names.
func (w *work) failedStep(err error, vertex string) *play.Step {
	if w.join != nil && vertex != "" {
		if s := w.join.step(digest.Digest(vertex)); s != nil {
			return s
		}
	}
	line := 0
	var at *parser.LocationError
	if errors.As(err, &at) && len(at.Locations) > 0 && len(at.Locations[0]) > 0 {
		line = at.Locations[0][0].Start.Line
	}
	for _, src := range solvererr.Sources(err) {
		if line == 0 && len(src.Ranges) > 0 && src.Ranges[0].Start != nil {
			line = int(src.Ranges[0].Start.Line)
		}
	}
	if n := stepAt(w.plan.Steps, line); n > 0 {
		return &w.plan.Steps[n-1]
	}
	return nil
}

// notFound explains a COPY, an ADD or a bind mount whose source is not in the build context.
func (w *work) notFound(end *play.Finished, step *play.Step) bool {
	if w.join == nil || step == nil {
		return false
	}
	for _, d := range w.join.order {
		if !slices.Contains(w.join.steps[d], step.N) {
			continue
		}
		for _, src := range w.join.sources(w.join.ops[d]) {
			there, ignored := w.files.has(src)
			name := strings.TrimPrefix(src, "/")
			switch {
			case there || strings.ContainsAny(name, "*?["):
				continue
			case ignored:
				end.Message = fmt.Sprintf("%s finds no %s in the build context, because %s leaves it out.", step.Instruction, name, w.files.ignore)
				end.Hint = fmt.Sprintf("Change %s so that it keeps %s, for example with a last line !%s.", w.files.ignore, name, name)
			default:
				end.Message = fmt.Sprintf("%s finds no %s in the build context.", step.Instruction, name)
				end.Hint = fmt.Sprintf("Add the file %s, or correct its name.", name)
				if near := w.files.nearest(name); near != "" {
					end.Hint = fmt.Sprintf("There is %s: is it meant?", near)
				}
			}
			return true
		}
	}
	return false
}

// elsewhere explains a COPY or ADD whose source is not the build context: a URL, a stage or an image.
func (w *work) elsewhere(res *result, err error, step *play.Step) bool {
	if w.join == nil || step == nil || step.Instruction != "COPY" && step.Instruction != "ADD" {
		return false
	}
	for _, d := range w.join.order {
		if !slices.Contains(w.join.steps[d], step.N) {
			continue
		}
		op := w.join.ops[d]
		if url := op.GetSource().GetIdentifier(); strings.HasPrefix(url, "http://") || strings.HasPrefix(url, "https://") {
			res.URL = url
			res.Finished.Message = fmt.Sprintf("ADD can't fetch %s: %s.", url, reason(err))
			res.Finished.Hint = "Check the address, or put the file into the build context."
			return true
		}
		for _, a := range op.GetFile().GetActions() {
			if name := a.GetCopy().GetSrc(); name != "" && strings.Contains(err.Error(), name+": no such file or directory") || strings.Contains(err.Error(), `"`+name+`": not found`) { // the daemon sends the text only
				res.Finished.Message = fmt.Sprintf("%s finds no %s in the stage or image that it copies from.", step.Instruction, name)
				return true
			}
		}
	}
	return false
}

// exitWords is a step's exit code in plain words, and a likely next move.
func exitWords(code int, step *play.Step) (msg, hint string) {
	what := "A step"
	if step != nil {
		what = clip(step.Text, 80)
	}
	switch code {
	case 126:
		return fmt.Sprintf("%s ended with exit code 126: the command is there but can't be executed.", what),
			"Give the file its executable bit (chmod +x, or COPY --chmod=755), and check its first line and its platform."
	case 127:
		return fmt.Sprintf("%s ended with exit code 127: command not found.", what),
			"The end of the step's output names the command. Install what holds it before this step, or correct its name or PATH."
	case 137:
		return fmt.Sprintf("%s was killed (exit code 137, signal 9).", what),
			"Most often memory was short: do less at once, or do it in smaller steps."
	case 139:
		return fmt.Sprintf("%s crashed (exit code 139, segmentation fault).", what),
			"A program of another platform or a broken native library does that; check where the binary comes from."
	case 143:
		return fmt.Sprintf("%s was asked to end (exit code 143, signal 15).", what), ""
	}
	if code > 128 && code < 160 {
		return fmt.Sprintf("%s was ended by signal %d (exit code %d).", what, code-128, code), ""
	}
	return fmt.Sprintf("%s ended with exit code %d.", what, code), "" // the end of its output says why
}

// layers are what BuildKit's errors begin with and people need not know: the place is told apart.
var layers = regexp.MustCompile(`^(failed to (solve|run Build function|compute cache key|load cache key): ` +
	`|failed to resolve source metadata for |failed to calculate checksum of ref \S+: ` +
	`|dockerfile parse error on line \d+: |rpc error: code = \w+ desc = )+`)

// reason is an error's text without the layers that only say where in BuildKit it passed.
func reason(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimRight(clip(layers.ReplaceAllString(s, ""), 1000), ".")
}

// sentence begins with a capital letter and ends with a full stop.
func sentence(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:] + "."
}
