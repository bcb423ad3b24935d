package server

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"time"

	"slipway/server/dockerfile"
	"slipway/server/explain"
	"slipway/server/play"
	"slipway/server/view"
	"slipway/web"

	"github.com/labstack/echo/v4"
)

// A build is a job with the fold of its log as far as it was read. Lock it to read it.
type build struct {
	sync.Mutex
	job       play.Job
	rev       play.Revision
	fold      view.Job
	text      []explain.Step // from the Dockerfile alone
	steps     []explain.Step // with what became of them, as of the event explained
	explained int64
}

// explain is the annotated steps as of now. Callers hold the lock.
func (b *build) explain(s *Server) []explain.Step {
	t := textOf(b.rev.Files, b.job.Build)
	if b.text == nil {
		b.text = t.Explain(s.Base, nil) // the log brings its own findings
	}
	if seq := b.fold.Timeline().Seq; b.steps == nil || b.explained != seq {
		b.steps, b.explained = explain.Build(b.text, &b.fold, t.paths()), seq
	}
	return b.steps
}

// draw is the build as pages show it, with or without its last lines. Callers hold the lock.
func (b *build) draw(s *Server, lines bool) web.Build {
	t := b.fold.Timeline()
	w := web.Build{Job: b.job, Timeline: t, Steps: b.explain(s), Now: s.Now()}
	w.Pull = s.pull(t)
	if lines {
		all := b.fold.Lines(0, 0)
		w.Lines = all[max(0, len(all)-web.LogLines):]
		w.StepLines = map[int][]view.Line{}
		for _, step := range t.Steps {
			w.StepLines[step.N] = b.fold.StepLines(step.N, web.StepLines)
		}
	}
	return w
}

