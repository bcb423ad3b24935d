package play

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// An Event is one fact about a job, in order.
type Event struct {
	Seq  int64         // 1, 2, 3 …; dense per job; assigned by the log's one fenced writer
	At   time.Duration // since the job was created
	Fact Fact          // what happened
}

// A Fact is what happened: one of the types of this file. Facts are named for what is true, not for the code
// that found it out.
type Fact interface {
	Kind() string // snake_case, as in JSON
}

// facts lists every kind with a decoder.
var facts = map[string]func(json.RawMessage) (Fact, error){
	Queued{}.Kind():    decode[Queued],
	Started{}.Kind():   decode[Started],
	Planned{}.Kind():   decode[Planned],
	Diagnosed{}.Kind(): decode[Diagnosed],
	Vertex{}.Kind():    decode[Vertex],
	Progress{}.Kind():  decode[Progress],
	Output{}.Kind():    decode[Output],
	Requested{}.Kind(): decode[Requested],
	Exported{}.Kind():  decode[Exported],
	Truncated{}.Kind(): decode[Truncated],
	Finished{}.Kind():  decode[Finished],
}

func decode[F Fact](raw json.RawMessage) (Fact, error) {
	var f F
	err := json.Unmarshal(raw, &f)
	return f, err
}

// Millis is a length of time that JSON shows in milliseconds, to the microsecond.
type Millis time.Duration

func (m Millis) MarshalJSON() ([]byte, error) {
	us := time.Duration(m).Microseconds()
	return strconv.AppendFloat(nil, float64(us)/1000, 'f', -1, 64), nil
}

func (m *Millis) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(math.Abs(f) <= 1e12) {
		return fmt.Errorf("a duration in milliseconds: %q", b)
	}
	*m = Millis(math.Round(f*1000)) * Millis(time.Microsecond)
	return nil
}

// Queued: the job waits for a worker. It may come again as the line moves.
type Queued struct {
	Ahead int `json:"ahead"` // jobs that will start before it
}

// Started: a worker has taken the job.
type Started struct {
	Attempt  int    `json:"attempt"`
	Worker   string `json:"worker"`
	BuildKit string `json:"buildkit"` // version
	Frontend string `json:"frontend"` // version of the Dockerfile frontend
	Sandbox  string `json:"sandbox"`  // runtime of the steps, e.g. "runc"
	Limit    Millis `json:"limit"`    // wall clock that the job may take
}

// Planned: what the build will do. It may come twice, from the text at once and then as the solver has it,
// with vertices; the last wins.
type Planned struct {
	Solver bool    `json:"solver"`           // whether the steps carry the solver's vertices
	Target int     `json:"target"`           // index of the stage that is built
	Syntax string  `json:"syntax,omitempty"` // how a "# syntax=" directive was honoured
	Stages []Stage `json:"stages"`
	Steps  []Step  `json:"steps"`
	Images []Base  `json:"images,omitempty"` // images that COPY --from and mounts take files from
}

// Diagnosed: one finding of the linter.
type Diagnosed struct {
	Diagnostic
}

// Vertex is the whole state of one vertex: a snapshot. The last wins, but for the times: a vertex may start
// and complete more than once, and readers merge the intervals.
type Vertex struct {
	Digest    string   `json:"digest"`
	Name      string   `json:"name"`
	Inputs    []string `json:"inputs,omitempty"`
	Started   *Millis  `json:"started,omitempty"` // since the job was created
	Completed *Millis  `json:"completed,omitempty"`
	Cached    bool     `json:"cached,omitempty"`
	Error     string   `json:"error,omitempty"`
}

// Progress is one transfer or extraction of a vertex: a snapshot, the last wins.
type Progress struct {
	Vertex    string `json:"vertex"`
	ID        string `json:"id"` // unique within the vertex
	Current   int64  `json:"current"`
	Total     int64  `json:"total,omitempty"` // 0: unknown
	Completed bool   `json:"completed,omitempty"`
}

// Output is bytes that a vertex wrote: valid UTF-8, redacted, and not cut at line ends.
type Output struct {
	Vertex string `json:"vertex"`
	Stream int    `json:"stream"` // 1 standard output, 2 standard error
	Data   string `json:"data"`
}

