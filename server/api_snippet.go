package server

import (
	"context"
	"net/http"
	"time"

	"slipway/server/play"
)

// snippetBody is a snippet in JSON.
type snippetBody struct {
	ID         string    `json:"id"`
	Title      string    `json:"title"`
	Revision   string    `json:"revision" doc:"The latest"`
	ForkedFrom string    `json:"forked_from,omitempty"`
	Created    time.Time `json:"created"`
	Updated    time.Time `json:"updated"`
	URL        string    `json:"url"`
	Files      fileSet   `json:"files"`
}

// savedBody is the answer to what was saved.
type savedBody struct {
	ID       string `json:"id"`
	Revision string `json:"revision"`
	URL      string `json:"url"`
	EditKey  string `json:"edit_key,omitempty" doc:"Send it as 'Authorization: Bearer …' to change what you made; it is shown once"`
}

type savedOutput struct {
	Location  string `header:"Location"`
	ETag      string `header:"ETag"`
	SetCookie string `header:"Set-Cookie"`
	Body      savedBody
}

func (s *Server) savedOutput(sn play.Snippet, c credential) *savedOutput {
	url := s.BaseURL + "/s/" + sn.ID
	return &savedOutput{
		Location: url, ETag: etag(sn.Revision), SetCookie: c.cookie,
		Body: savedBody{ID: sn.ID, Revision: sn.Revision, URL: url, EditKey: c.key},
	}
}

func etag(id string) string { return `"` + id + `"` }

type createInput struct {
	Body struct {
		Title      string  `json:"title,omitempty"`
		Files      fileSet `json:"files"`
		ForkedFrom string  `json:"forked_from,omitempty" doc:"The snippet that this one began as"`
	}
}

// createSnippet is POST /snippets.
func (s *Server) createSnippet(ctx context.Context, in *createInput) (*savedOutput, error) {
	rev, err := s.revision(in.Body.Files.files())
	if err != nil {
		return nil, err
	}
	var from play.Snippet
	if in.Body.ForkedFrom != "" {
		if from, err = s.snippet(ctx, in.Body.ForkedFrom); err != nil {
			return nil, err
		}
	}
	v, secret, err := s.known(ctx)
	if err != nil {
		return nil, err
	}
	sn, err := s.create(ctx, v, from.ID, in.Body.Title, rev)
	if err != nil {
		return nil, err
	}
	return s.savedOutput(sn, secret), nil
}

type snippetInput struct {
	ID    string `path:"id"`
	Match string `header:"If-None-Match" hidden:"true"`
}

type snippetOutput struct {
	Status int
	ETag   string `header:"ETag"`
	Body   snippetBody
}

// getSnippet is GET /snippets/{id}.
func (s *Server) getSnippet(ctx context.Context, in *snippetInput) (*snippetOutput, error) {
	sn, err := s.snippet(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if in.Match == etag(sn.Revision) {
		return &snippetOutput{Status: http.StatusNotModified, ETag: in.Match}, nil
	}
	rev, err := s.Store.Revision(ctx, sn.Revision)
	if err != nil {
		return nil, err
	}
	return &snippetOutput{Status: http.StatusOK, ETag: etag(sn.Revision), Body: snippetBody{
		ID: sn.ID, Title: sn.Title, Revision: sn.Revision, ForkedFrom: sn.ForkedFrom, Created: sn.Created, Updated: sn.Updated,
		URL: s.BaseURL + "/s/" + sn.ID, Files: fileSetOf(rev.Files),
	}}, nil
}

type reviseInput struct {
	ID    string `path:"id"`
	Match string `header:"If-Match" doc:"The ETag of the revision that was edited, or *"`
	Body  struct {
		Title *string `json:"title,omitempty" doc:"Left as it is if absent"`
		Files fileSet `json:"files"`
	}
}

// putSnippet is PUT /snippets/{id}: one more revision.
func (s *Server) putSnippet(ctx context.Context, in *reviseInput) (*savedOutput, error) {
	sn, err := s.snippet(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	v := viewerOf(ctx)
	switch {
	case v.ID == "" || sn.Owner != v.ID:
		return nil, play.Errorf(play.Denied, "The snippet is someone else's. Make it your own: POST /snippets with \"forked_from\": %q.", sn.ID)
	case in.Match == "":
		return nil, &refusal{status: http.StatusPreconditionRequired, err: play.Errorf(play.Invalid, "Send If-Match with the ETag of the revision that you edited, so that nobody's work is lost.")}
	case in.Match != "*" && in.Match != etag(sn.Revision):
		return nil, &refusal{status: http.StatusPreconditionFailed, err: play.Errorf(play.Conflict, "The snippet was changed meanwhile: its latest revision is %s. Read it, bring the two together and send it with If-Match: %s.", sn.Revision, etag(sn.Revision))}
	}
	rev, err := s.revision(in.Body.Files.files())
	if err != nil {
		return nil, err
	}
	title := sn.Title
	if in.Body.Title != nil {
		title = *in.Body.Title
	}
	sn, err = s.save(ctx, v, sn, sn.Revision, title, rev)
	if err != nil {
		return nil, err
	}
	return s.savedOutput(sn, credential{}), nil
}