// build gives a build as its log has it now; the caller releases it in the end.
func (s *Server) build(ctx context.Context, id string) (b *build, release func(), err error) {
	job, rev, err := s.jobAndRevision(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if job.State == play.JobFinished {
		b, err = s.finished(ctx, job, rev)
		return b, func() {}, err
	}
	l := s.lives.enter(job, rev)
	// What is stored now may have been seen: nobody is shown less.
	last, err := s.Log.Last(ctx, id)
	if err != nil {
		s.Logger.WarnContext(ctx, "where a log ends can't be told", "job", id, "err", err)
	}
	l.reach(ctx, last)
	return &l.build, func() { s.lives.leave(l) }, ctx.Err()
}

// finished is a finished build, folded once and kept for those who come next.
func (s *Server) finished(ctx context.Context, job play.Job, rev play.Revision) (*build, error) {
	return s.drawn.builds.get(job.ID, func() (*build, int, error) {
		// Whoever asked first may leave; the others still want it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		b := &build{job: job, rev: rev}
		cost := 4096
		for e, err := range s.Log.Tail(ctx, job.ID, 0) {
			if err != nil {
				return nil, 0, err
			}
			b.fold.Apply(e)
			cost += 200
			if o, ok := e.Fact.(play.Output); ok {
				cost += 4 * len(o.Data) // a line's text, its HTML and what holds them
			}
		}
		return b, cost, nil
	})
}

func (s *Server) jobAndRevision(ctx context.Context, id string) (play.Job, play.Revision, error) {
	if !play.IsName(id) {
		return play.Job{}, play.Revision{}, play.Errorf(play.NotFound, "There is no build %q.", clip(id))
	}
	job, err := s.Store.Job(ctx, id)
	if err != nil {
		return play.Job{}, play.Revision{}, err
	}
	rev, err := s.Store.Revision(ctx, job.Build.Revision)
	return job, rev, err
}

// pull is what an ordinary client pulls the image of a build by, or "".
func (s *Server) pull(t *view.Timeline) string {
	if t.Exported == nil {
		return ""
	}
	return s.base.Host + "/" + t.Exported.Image
}

// start submits a request for a build that is buildable.
func (s *Server) start(ctx context.Context, v play.Viewer, req play.BuildRequest, snippet string) (play.Job, error) {
	if err := s.rates.builds.take(v, s.Now()); err != nil {
		return play.Job{}, err
	}
	return s.Jobs.Submit(ctx, v, req, snippet)
}

// buildable refuses what can't be built, with the place.
func (s *Server) buildable(rev play.Revision, req play.BuildRequest) error {
	if err := req.Check(); err != nil {
		return tooLarge(err)
	}
	path := req.File()
	f, ok := rev.File(path)
	if !ok {
		return play.Errorf(play.Invalid, "There is no file %s to build from.", path).In(play.Place{File: path})
	}
	if err := dockerfile.Preflight(path, f.Content, req.BuildArgs, s.Limits); err != nil {
		return tooLarge(err)
	}
	o := dockerfile.Parse(f.Content)
	for _, p := range o.Problems {
		if p.Severity == play.SeverityError {
			return play.Errorf(play.Invalid, "%s", p.Message).In(play.Place{File: path, Range: p.Range})
		}
	}
	if len(o.Stages) == 0 {
		return play.Errorf(play.Invalid, "%s has no FROM: begin it with the image that the build starts from, for example FROM debian:bookworm-slim.", path).In(play.Place{File: path})
	}
	_, err := o.Plan(req.Target, req.BuildArgs)
	return err
}

// buildPage is GET /b/{build}, and /b/{build}.txt.
func (s *Server) buildPage(c echo.Context) error {
	if id, ok := cutSuffix(c, "build", ".txt"); ok {
		return s.buildText(c, id)
	}
	id := c.Param("build")
	if shared, err := s.shared(c, id); shared || err != nil {
		return err
	}
	ctx := c.Request().Context()
	b, release, err := s.build(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	b.Lock()
	page := web.BuildPage{Layout: s.layout(c), Build: b.draw(s, true), Revision: b.rev}
	b.Unlock()
	page.Build.CanCancel = b.job.Owner == viewerOf(ctx).ID
	page.NoIndex = true
	page.Snippet = s.snippetOf(ctx, b.job)
	return s.page(c, http.StatusOK, page)
}

// snippetOf is the snippet that a job was started from, or nil.
func (s *Server) snippetOf(ctx context.Context, job play.Job) *play.Snippet {
	if job.Snippet == "" {
		return nil
	}
	sn, err := s.Store.Snippet(ctx, job.Snippet)
	if err != nil {
		return nil
	}
	return &sn
}

// buildText is the build as text, for curl and terminals: GET /b/{build}.txt.
func (s *Server) buildText(c echo.Context, id string) error {
	text, err := s.text(c.Request().Context(), id, func(b *bytes.Buffer, j *view.Job) { view.NewText(b).Write(j) })
	if err != nil {
		return err
	}
	return c.Blob(http.StatusOK, "text/plain; charset=utf-8", text)
}

// buildLog is the whole output of a build: GET /b/{build}/log.txt.
func (s *Server) buildLog(c echo.Context) error {
	text, err := s.text(c.Request().Context(), c.Param("build"), writeLog)
	if err != nil {
		return err
	}
	return c.Blob(http.StatusOK, "text/plain; charset=utf-8", text)
}

func writeLog(b *bytes.Buffer, j *view.Job) {
	for _, l := range j.Lines(0, 0) {
		b.WriteString(l.Text)
		b.WriteByte('\n')
	}
}

// text is a build in the words of write. It is whole before it is sent: a client that reads slowly must not
// hold the build.
func (s *Server) text(ctx context.Context, id string, write func(*bytes.Buffer, *view.Job)) ([]byte, error) {
	b, release, err := s.build(ctx, id)
	if err != nil {
		return nil, err
	}
	defer release()
	b.Lock()
	defer b.Unlock()
	var text bytes.Buffer
	write(&text, &b.fold)
	return text.Bytes(), nil
}

// cancelBuild is the form POST /b/{build}/cancel.
func (s *Server) cancelBuild(c echo.Context) error {
	id := c.Param("build")
	if err := s.cancel(c.Request().Context(), id); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/b/"+id)
}

// cancel ends a build of the viewer's own.
func (s *Server) cancel(ctx context.Context, id string) error {
	if !play.IsName(id) {
		return play.Errorf(play.NotFound, "There is no build %q.", clip(id))
	}
	job, err := s.Store.Job(ctx, id)
	if err != nil {
		return err
	}
	v := viewerOf(ctx)
	if v.ID == "" || job.Owner != v.ID {
		return play.Errorf(play.Denied, "Only who started the build can cancel it.")
	}
	return s.Jobs.Cancel(ctx, v, id)
}