// Requested is one network request of a step.
type Requested struct {
	Vertex  string `json:"vertex,omitempty"` // "" if it was made for the build, not by a step
	Method  string `json:"method"`
	URL     string `json:"url"`
	Status  int    `json:"status,omitempty"` // HTTP status; 0: no answer
	Allowed bool   `json:"allowed"`
	Rule    string `json:"rule,omitempty"` // that decided
	Bytes   int64  `json:"bytes,omitempty"`
}

// Exported: the image is in the registry.
type Exported struct {
	Image    string      `json:"image"`  // repository in Slipway's registry, e.g. "builds/k3…"
	Digest   string      `json:"digest"` // of its manifest
	Platform string      `json:"platform"`
	Size     int64       `json:"size"` // compressed bytes of all layers
	Config   ImageConfig `json:"config"`
	Layers   []Layer     `json:"layers"`
}

// Truncated: something was left out of the log here.
type Truncated struct {
	What   string `json:"what"` // a sentence
	Vertex string `json:"vertex,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"` // left out so far
	Lines  int64  `json:"lines,omitempty"`
}

// Finished: the job is over. Exactly one, always last.
type Finished struct {
	Outcome  Outcome `json:"outcome"`
	Message  string  `json:"message,omitempty"`   // why, in plain words; "" if all went well
	Step     int     `json:"step,omitempty"`      // that failed
	Vertex   string  `json:"vertex,omitempty"`    // that failed
	ExitCode *int    `json:"exit_code,omitempty"` // of the failed step's process
	At       *Place  `json:"place,omitempty"`
	Hint     string  `json:"hint,omitempty"` // a likely next move
}

// Unknown is a fact of a kind that this version does not know: kept, and ignored by every fold.
type Unknown struct {
	Name string
	Raw  json.RawMessage // the event's object as it came, with seq, at and kind
}

func (Queued) Kind() string    { return "queued" }
func (Started) Kind() string   { return "started" }
func (Planned) Kind() string   { return "planned" }
func (Diagnosed) Kind() string { return "diagnosed" }
func (Vertex) Kind() string    { return "vertex" }
func (Progress) Kind() string  { return "progress" }
func (Output) Kind() string    { return "output" }
func (Requested) Kind() string { return "requested" }
func (Exported) Kind() string  { return "exported" }
func (Truncated) Kind() string { return "truncated" }
func (Finished) Kind() string  { return "finished" }
func (u Unknown) Kind() string { return u.Name }

// MarshalJSON gives {"seq": 1, "at": 12.5, "kind": "vertex", …the fact's fields}; at is in milliseconds.
func (e Event) MarshalJSON() ([]byte, error) {
	if e.Fact == nil {
		return nil, fmt.Errorf("event %d has no fact", e.Seq)
	}
	if u, ok := e.Fact.(Unknown); ok {
		return u.Raw, nil
	}
	body, err := json.Marshal(e.Fact)
	if err != nil {
		return nil, err
	}
	at, err := Millis(e.At).MarshalJSON()
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(body)+64)
	out = fmt.Appendf(out, `{"seq":%d,"at":%s,"kind":%q`, e.Seq, at, e.Fact.Kind())
	if rest := body[1:]; !bytes.Equal(rest, []byte("}")) {
		out = append(out, ',')
		return append(out, rest...), nil
	}
	return append(out, '}'), nil
}

// UnmarshalJSON reads what MarshalJSON wrote, and keeps a kind that it does not know as Unknown.
func (e *Event) UnmarshalJSON(b []byte) error {
	var head struct {
		Seq  int64  `json:"seq"`
		At   Millis `json:"at"`
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return err
	}
	e.Seq, e.At = head.Seq, time.Duration(head.At)
	dec, ok := facts[head.Kind]
	if !ok {
		e.Fact = Unknown{Name: head.Kind, Raw: bytes.Clone(b)}
		return nil
	}
	f, err := dec(b)
	if err != nil {
		return fmt.Errorf("event %d, %s: %w", head.Seq, head.Kind, err)
	}
	e.Fact = f
	return nil
}
