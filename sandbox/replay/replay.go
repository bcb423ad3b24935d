// Package replay is a Builder that plays recorded logs: for tests, demonstrations and lessons. It holds the
// corpus of scenarios, each a Dockerfile with its context and what a real BuildKit made of it. It never builds.
package replay

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"slipway/server/archive"
	"slipway/server/play"
)

// Names in a scenario's archive that are not files of the build context.
const (
	headFile   = "scenario.json"
	eventsFile = "events.ndjson"
	wantDir    = "want/"
)

// Scenario is a build and what happened in it. As text it is a txtar: scenario.json with the request, the files of
// the context under their own names, events.ndjson, and under want/ whatever tests expect of it.
type Scenario struct {
	Name    string
	Comment string // what it shows
	Head
	Revision play.Revision
	Events   []play.Event
	Want     map[string]string // by name without "want/"
}

// Head is what of a scenario is neither a file of the context nor a result.
type Head struct {
	Request play.BuildRequest `json:"request"`
	Twice   bool              `json:"twice,omitempty"` // the events are those of the second of two builds
}

//go:embed testdata/*.txtar
var corpus embed.FS

// Scenarios are all of the corpus, by name.
func Scenarios() ([]Scenario, error) {
	names, err := fs.Glob(corpus, "testdata/*.txtar")
	if err != nil {
		return nil, err
	}
	var all []Scenario
	for _, name := range names {
		text, err := corpus.ReadFile(name)
		if err != nil {
			return nil, err
		}
		s, err := Parse(strings.TrimSuffix(path.Base(name), ".txtar"), text)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Parse reads a scenario.
func Parse(name string, text []byte) (Scenario, error) {
	comment, all, err := archive.ParseTxtar(text)
	if err != nil {
		return Scenario{}, fmt.Errorf("scenario %s: %w", name, err)
	}
	s := Scenario{Name: name, Comment: strings.TrimSpace(string(comment)), Want: map[string]string{}}
	var files []play.File
	for _, f := range all {
		want, isWant := strings.CutPrefix(f.Path, wantDir)
		switch {
		case isWant:
			s.Want[want] = string(f.Content)
		case f.Path == headFile:
			if err := json.Unmarshal(f.Content, &s.Head); err != nil {
				return s, fmt.Errorf("scenario %s: %s: %w", name, headFile, err)
			}
		case f.Path == eventsFile:
			for line := range bytes.Lines(f.Content) {
				var e play.Event
				if err := json.Unmarshal(line, &e); err != nil {
					return s, fmt.Errorf("scenario %s: %s: %w", name, eventsFile, err)
				}
				s.Events = append(s.Events, e)
			}
		default:
			files = append(files, f)
		}
	}
	if s.Revision, err = play.NewRevision(files, play.DefaultLimits()); err != nil {
		return s, fmt.Errorf("scenario %s: %w", name, err)
	}
	s.Request.Revision = s.Revision.ID
	return s, nil
}

// Format is the scenario as text, which Parse reads again. It fails if a file of the context has a name that means
// something else here.
func (s Scenario) Format() ([]byte, error) {
	head := s.Head
	head.Request.Revision = ""
	raw, err := json.MarshalIndent(head, "", "  ")
	if err != nil {
		return nil, err
	}
	files := []play.File{{Path: headFile, Content: append(raw, '\n')}}
	for _, f := range s.Revision.Files {
		if f.Path == headFile || f.Path == eventsFile || strings.HasPrefix(f.Path, wantDir) {
			return nil, fmt.Errorf("scenario %s: a context file can't be called %s", s.Name, f.Path)
		}
		files = append(files, f)
	}
	var events []byte
	for _, e := range s.Events {
		line, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		events = append(append(events, line...), '\n')
	}
	files = append(files, play.File{Path: eventsFile, Content: events})
	for _, name := range slices.Sorted(maps.Keys(s.Want)) {
		files = append(files, play.File{Path: wantDir + name, Content: []byte(s.Want[name])})
	}
	return archive.FormatTxtar([]byte(s.Comment+"\n"), files), nil
}

// Build is what Record records and Builder plays: the signature of every builder.
type Build func(ctx context.Context, b play.Build, emit func(play.Fact) error) (play.Finished, error)

// Record builds a scenario and returns it with the events of that.
func Record(ctx context.Context, s Scenario, job play.Build, build Build) (Scenario, error) {
	job.Request, job.Revision = s.Request, s.Revision
	s.Events = nil
	add := func(f play.Fact) error {
		s.Events = append(s.Events, play.Event{Seq: int64(len(s.Events) + 1), At: time.Since(job.Created).Truncate(time.Microsecond), Fact: f})
		return nil
	}
	end, err := build(ctx, job, add)
	if err != nil {
		return s, err
	}
	return s, add(end)
}

// Builder plays scenarios in place of building.
type Builder struct {
	Scenarios []Scenario
	Speed     float64 // 1 is as fast as it was; 0 is at once
}

// Build plays the scenario of the job's revision and request. One without a recording ends as failed.
func (p Builder) Build(ctx context.Context, job play.Build, emit func(play.Fact) error) (play.Finished, error) {
	i := slices.IndexFunc(p.Scenarios, func(s Scenario) bool { return s.of(job) })
	if i < 0 {
		return play.Finished{Outcome: play.Failed, Message: "This server plays recordings, and has none of these files."}, nil
	}
	var at time.Duration
	for _, e := range p.Scenarios[i].Events {
		if err := p.wait(ctx, e.At-at); err != nil {
			if errors.Is(err, play.ErrCancelled) {
				return play.Finished{Outcome: play.Cancelled, Message: "The build was cancelled."}, nil
			}
			return play.Finished{}, err
		}
		at = e.At
		switch f := e.Fact.(type) {
		case play.Finished:
			return f, nil
		case play.Started:
			f.Attempt = job.Attempt
			e.Fact = f
		case play.Exported:
			f.Image = "builds/" + job.Job
			e.Fact = f
		}
		if err := emit(e.Fact); err != nil {
			return play.Finished{}, err
		}
	}
	return play.Finished{}, fmt.Errorf("the recording %s has no end", p.Scenarios[i].Name)
}

// of reports whether the scenario is one of the job's files and request.
func (s Scenario) of(job play.Build) bool {
	a, b := s.Request, job.Request
	return s.Revision.ID == job.Revision.ID && a.File() == b.File() && a.Target == b.Target && a.Platform == b.Platform &&
		a.NoCache == b.NoCache && a.Network == b.Network && maps.Equal(a.BuildArgs, b.BuildArgs)
}

// wait waits as long as the recording did, by the player's speed, and reports the end of ctx.
func (p Builder) wait(ctx context.Context, d time.Duration) error {
	if p.Speed <= 0 || d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(time.Duration(float64(d) / p.Speed))
	defer t.Stop()
	select {
	case <-t.C:
		return context.Cause(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
