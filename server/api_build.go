package server

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"time"

	"slipway/server/explain"
	"slipway/server/play"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
)

type buildInput struct {
	Body struct {
		Revision   string            `json:"revision,omitempty" doc:"What to build: a revision, or files"`
		Files      fileSet           `json:"files,omitempty" nullable:"true"`
		Snippet    string            `json:"snippet,omitempty" doc:"The snippet that it is built for"`
		Dockerfile string            `json:"dockerfile,omitempty" doc:"Path; Dockerfile if absent"`
		Target     string            `json:"target,omitempty" doc:"Name or number of a stage; the last if absent"`
		BuildArgs  map[string]string `json:"build_args,omitempty" nullable:"true"`
		Platform   string            `json:"platform,omitempty" example:"linux/amd64"`
		NoCache    bool              `json:"no_cache,omitempty"`
		Network    string            `json:"network,omitempty" doc:"on or off; on if absent"`
	}
}

func (in *buildInput) request(revision string) play.BuildRequest {
	b := in.Body
	return play.BuildRequest{
		Revision: revision, Dockerfile: b.Dockerfile, Target: b.Target, BuildArgs: b.BuildArgs,
		Platform: b.Platform, NoCache: b.NoCache, Network: b.Network,
	}
}

type startedOutput struct {
	Location  string `header:"Location"`
	SetCookie string `header:"Set-Cookie"`
	Body      startedBody
}

type startedBody struct {
	ID        string `json:"id"`
	Revision  string `json:"revision"`
	URL       string `json:"url" doc:"The page"`
	EventsURL string `json:"events_url"`
	EditKey   string `json:"edit_key,omitempty" doc:"Send it as 'Authorization: Bearer …' to cancel the build; it is shown once"`
}

// postBuild is POST /builds.
func (s *Server) postBuild(ctx context.Context, in *buildInput) (*startedOutput, error) {
	rev, err := s.wanted(ctx, in)
	if err != nil {
		return nil, err
	}
	req := in.request(rev.ID)
	if err := s.buildable(rev, req); err != nil {
		return nil, err
	}
	if in.Body.Snippet != "" {
		if err := s.ownRevision(ctx, in.Body.Snippet, rev.ID); err != nil {
			return nil, err
		}
	}
	v, secret, err := s.known(ctx)
	if err != nil {
		return nil, err
	}
	if in.Body.Revision == "" {
		if err := s.Store.AddRevision(ctx, rev, s.Now()); err != nil {
			return nil, err
		}
	}
	job, err := s.start(ctx, v, req, in.Body.Snippet)
	if err != nil {
		return nil, err
	}
	api := s.BaseURL + apiPath + "/builds/" + job.ID
	return &startedOutput{Location: api, SetCookie: secret.cookie, Body: startedBody{
		ID: job.ID, Revision: rev.ID, URL: s.BaseURL + "/b/" + job.ID, EventsURL: api + "/events", EditKey: secret.key,
	}}, nil
}

// wanted is the revision to build: a stored one, or the files that came along.
func (s *Server) wanted(ctx context.Context, in *buildInput) (play.Revision, error) {
	id, files := in.Body.Revision, in.Body.Files
	switch {
	case id != "" && len(files) > 0:
		return play.Revision{}, play.Errorf(play.Invalid, "Send either a revision or files, not both.")
	case id == "":
		return s.revision(files.files())
	case !play.IsName(id):
		return play.Revision{}, play.Errorf(play.NotFound, "There is no revision %q.", clip(id))
	}
	return s.Store.Revision(ctx, id)
}

// summaryBody is a build at a glance.
type summaryBody struct {
	ID         string            `json:"id"`
	Snippet    string            `json:"snippet,omitempty"`
	Revision   string            `json:"revision"`
	URL        string            `json:"url"`
	EventsURL  string            `json:"events_url"`
	Dockerfile string            `json:"dockerfile"`
	Target     string            `json:"target,omitempty"`
	BuildArgs  map[string]string `json:"build_args,omitempty"`
	Platform   string            `json:"platform,omitempty"`
	NoCache    bool              `json:"no_cache,omitempty"`
	Network    string            `json:"network,omitempty"`
	Created    time.Time         `json:"created"`

	Status   play.State   `json:"status" enum:"queued,running,finished"`
	Ahead    int          `json:"ahead,omitempty" doc:"Builds before it in the queue"`
	Outcome  play.Outcome `json:"outcome,omitempty" enum:"ok,failed,limit,cancelled,internal"`
	Message  string       `json:"message,omitempty" doc:"Why it ended so"`
	Hint     string       `json:"hint,omitempty" doc:"A likely next move"`
	Place    *play.Place  `json:"place,omitempty"`
	Steps    int          `json:"steps"`
	Cached   int          `json:"cached" doc:"Steps whose result was there already"`
	Duration play.Millis  `json:"duration" doc:"Milliseconds from start to finish"`
	Image    *imageBody   `json:"image,omitempty"`
}

type imageBody struct {
	Ref    string `json:"ref" doc:"What an ordinary client pulls"`
	Digest string `json:"digest"`
	Size   int64  `json:"size" doc:"Compressed bytes"`
}

