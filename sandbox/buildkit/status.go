package buildkit

import (
	"time"

	"github.com/moby/buildkit/client"
	digest "github.com/opencontainers/go-digest"

	"slipway/server/play"
)

// status turns the daemon's status stream into facts.
type status struct {
	created  time.Time
	emit     func(play.Fact)
	outputs  *outputs
	requests map[string]*requests // by vertex
	seen     map[string]play.Vertex
}

func newStatus(b play.Build, emit func(play.Fact)) *status {
	return &status{
		created: b.Created, emit: emit, outputs: newOutputs(b.Limits, emit),
		requests: map[string]*requests{}, seen: map[string]play.Vertex{},
	}
}

// run reads the stream to its end, whatever happens to the facts: a daemon must never wait for us.
func (s *status) run(updates <-chan *client.SolveStatus) {
	for u := range updates {
		for _, v := range u.Vertexes {
			if v.Completed != nil { // what it wrote comes before its end
				u.Logs = s.logs(u.Logs, v.Digest)
			}
			s.vertex(v)
		}
		s.logs(u.Logs, "")
		for _, p := range u.Statuses {
			s.emit(play.Progress{Vertex: string(p.Vertex), ID: p.ID, Current: p.Current, Total: p.Total, Completed: p.Completed != nil})
		}
	}
	for vertex := range s.requests {
		s.end(vertex, false)
	}
	s.outputs.close()
}

// logs takes what a vertex wrote, or all if it is "", and returns the rest.
func (s *status) logs(all []*client.VertexLog, vertex digest.Digest) []*client.VertexLog {
	var rest []*client.VertexLog
	for _, l := range all {
		if vertex != "" && l.Vertex != vertex {
			rest = append(rest, l)
			continue
		}
		s.log(string(l.Vertex), l.Stream, l.Data)
	}
	return rest
}

// vertex emits a snapshot if it says something new.
func (s *status) vertex(v *client.Vertex) {
	f := play.Vertex{
		Digest: string(v.Digest), Name: v.Name, Cached: v.Cached, Error: v.Error,
		Started: s.since(v.Started), Completed: s.since(v.Completed),
	}
	for _, in := range v.Inputs {
		f.Inputs = append(f.Inputs, string(in))
	}
	if f.Completed != nil {
		s.end(f.Digest, f.Error != "")
	}
	if old, ok := s.seen[f.Digest]; ok && same(old, f) {
		return
	}
	s.seen[f.Digest] = f
	s.emit(f)
}

func same(a, b play.Vertex) bool {
	return a.Name == b.Name && a.Cached == b.Cached && a.Error == b.Error && len(a.Inputs) == len(b.Inputs) &&
		equal(a.Started, b.Started) && equal(a.Completed, b.Completed)
}

func equal(a, b *play.Millis) bool { return a == b || a != nil && b != nil && *a == *b }

// since is a moment as the time since the job was created. The daemon runs on this machine: the clocks are one.
func (s *status) since(t *time.Time) *play.Millis {
	if t == nil {
		return nil
	}
	m := play.Millis(max(0, t.Sub(s.created)))
	return &m
}

func (s *status) log(vertex string, fd int, data []byte) {
	if fd == stderr {
		r := s.requests[vertex]
		if r == nil {
			r = &requests{}
			s.requests[vertex] = r
		}
		if data = r.take(data); len(data) == 0 {
			return
		}
	}
	s.outputs.write(vertex, fd, data)
}

// end is the completion of a vertex: what it asked of the network is known, and its streams are over.
func (s *status) end(vertex string, failed bool) {
	if r := s.requests[vertex]; r != nil {
		delete(s.requests, vertex)
		facts, output := r.facts(vertex)
		for _, f := range facts {
			s.emit(f)
		}
		s.outputs.write(vertex, stderr, output)
	}
	s.outputs.end(vertex, failed)
}
