package explain

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"slipway/server/play"
	"slipway/server/view"

	"github.com/dustin/go-humanize"
)

// Build adds to steps, which stay as they are, what became of each in a build. files are the paths of the
// build context, if they are known.
func Build(steps []Step, j *view.Job, files []string) []Step {
	t := j.Timeline()
	out := slices.Clone(steps)
	for i := range out {
		out[i].Findings = slices.Clip(out[i].Findings)
		var s *view.Step
		if k := out[i].N - 1; k < len(t.Steps) && t.Steps[k].N == out[i].N {
			s = &t.Steps[k]
			out[i].Needed = s.Needed
		} else if blamed(out[i], t.Finished) { // the build failed before it had a plan
			s = &view.Step{Step: play.Step{N: out[i].N}, Status: view.Failing}
		} else {
			continue
		}
		out[i].Build = result(out[i], t, s)
		if s.Status == view.Failing {
			out[i].Build.Failure = failure(out[i], t, s, j, files)
		}
	}
	settle(out, t)
	attach(out, t.Findings)
	return out
}

// blamed reports whether the end of the build names a step, by its number or by its place.
func blamed(s Step, f *play.Finished) bool {
	switch {
	case f == nil || f.Outcome == play.OK:
		return false
	case f.Step != 0 || f.At == nil:
		return f.Step == s.N
	}
	line := f.At.Range.Start.Line
	return line >= s.Range.Start.Line && line <= s.Range.End.Line
}

// result is what became of a step.
func result(step Step, t *view.Timeline, s *view.Step) *Result {
	r := &Result{Status: s.Status, Lines: s.Lines, Requests: s.Requests}
	if s.Status == view.Ran || s.Status == view.Failing {
		r.Duration = &s.Busy
	}
	if s.Layer != nil {
		r.Added, r.Files = &s.Layer.Unpacked, &s.Layer.Files
	}
	fact := func(format string, args ...any) { r.Facts = append(r.Facts, say(format, args...)) }

	if step.Instruction == "FROM" && step.Stage >= 0 && step.Stage < len(t.Plan.Stages) {
		base := t.Plan.Stages[step.Stage].Base
		if base.Digest != "" || base.Origin != "" {
			r.Base = &base
			fact("%s", cameFrom(base))
		}
	}
	switch s.Status {
	case view.Ran:
		took := view.Took(s.Busy)
		switch {
		case step.Instruction == "FROM":
			fact("Fetched %s in %s.", size(fetched(s)), took)
		case s.Layer == nil:
			fact("Ran for %s.", took)
		case s.Layer.Files == 0:
			fact("Changed no files, in %s.", took)
		default:
			fact("Added %s, %s, in %s.", counted(s.Layer.Files), size(s.Layer.Unpacked), took)
		}
	case view.Reused:
		if step.Instruction == "FROM" {
			fact("Reused: the image was here already, nothing was fetched.")
			break
		}
		fact("Reused: nothing it depends on has changed since it was last built here.")
		if s.Layer != nil && s.Layer.Files > 0 {
			fact("Its layer holds %s, %s.", counted(s.Layer.Files), size(s.Layer.Unpacked))
		}
	case view.Skipped:
		if s.Start != nil {
			fact("Stopped: %s", lower(s.Reason))
		} else {
			fact("Skipped: %s", lower(s.Reason))
		}
	case view.Applied:
		switch step.Instruction {
		case "FROM":
		case "ARG":
			fact("It only holds while the image is built; there was nothing to run.")
		default:
			fact("It only sets what the image says of itself; there was nothing to run.")
		}
	}
	for _, b := range t.Plan.Images {
		if (b.Digest != "" || b.Origin != "") && takesFrom(step, b.Ref) {
			r.Base = &b
			fact("%s", cameFrom(b))
		}
	}
	if len(s.Requests) > 0 {
		fact("%s", requests(s.Requests))
	}
	for _, left := range s.Truncated {
		if left.Bytes > 0 {
			fact("%s: %s, %s.", strings.TrimSuffix(left.What, "."), plural(int(left.Lines), "line", "lines"), size(left.Bytes))
		} else {
			fact("%s", left.What)
		}
	}
	return r
}

// takesFrom reports whether the step's text names an image in --from or from=.
func takesFrom(step Step, ref string) bool {
	for _, word := range strings.FieldsFunc(step.Text, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		if name, ok := strings.CutPrefix(strings.TrimLeft(word, "-"), "from="); ok && strings.Trim(name, `"`) == ref {
			return true
		}
	}
	return false
}

// cameFrom says who served an image.
func cameFrom(b play.Base) string {
	digest := ""
	if b.Digest != "" {
		digest = ", digest " + b.Digest
	}
	switch {
	case b.Origin == play.OriginCatalogue && b.Note != "":
		return fmt.Sprintf("Came from Slipway's catalogue%s. %s", digest, b.Note)
	case b.Origin == play.OriginCatalogue:
		return fmt.Sprintf("Came from Slipway's catalogue: a stand-in for %s%s.", b.Ref, digest)
	case b.Origin != "":
		return fmt.Sprintf("Came from %s: %s%s.", b.Origin, b.Ref, digest)
	}
	return fmt.Sprintf("It is %s%s.", b.Ref, digest)
}

// fetched is the bytes of a base image that were moved.
func fetched(s *view.Step) int64 {
	var n int64
	for _, v := range s.Vertices {
		for _, p := range v.Progress {
			if strings.HasPrefix(p.ID, "sha256:") {
				n += max(p.Current, p.Total)
			}
		}
	}
	return n
}

// requests says how many there were, to whom, and which were refused.
func requests(all []play.Requested) string {
	var hosts, refused []string
	denied := 0
	for _, q := range all {
		host := q.URL
		if u, err := url.Parse(q.URL); err == nil && u.Host != "" {
			host = u.Host
		}
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
		if !q.Allowed {
			denied++
			if !slices.Contains(refused, host) {
				refused = append(refused, host)
			}
		}
	}
	text := fmt.Sprintf("Made %s to %s", plural(len(all), "network request", "network requests"), some(hosts, 1))
	if len(hosts) > 1 {
		text = fmt.Sprintf("Made %s to %d hosts", plural(len(all), "network request", "network requests"), len(hosts))
	}
	if denied > 0 {
		text += fmt.Sprintf("; %d refused, to %s", denied, some(refused, 3))
	}
	return text + "."
}

func size(n int64) string { return humanize.Bytes(uint64(max(0, n))) }

func counted(files int) string {
	if files == 1 {
		return "1 file"
	}
	return humanize.Comma(int64(files)) + " files"
}

// lower begins a sentence's text in the middle of another.
func lower(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
