package server

import (
	"context"
	"net/http"

	"slipway/server/dockerfile"
	"slipway/server/example"
	"slipway/server/play"
	"slipway/web"

	"github.com/labstack/echo/v4"
)

// home is a new snippet, ready to build: GET /.
func (s *Server) home(c echo.Context) error {
	e, err := example.Starter()
	if err != nil {
		return err
	}
	return s.editor(c, http.StatusOK, form{files: e.Files, analyse: true}, play.Snippet{})
}

// blank is a new snippet with next to nothing in it: GET /new.
func (s *Server) blank(c echo.Context) error {
	files := []play.File{{Path: "Dockerfile", Mode: 0o644, Content: []byte("FROM debian:bookworm-slim\n")}}
	return s.editor(c, http.StatusOK, form{files: files, analyse: true}, play.Snippet{})
}

// snippetPage is GET /s/{snippet} and /s/{snippet}/{revision}.
func (s *Server) snippetPage(c echo.Context) error {
	ctx := c.Request().Context()
	sn, err := s.snippet(ctx, c.Param("snippet"))
	if err != nil {
		return err
	}
	wanted := c.Param("revision")
	if wanted == "" {
		wanted = sn.Revision
	} else if err := s.ownRevision(ctx, sn.ID, wanted); err != nil {
		return err
	}
	rev, err := s.Store.Revision(ctx, wanted)
	if err != nil {
		return err
	}
	return s.editor(c, http.StatusOK, form{files: rev.Files, title: sn.Title, revision: rev, analyse: true}, sn)
}

// postSnippet takes the editor's form: POST / and /s/{snippet}. Whatever is refused is drawn again as it was typed.
func (s *Server) postSnippet(c echo.Context) error {
	ctx := c.Request().Context()
	var sn play.Snippet
	if id := c.Param("snippet"); id != "" {
		var err error
		if sn, err = s.snippet(ctx, id); err != nil {
			return err
		}
	}
	f, err := s.readForm(c)
	if err == nil && f.from != "" {
		_, err = s.snippet(ctx, f.from)
	}
	if err == nil {
		switch f.action {
		case "save", "build":
			var to string
			if to, sn, err = s.saveForm(c, &f, sn); err == nil {
				return c.Redirect(http.StatusSeeOther, to)
			}
		case "add":
			f.files = append(f.files, play.File{Mode: 0o644})
		case "upload": // the files are there already
		default:
			f.analyse, f.must = true, true
		}
	}
	if err != nil {
		p := problemOf(err)
		if p.Status >= 500 {
			err = s.noted(ctx, err)
		}
		f.refused = &play.Error{Kind: p.Kind, Msg: p.Detail, At: p.Place, Err: err}
		return s.editor(c, p.Status, f, sn)
	}
	return s.editor(c, http.StatusOK, f, sn)
}

// saveForm saves what was typed and, if asked, starts its build. It gives the path to go to, and the snippet as
// it is now.
func (s *Server) saveForm(c echo.Context, f *form, sn play.Snippet) (string, play.Snippet, error) {
	ctx := c.Request().Context()
	rev, err := s.revision(f.kept())
	if err != nil {
		return "", sn, err
	}
	if f.action == "build" {
		if err := s.buildable(rev, f.options); err != nil {
			return "", sn, err
		}
	}
	v, secret, err := s.known(ctx)
	if err != nil {
		return "", sn, err
	}
	if secret.cookie != "" {
		c.Response().Header().Add("Set-Cookie", secret.cookie)
	}
	of := sn
	if f.from != "" {
		of = play.Snippet{ID: f.from} // a copy, also of one's own
	}
	saved, err := s.save(ctx, v, of, f.base, f.title, rev)
	if err != nil {
		return "", sn, err
	}
	if f.action == "save" {
		return "/s/" + saved.ID, saved, nil
	}
	f.base, f.options.Revision = rev.ID, rev.ID
	job, err := s.start(ctx, v, f.options, saved.ID)
	return "/b/" + job.ID, saved, err
}

// save adds a revision to a viewer's snippet, or makes a new snippet: of one that isn't theirs, a fork.
func (s *Server) save(ctx context.Context, v play.Viewer, sn play.Snippet, base, title string, rev play.Revision) (play.Snippet, error) {
	if sn.ID == "" || sn.Owner != v.ID {
		return s.create(ctx, v, sn.ID, title, rev)
	}
	if err := s.rates.saves.take(v, s.Now()); err != nil {
		return play.Snippet{}, err
	}
	now := s.Now()
	revised, err := s.Store.Revise(ctx, sn.ID, base, rev, now)
	if err != nil {
		return play.Snippet{}, err
	}
	if title = play.Title(title); title != revised.Title {
		revised.Title = title
		err = s.Store.Rename(ctx, sn.ID, title, now)
	}
	return revised, tooLarge(err)
}

