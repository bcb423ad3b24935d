package buildkit

import (
	"bytes"
	"regexp"
	"strconv"

	"slipway/server/play"
)

const (
	stdout = 1
	stderr = 2

	// requestsHeader begins what BuildKit appends to the standard error of a step that used the network: one
	// write for this line and one for each request (solver/llbsolver/ops/exec.go: logProxyRequests).
	requestsHeader = "proxy network requests:\n"

	// maxRequests is how many requests of one step are kept.
	maxRequests = 2000
)

// requests finds BuildKit's list of requests at the end of a step's standard error. A step can write the same
// itself; of several lists the last one counts, and the node believes a request only if the egress saw it.
type requests struct {
	open bool
	list []play.Requested
	held []byte // the list as it was written
	more int64  // requests beyond those kept
}

var requestLine = regexp.MustCompile(`^- ([A-Z]{1,16}) (\S+)(?: -> (\d{3}))?\n$`)

// take keeps one write if it belongs to a list, and returns what is ordinary output.
func (r *requests) take(data []byte) []byte {
	if string(data) == requestsHeader {
		out := r.held
		*r = requests{open: true, held: bytes.Clone(data)}
		return out
	}
	if !r.open {
		return data
	}
	m := requestLine.FindSubmatch(data)
	if m == nil {
		out := append(r.held, data...)
		*r = requests{}
		return out
	}
	if len(r.list) == maxRequests {
		r.more++
		return nil
	}
	r.held = append(r.held, data...)
	code, _ := strconv.Atoi(string(m[3])) // "" is 0: no answer
	r.list = append(r.list, play.Requested{Method: string(m[1]), URL: string(m[2]), Status: code, Allowed: true})
	return nil
}

// facts are the requests of the step, and the output that only looked like the beginning of a list.
func (r *requests) facts(vertex string) (all []play.Fact, output []byte) {
	if len(r.list) == 0 {
		return nil, r.held
	}
	for _, f := range r.list {
		f.Vertex = vertex
		all = append(all, f)
	}
	if r.more > 0 {
		all = append(all, play.Truncated{What: "This step made more network requests than are kept.", Vertex: vertex, Lines: r.more})
	}
	return all, nil
}
