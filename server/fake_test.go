package server_test

import (
	"context"
	"crypto/rand"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/server"
	"slipway/server/dockerfile"
	"slipway/server/explain"
	"slipway/server/lint"
	"slipway/server/play"
)

// A world is all that a server needs, in memory: a store, jobs whose events the test writes, and their logs.
type world struct {
	t testing.TB

	mu        sync.Mutex
	snippets  map[string]play.Snippet
	versions  map[string][]play.Version
	revisions map[string]play.Revision
	jobs      map[string]play.Job
	order     []string // jobs, the oldest first
	logs      map[string][]play.Event
	changed   chan struct{} // closed and replaced when a log grows
	tails     int           // readers of logs now
	broken    error         // what every call gives, if set
	slow      time.Duration // what reading an event takes
	submitErr error
}

func newWorld(t testing.TB) *world {
	return &world{
		t: t, snippets: map[string]play.Snippet{}, versions: map[string][]play.Version{}, revisions: map[string]play.Revision{},
		jobs: map[string]play.Job{}, logs: map[string][]play.Event{}, changed: make(chan struct{}),
	}
}

var discard = slog.New(slog.DiscardHandler)

var epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// config is that of a server in the world; the test may change it.
func (w *world) config() server.Config {
	return server.Config{
		Store: w, Jobs: w, Log: w,
		Lint: func(ctx context.Context, t server.Text) ([]play.Diagnostic, error) {
			in, err := lint.NewInput(t.Files, t.Request())
			if err != nil {
				return nil, err
			}
			return lint.Lint(ctx, in)
		},
		Explain:  func(_ context.Context, t server.Text) ([]explain.Step, error) { return t.Explain(nil, nil), nil },
		Registry: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "registry "+r.URL.Path) }),
		Checks: []server.Check{
			{Name: "store", Ready: func(context.Context) error { return w.broken }},
			{Name: "builder", Ready: func(context.Context) error { return nil }},
		},
		Base:    func(string) (play.ImageConfig, bool) { return play.ImageConfig{}, false },
		BaseURL: "http://slipway.test", Limits: play.DefaultLimits(), Rates: server.DefaultRates(),
		Now: func() time.Time { return epoch }, Random: rand.Reader, Logger: slog.New(slog.NewTextHandler(testWriter{w.t}, &slog.HandlerOptions{Level: slog.LevelError})),
	}
}

// testWriter makes what a server logs as an error part of the test's output.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("log: %s", b)
	return len(b), nil
}

func (w *world) server(change ...func(*server.Config)) *server.Server {
	w.t.Helper()
	c := w.config()
	for _, f := range change {
		f(&c)
	}
	s, err := server.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(s.Close)
	return s
}

// The store.

func (w *world) CreateSnippet(_ context.Context, sn play.Snippet, rev play.Revision) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return w.broken
	}
	if len([]rune(sn.Title)) > 200 {
		return play.Errorf(play.Limited, "The title is too long.")
	}
	w.snippets[sn.ID] = sn
	w.revisions[rev.ID] = rev
	w.versions[sn.ID] = []play.Version{{N: 1, Revision: rev.ID, Created: sn.Created}}
	return nil
}

func (w *world) Snippet(_ context.Context, id string) (play.Snippet, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return play.Snippet{}, w.broken
	}
	sn, ok := w.snippets[id]
	if !ok {
		return sn, play.Errorf(play.NotFound, "There is no snippet %s.", id)
	}
	return sn, nil
}

func (w *world) Revise(_ context.Context, id, base string, rev play.Revision, at time.Time) (play.Snippet, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	sn := w.snippets[id]
	if sn.Revision == rev.ID {
		return sn, nil
	}
	if sn.Revision != base {
		return sn, play.Errorf(play.Conflict, "You edited revision %s, but the latest is %s.", base, sn.Revision)
	}
	sn.Revision, sn.Updated = rev.ID, at
	w.snippets[id], w.revisions[rev.ID] = sn, rev
	w.versions[id] = append(w.versions[id], play.Version{N: len(w.versions[id]) + 1, Revision: rev.ID, Created: at})
	return sn, nil
}

func (w *world) Rename(_ context.Context, id, title string, at time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	sn := w.snippets[id]
	sn.Title = title
	w.snippets[id] = sn
	return nil
}

func (w *world) AddRevision(_ context.Context, rev play.Revision, _ time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revisions[rev.ID] = rev
	return w.broken
}

func (w *world) Revision(_ context.Context, id string) (play.Revision, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rev, ok := w.revisions[id]
	if !ok {
		return rev, play.Errorf(play.NotFound, "There is no revision %s.", id)
	}
	return rev, nil
}

func (w *world) Versions(_ context.Context, snippet string) ([]play.Version, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.versions[snippet]), nil
}

func (w *world) Job(_ context.Context, id string) (play.Job, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	job, ok := w.jobs[id]
	if !ok {
		return job, play.Errorf(play.NotFound, "There is no build %s.", id)
	}
	return job, nil
}

func (w *world) JobsOfSnippet(_ context.Context, snippet string, limit int) (jobs []play.Job, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range slices.Backward(w.order) {
		if w.jobs[id].Snippet == snippet && len(jobs) < limit {
			jobs = append(jobs, w.jobs[id])
		}
	}
	return jobs, nil
}

// The jobs.

func (w *world) Submit(_ context.Context, v play.Viewer, req play.BuildRequest, snippet string) (play.Job, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.submitErr != nil {
		return play.Job{}, w.submitErr
	}
	id := play.Name([]byte{1, byte(len(w.order))}, 12)
	job := play.Job{ID: id, Snippet: snippet, Owner: v.ID, Build: req, State: play.JobQueued, Created: epoch}
	w.jobs[id] = job
	w.order = append(w.order, id)
	return job, nil
}