// create makes a new snippet, a fork if from is a snippet's id.
func (s *Server) create(ctx context.Context, v play.Viewer, from, title string, rev play.Revision) (play.Snippet, error) {
	if err := s.rates.saves.take(v, s.Now()); err != nil {
		return play.Snippet{}, err
	}
	id, err := s.newID()
	if err != nil {
		return play.Snippet{}, err
	}
	now := s.Now()
	sn := play.Snippet{ID: id, Title: play.Title(title), Owner: v.ID, Revision: rev.ID, ForkedFrom: from, Created: now, Updated: now}
	return sn, tooLarge(s.Store.CreateSnippet(ctx, sn, rev))
}

// editor draws the editor on a snippet, or on what was typed into it.
func (s *Server) editor(c echo.Context, status int, f form, sn play.Snippet) error {
	ctx := c.Request().Context()
	v := viewerOf(ctx)
	nonce, err := s.styleNonce(c)
	if err != nil {
		return err
	}
	p := web.EditorPage{
		Layout: s.layout(c), Action: "/", Snippet: sn, Title: f.title, Revision: f.revision,
		Owner: sn.ID == "" || v.ID != "" && sn.Owner == v.ID, Options: f.options, Args: f.args, Open: f.open,
		Examples: s.examples, Limits: s.Limits, Error: f.refused,
	}
	p.Nonce = nonce
	if sn.ID != "" {
		p.Action = "/s/" + sn.ID
		p.Old = f.revision.ID != "" && f.revision.ID != sn.Revision
	}
	if p.Revision.ID == "" {
		p.Revision = play.Revision{ID: f.base, Files: f.files}
	} else if b := s.lastBuild(ctx, sn.ID, f.revision.ID); b != nil {
		p.Build, p.Options = b, b.Job.Build
	}
	if f.analyse {
		text := textOf(f.kept(), p.Options)
		err := s.analyse(ctx, v, text, &p)
		if err != nil && f.must {
			q := s.noted(ctx, err)
			status, p.Error = q.Status, &play.Error{Kind: q.Kind, Msg: q.Detail, At: q.Place}
		}
	}
	return s.page(c, status, p)
}

// analyse puts into the page what the text alone tells. A page without it is still a page.
func (s *Server) analyse(ctx context.Context, v play.Viewer, t Text, p *web.EditorPage) (err error) {
	if p.Findings, err = s.lint(ctx, v, t); err != nil {
		return err
	}
	if p.Steps, err = s.explain(ctx, v, t); err != nil {
		return err
	}
	p.Checked = true
	f, _ := p.Revision.File(t.Request().File())
	if plan, err := dockerfile.Parse(f.Content).Plan("", t.BuildArgs); err == nil {
		p.Stages = plan.Stages
	}
	return nil
}

// lastBuild is the latest build of a snippet's revision, or nil.
func (s *Server) lastBuild(ctx context.Context, snippet, revision string) *web.Build {
	jobs, err := s.Store.JobsOfSnippet(ctx, snippet, 20)
	if err != nil {
		return nil
	}
	for _, job := range jobs {
		if job.Build.Revision != revision {
			continue
		}
		b, release, err := s.build(ctx, job.ID)
		if err != nil {
			return nil
		}
		defer release()
		b.Lock()
		defer b.Unlock()
		drawn := b.draw(s, true)
		drawn.CanCancel = job.Owner == viewerOf(ctx).ID
		return &drawn
	}
	return nil
}

func (s *Server) snippet(ctx context.Context, id string) (play.Snippet, error) {
	if !play.IsName(id) {
		return play.Snippet{}, play.Errorf(play.NotFound, "There is no snippet %q.", clip(id))
	}
	return s.Store.Snippet(ctx, id)
}

// ownRevision refuses a revision that never was the snippet's.
func (s *Server) ownRevision(ctx context.Context, snippet, revision string) error {
	versions, err := s.Store.Versions(ctx, snippet)
	if err != nil {
		return err
	}
	for _, v := range versions {
		if v.Revision == revision {
			return nil
		}
	}
	return play.Errorf(play.NotFound, "The snippet has no revision %q.", clip(revision))
}
