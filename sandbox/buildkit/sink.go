package buildkit

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"slipway/server/play"
)

const (
	// batch is how long facts gather before they are written; a lone fact is written at once.
	batch = 50 * time.Millisecond
	// pace is the least time between two reports of one transfer.
	pace = 100 * time.Millisecond
	// chunk is the most output of one fact, in bytes.
	chunk = 32 << 10
)

// sink gathers facts and writes them as lines, in batches. Adding never waits for the reader: what is not yet
// written is merged, and output is bounded before it comes here, so that memory is too.
type sink struct {
	mu       sync.Mutex
	pending  []play.Fact // nil where a fact was merged into a later one
	vertices map[string]int
	outputs  map[string]int // vertex → its last Output
	progress map[transfer]*report
	wake     chan struct{} // holds one
	done     chan struct{} // closed by close
}

type transfer struct{ vertex, id string }

// report is the newest state of a transfer, and when one was last written.
type report struct {
	play.Progress
	fresh   bool
	written time.Time
}

func newSink() *sink {
	return &sink{
		vertices: map[string]int{}, outputs: map[string]int{},
		progress: map[transfer]*report{}, wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// add takes a fact. A snapshot replaces an unwritten one of the same interval; output joins the unwritten output of
// its stream.
func (s *sink) add(f play.Fact) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f := f.(type) {
	case play.Vertex:
		if i, ok := s.vertices[f.Digest]; ok && sameStart(s.pending[i].(play.Vertex), f) {
			s.pending[i] = nil
		}
		s.vertices[f.Digest] = len(s.pending)
	case play.Output:
		if i, ok := s.outputs[f.Vertex]; ok {
			last := s.pending[i].(play.Output)
			if last.Stream == f.Stream && len(last.Data)+len(f.Data) <= chunk {
				last.Data += f.Data
				s.pending[i] = last
				return
			}
		}
		s.outputs[f.Vertex] = len(s.pending)
	case play.Progress:
		key := transfer{f.Vertex, f.ID}
		r := s.progress[key]
		if r == nil {
			r = &report{}
			s.progress[key] = r
		}
		if r.Progress == f {
			return
		}
		r.Progress, r.fresh = f, true
		s.signal()
		return
	}
	s.pending = append(s.pending, f)
	s.signal()
}

func sameStart(old, f play.Vertex) bool {
	return old.Started == nil || f.Started != nil && *old.Started == *f.Started
}

func (s *sink) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// close lets run write what is left and return. Nothing is added after it.
func (s *sink) close() { close(s.done) }

// take empties the sink of what is due, with all of everything. It reports whether a transfer waits for its turn.
func (s *sink) take(now time.Time, all bool) (facts []play.Fact, later bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.pending {
		if f != nil {
			facts = append(facts, f)
		}
	}
	s.pending = s.pending[:0]
	clear(s.vertices)
	clear(s.outputs)
	for _, r := range s.progress {
		switch {
		case !r.fresh:
		case all || r.Completed || now.Sub(r.written) >= pace:
			r.fresh, r.written = false, now
			facts = append(facts, r.Progress)
		default:
			later = true
		}
	}
	return facts, later
}

// run writes one JSON line for each fact until the sink is closed and empty, or writing fails.
func (s *sink) run(w io.Writer) error {
	var buf []byte
	for closed := false; !closed; {
		select {
		case <-s.wake:
		case <-s.done:
			closed = true
		}
		facts, later := s.take(time.Now(), closed)
		buf = buf[:0]
		for _, f := range facts {
			line, err := json.Marshal(play.Event{Fact: f})
			if err != nil {
				return err
			}
			buf = append(append(buf, line...), '\n')
		}
		if len(buf) > 0 {
			if _, err := w.Write(buf); err != nil {
				return err
			}
		}
		select {
		case <-time.After(batch):
		case <-s.done:
		}
		if later {
			s.signal()
		}
	}
	return nil
}
