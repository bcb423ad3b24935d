package web

import (
	"fmt"
	"slices"

	"slipway/server/play"
)

// requested is one network request with the step that made it; 0 is the build itself.
type requested struct {
	play.Requested
	step int
}

func (b Build) requests() []requested {
	t := b.timeline()
	var out []requested
	for _, r := range t.Requests {
		out = append(out, requested{r, 0})
	}
	for _, s := range t.Steps {
		for _, r := range s.Requests {
			out = append(out, requested{r, s.N})
		}
	}
	return out
}

// answer is a request's outcome in words.
func answer(r play.Requested) string {
	switch {
	case !r.Allowed && r.Rule != "":
		return "refused: " + r.Rule
	case !r.Allowed:
		return "refused"
	case r.Status == 0:
		return "no answer"
	}
	return fmt.Sprint(r.Status)
}

// sized reports whether the size of any answer is known.
func sized(all []requested) bool {
	return slices.ContainsFunc(all, func(r requested) bool { return r.Bytes > 0 })
}

func deniedWords(all []requested) string {
	n := 0
	for _, r := range all {
		if !r.Allowed {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return ", " + group(n) + " refused"
}