type buildID struct {
	ID string `path:"id"`
}

type summaryOutput struct{ Body summaryBody }

// getBuild is GET /builds/{id}.
func (s *Server) getBuild(ctx context.Context, in *buildID) (*summaryOutput, error) {
	b, release, err := s.build(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	defer release()
	b.Lock()
	defer b.Unlock()
	t, sum, req := b.fold.Timeline(), b.fold.Summary(), b.job.Build
	out := summaryBody{
		ID: b.job.ID, Snippet: b.job.Snippet, Revision: req.Revision,
		URL: s.BaseURL + "/b/" + b.job.ID, EventsURL: s.BaseURL + apiPath + "/builds/" + b.job.ID + "/events",
		Dockerfile: req.File(), Target: req.Target, BuildArgs: req.BuildArgs, Platform: req.Platform, NoCache: req.NoCache,
		Network: req.Network, Created: b.job.Created,
		Status: t.State, Steps: sum.Steps, Cached: sum.Cached, Duration: sum.Duration, Message: sum.Message,
	}
	if t.State == play.JobQueued {
		out.Ahead = t.Ahead
	}
	if f := t.Finished; f != nil {
		out.Outcome, out.Hint, out.Place = f.Outcome, f.Hint, f.At
	}
	if t.Exported != nil {
		out.Image = &imageBody{Ref: s.pull(t), Digest: sum.Digest, Size: sum.Size}
	}
	return &summaryOutput{out}, nil
}

type stepsOutput struct {
	Body stepsBody
}

type stepsBody struct {
	Steps []explain.Step `json:"steps" nullable:"false"`
}

// getSteps is GET /builds/{id}/steps: what every step does, and what became of it.
func (s *Server) getSteps(ctx context.Context, in *buildID) (*stepsOutput, error) {
	b, release, err := s.build(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	defer release()
	b.Lock()
	defer b.Unlock()
	return &stepsOutput{stepsBody{Steps: b.explain(s)}}, nil
}

// getLog is GET /builds/{id}/log.txt.
func (s *Server) getLog(ctx context.Context, in *buildID) (*huma.StreamResponse, error) {
	text, err := s.text(ctx, in.ID, writeLog)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		c.SetHeader("Content-Type", "text/plain; charset=utf-8")
		c.SetStatus(http.StatusOK)
		c.BodyWriter().Write(text)
	}}, nil
}

// postCancel is POST /builds/{id}/cancel.
func (s *Server) postCancel(ctx context.Context, in *buildID) (*struct{}, error) {
	return nil, s.cancel(ctx, in.ID)
}

type eventsInput struct {
	ID     string `path:"id"`
	After  string `query:"after" doc:"The seq of the last event that was seen"`
	Last   string `header:"Last-Event-ID" doc:"The same, as browsers send it when they come back"`
	Accept string `header:"Accept" doc:"application/x-ndjson for one event a line in place of server-sent events"`
}

// getEvents is GET /builds/{id}/events: every event, live or stored alike, and then the end.
func (s *Server) getEvents(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	after, err := cursor(in.Last, in.After)
	if err != nil {
		return nil, err
	}
	if _, _, err := s.jobAndRevision(ctx, in.ID); err != nil {
		return nil, err
	}
	leave, err := s.rates.streams.enter(viewerOf(ctx))
	if err != nil {
		return nil, err
	}
	form := eventForm{eventStream, putServerSent, beatEvent}
	if strings.Contains(in.Accept, ndjson) {
		form = eventForm{ndjson, putLine, nil}
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		defer leave()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(s.live, cancel)() // the server stops: the client comes back to another
		w := newStream(humaecho.Unwrap(c).Response(), form.mediaType)
		if err := s.send(ctx, w, in.ID, after, form); err != nil && ctx.Err() == nil {
			s.Logger.ErrorContext(ctx, "a stream of events broke off", "job", in.ID, "err", err)
		}
	}}, nil
}

// An eventForm is a way to write events.
type eventForm struct {
	mediaType string
	put       func(*bytes.Buffer, play.Event) error
	beat      []byte // keeps a silent connection; nil: nothing may stand between events
}

// send writes the events of a job as they come, several at once if they are there.
func (s *Server) send(ctx context.Context, w *stream, job string, after int64, form eventForm) error {
	events, failed := s.pump(ctx, job, after)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	var b bytes.Buffer
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return <-failed
			}
			if err := form.put(&b, e); err != nil {
				return err
			}
			if len(events) > 0 && b.Len() < 64<<10 {
				continue
			}
		case <-beat.C:
			b.Write(form.beat)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := w.write(b.Bytes()); err != nil {
			return nil // a reader who is gone is no error
		}
		b.Reset()
		beat.Reset(heartbeat)
	}
}

func putLine(b *bytes.Buffer, e play.Event) error { return encodeJSON(b, e) }

func putServerSent(b *bytes.Buffer, e play.Event) error {
	var data bytes.Buffer
	if err := encodeJSON(&data, e); err != nil {
		return err
	}
	putEvent(b, "", e.Seq, bytes.TrimSuffix(data.Bytes(), []byte("\n")))
	return nil
}