func (w *world) Cancel(_ context.Context, v play.Viewer, id string) error {
	w.append(id, play.Finished{Outcome: play.Cancelled, Message: "You cancelled it."})
	return nil
}

// append writes the next events of a job.
func (w *world) append(job string, facts ...play.Fact) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range facts {
		seq := int64(len(w.logs[job]) + 1)
		w.logs[job] = append(w.logs[job], play.Event{Seq: seq, At: time.Duration(seq) * time.Millisecond, Fact: f})
		j := w.jobs[job]
		switch f := f.(type) {
		case play.Started:
			j.State = play.JobRunning
		case play.Finished:
			j.State, j.Outcome = play.JobFinished, f.Outcome
		}
		w.jobs[job] = j
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// Last is the end of a log.
func (w *world) Last(_ context.Context, job string) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(len(w.logs[job])), w.broken
}

// Tail reads a log.
func (w *world) Tail(ctx context.Context, job string, after int64) iter.Seq2[play.Event, error] {
	return func(yield func(play.Event, error) bool) {
		w.mu.Lock()
		w.tails++
		w.mu.Unlock()
		defer func() {
			w.mu.Lock()
			w.tails--
			w.mu.Unlock()
		}()
		for {
			w.mu.Lock()
			log, changed, broken := w.logs[job], w.changed, w.broken
			w.mu.Unlock()
			if broken != nil {
				yield(play.Event{}, broken)
				return
			}
			for _, e := range log[min(int(after), len(log)):] {
				time.Sleep(w.slow)
				if !yield(e, nil) {
					return
				}
				after = e.Seq
				if _, ok := e.Fact.(play.Finished); ok {
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				yield(play.Event{}, ctx.Err())
				return
			}
		}
	}
}

// snippet puts a snippet into the store.
func (w *world) snippet(owner string, files ...string) play.Snippet {
	w.t.Helper()
	var list []play.File
	for i := 0; i < len(files); i += 2 {
		list = append(list, play.File{Path: files[i], Mode: 0o644, Content: []byte(files[i+1])})
	}
	rev, err := play.NewRevision(list, play.DefaultLimits())
	if err != nil {
		w.t.Fatal(err)
	}
	sn := play.Snippet{ID: play.Name([]byte{2, byte(len(w.snippets))}, 10), Title: "Hello", Owner: owner, Revision: rev.ID, Created: epoch, Updated: epoch}
	w.CreateSnippet(context.Background(), sn, rev)
	return sn
}

// hello is a snippet's Dockerfile, its plan, and what a build of it says.
const hello = "FROM debian:bookworm-slim AS base\nRUN echo hello\nCMD [\"true\"]\n"

func helloPlan() play.Planned {
	plan, err := dockerfile.Parse([]byte(hello)).Plan("", nil)
	if err != nil {
		panic(err)
	}
	plan.Solver = true
	plan.Steps[0].Vertices, plan.Steps[1].Vertices = []string{"sha256:01"}, []string{"sha256:02"}
	return plan
}

func ms(n int) *play.Millis {
	m := play.Millis(time.Duration(n) * time.Millisecond)
	return &m
}

// helloLog is the log of a build of hello.
func helloLog() []play.Fact {
	return []play.Fact{
		play.Queued{Ahead: 1},
		play.Started{Attempt: 1, Worker: "w", BuildKit: "v0.34.2", Frontend: "1.20", Sandbox: "runc", Limit: *ms(600_000)},
		helloPlan(),
		play.Vertex{Digest: "sha256:01", Name: "FROM debian:bookworm-slim", Started: ms(5), Completed: ms(6), Cached: true},
		play.Vertex{Digest: "sha256:02", Name: "RUN echo hello", Started: ms(7)},
		play.Output{Vertex: "sha256:02", Stream: 1, Data: "hello\n"},
		play.Output{Vertex: "sha256:02", Stream: 1, Data: "and good"},
		play.Output{Vertex: "sha256:02", Stream: 1, Data: "bye\n"},
		play.Requested{Vertex: "sha256:02", Method: "GET", URL: "http://example.com/", Status: 200, Allowed: true},
		play.Vertex{Digest: "sha256:02", Name: "RUN echo hello", Started: ms(7), Completed: ms(90)},
		play.Exported{Image: "builds/x", Digest: "sha256:0f", Platform: "linux/amd64", Size: 1000, Layers: []play.Layer{{Digest: "sha256:0e", Size: 10, Step: 2, Files: 1}}},
		play.Finished{Outcome: play.OK},
	}
}

// built puts a finished build of a snippet into the world.
func (w *world) built(sn play.Snippet, facts ...play.Fact) play.Job {
	job, err := w.Submit(context.Background(), play.Viewer{ID: sn.Owner}, play.BuildRequest{Revision: sn.Revision}, sn.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	w.append(job.ID, facts...)
	job, _ = w.Job(context.Background(), job.ID)
	return job
}

// ask makes one request of a server.
func ask(s http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := newRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if strings.HasPrefix(body, "{") && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return serve(s, r)
}

// secrets of two people.
var (
	alice = strings.Repeat("a", 43)
	bob   = strings.Repeat("b", 43)
)

func bearer(secret string) []string { return []string{"Authorization", "Bearer " + secret} }

func newRequest(method, path string, body io.Reader) *http.Request {
	r := httptest.NewRequest(method, path, body)
	r.Host = "slipway.test"
	return r
}

func serve(s http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}
