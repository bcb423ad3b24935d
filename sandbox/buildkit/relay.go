package buildkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"slipway/server/play"
)

const (
	// maxLine is the longest line that an agent may write. The longest honest one is a plan.
	maxLine = 8 << 20
	// maxExtra is what an agent may write beyond six times the output that is kept (a byte of output is at most
	// six of JSON).
	maxExtra = 64 << 20
)

// relay reads what the agent writes: facts go to emit, the result is kept. The agent holds what strangers made, so
// only the kinds of facts are let through that an agent has, within bounds.
type relay struct {
	job    play.Build
	began  time.Time
	emit   func(play.Fact) error
	cancel context.CancelCauseFunc // ends the agent

	registry string // host whose requests are no news
	origin   func(ref, digest string) (origin, note string)
	requests func() []play.Requested // that the egress saw so far

	part    []byte // an unfinished line
	total   int64
	result  *result
	emitErr error
	err     error // what the agent did wrong

	plan      play.Planned
	vertices  map[string]play.Vertex
	unseen    []play.Requested // claimed, not yet seen by the egress
	confirmed map[string]bool  // hosts of requests that steps made
	hosts     map[string]verdict
	asked     time.Time // when hosts was made
}

// verdict is what the egress made of a host.
type verdict struct{ rule, denial string }

func newRelay(job play.Build, began time.Time, emit func(play.Fact) error, cancel context.CancelCauseFunc) *relay {
	return &relay{job: job, began: began, emit: emit, cancel: cancel, vertices: map[string]play.Vertex{}, confirmed: map[string]bool{}}
}

// Write takes a piece of the agent's standard output.
func (r *relay) Write(p []byte) (int, error) {
	if r.emitErr != nil || r.err != nil {
		return 0, errors.Join(r.emitErr, r.err)
	}
	r.total += int64(len(p))
	rest := p
	for {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if !whole {
			break
		}
		if len(r.part) > 0 {
			line = append(r.part, line...)
			r.part = nil
		}
		if err := r.line(line); err != nil {
			r.cancel(err)
			return 0, err
		}
		rest = after
	}
	r.part = append(r.part, rest...)
	if len(r.part) > maxLine || r.total > 6*r.job.Limits.OutputBytes+maxExtra {
		r.err = errors.New("the agent wrote more than it may")
		r.cancel(r.err)
		return 0, r.err
	}
	return len(p), nil
}

func (r *relay) line(line []byte) error {
	var e play.Event
	if err := json.Unmarshal(line, &e); err != nil {
		r.err = fmt.Errorf("the agent wrote what is no fact: %w", err)
		return r.err
	}
	switch f := e.Fact.(type) {
	case play.Planned:
		for i := range f.Stages {
			r.located(&f.Stages[i].Base)
		}
		for i := range f.Images {
			r.located(&f.Images[i])
		}
		r.plan = f
		return r.send(f)
	case play.Vertex:
		r.vertices[f.Digest] = f
		return r.send(f)
	case play.Requested:
		return r.claim(f)
	case play.Progress, play.Output, play.Truncated:
		return r.send(f)
	case play.Unknown:
		if f.Name != resultKind || r.result != nil {
			break
		}
		res := &result{}
		if r.err = json.Unmarshal(f.Raw, res); r.err != nil {
			return r.err
		}
		r.result = res
		return nil
	}
	r.err = fmt.Errorf("the agent wrote a fact of kind %q, which is not its own", e.Fact.Kind())
	return r.err
}

func (r *relay) send(f play.Fact) error {
	r.emitErr = r.emit(f)
	return r.emitErr
}

// located adds who served an image.
func (r *relay) located(b *play.Base) {
	if b.Digest != "" {
		b.Origin, b.Note = r.origin(b.Ref, b.Digest)
	}
}

// claim takes a request that a step's output tells of. It counts once the egress saw its host.
func (r *relay) claim(f play.Requested) error {
	if !r.seen(&f) {
		r.unseen = append(r.unseen, f)
		return nil
	}
	return r.send(f)
}

// seen looks for the host of a claim among what the egress saw, and adds what only the egress knows.
func (r *relay) seen(f *play.Requested) bool {
	host := hostOf(f.URL)
	v, ok := r.hosts[host]
	if !ok && time.Since(r.asked) > pace {
		r.ask()
		v, ok = r.hosts[host]
	}
	if !ok {
		return false
	}
	r.confirmed[host] = true
	f.Rule = v.rule
	if v.denial != "" && (f.Status == 0 || f.Status >= 400) {
		f.Allowed, f.Rule = false, v.denial
	}
	return true
}

// ask reads from the egress what it saw, and returns that too.
func (r *relay) ask() []play.Requested {
	ledger := r.requests()
	r.asked, r.hosts = time.Now(), map[string]verdict{}
	for _, s := range ledger {
		v := r.hosts[hostOf(s.URL)]
		if s.Allowed {
			v.rule = s.Rule
		} else {
			v.denial = s.Rule
		}
		r.hosts[hostOf(s.URL)] = v
	}
	return ledger
}

// denied is the rule by which the egress refused a URL's host, or "".
func (r *relay) denied(url string) string {
	if url == "" {
		return ""
	}
	r.ask()
	return r.hosts[hostOf(url)].denial
}

// finish tells what was kept back until the agent's end: requests that the egress noted late, and, if no other
// build used the builder meanwhile, those that no step made, such as pulls.
func (r *relay) finish(alone bool) error {
	ledger := r.ask()
	begun := map[string]bool{}
	for _, f := range r.unseen {
		if r.seen(&f) {
			if err := r.send(f); err != nil {
				return err
			}
			continue
		}
		text := fmt.Sprintf("- %s %s -> %03d\n", f.Method, f.URL, f.Status) // a look-alike: output like any other
		if !begun[f.Vertex] {
			begun[f.Vertex] = true
			text = requestsHeader + text
		}
		if err := r.send(play.Output{Vertex: f.Vertex, Stream: stderr, Data: text}); err != nil {
			return err
		}
	}
	if !alone {
		return nil
	}
	for _, f := range ledger {
		if host := hostOf(f.URL); !r.confirmed[host] && host != r.registry {
			f.Vertex = ""
			if err := r.send(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// running is the step that began last and has not ended, or nil.
func (r *relay) running() *play.Step {
	if r == nil {
		return nil
	}
	var last *play.Step
	var since play.Millis = -1
	for i, s := range r.plan.Steps {
		for _, d := range s.Vertices {
			if v := r.vertices[d]; v.Started != nil && v.Completed == nil && *v.Started > since {
				last, since = &r.plan.Steps[i], *v.Started
			}
		}
	}
	return last
}

// hostOf is the host of a URL, or of a "host:port" as a CONNECT has it, without the port.
func hostOf(raw string) string {
	if u, err := url.Parse(raw); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	if u, err := url.Parse("//" + raw); err == nil {
		return u.Hostname()
	}
	return raw
}
