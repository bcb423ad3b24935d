package server

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"slipway/server/archive"
	"slipway/server/play"

	"github.com/danielgtaylor/huma/v2"
)

// revisionInput names a revision, and how its files are wanted.
type revisionInput struct {
	Revision string `path:"revision" doc:"A revision's id, with .json, .txtar, .zip or .tar for a format; without one it is JSON"`
	Match    string `header:"If-None-Match" hidden:"true"`
}

// revisionBody is a revision in JSON.
type revisionBody struct {
	ID    string  `json:"id"`
	Files fileSet `json:"files"`
}

// getRevision is GET /revisions/{rev}: a revision never changes.
func (s *Server) getRevision(ctx context.Context, in *revisionInput) (*huma.StreamResponse, error) {
	id, ext, named := strings.Cut(in.Revision, ".")
	if !named {
		ext = "json"
	}
	format := archive.Format(ext)
	if ext != "json" && !slices.Contains(archive.Formats[:], format) {
		return nil, play.Errorf(play.NotFound, "A revision can be had as .json, .txtar, .zip and .tar, not as .%s.", clip(ext))
	}
	if !play.IsName(id) {
		return nil, play.Errorf(play.NotFound, "There is no revision %q.", clip(id))
	}
	rev, err := s.Store.Revision(ctx, id)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	mediaType := "application/json"
	if ext == "json" {
		err = encodeJSON(&b, revisionBody{ID: rev.ID, Files: fileSetOf(rev.Files)})
	} else {
		mediaType = format.MediaType()
		err = archive.Write(&b, format, rev)
	}
	if err != nil {
		return nil, fmt.Errorf("revision %s as %q: %w", id, ext, err)
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		c.SetHeader("Content-Type", mediaType)
		c.SetHeader("Cache-Control", "public, max-age=31536000, immutable")
		c.SetHeader("ETag", `"`+in.Revision+`"`)
		if ext != "json" {
			c.SetHeader("Content-Disposition", `attachment; filename="slipway-`+in.Revision+`"`)
		}
		if strings.Contains(in.Match, `"`+in.Revision+`"`) {
			c.SetStatus(http.StatusNotModified)
			return
		}
		c.SetStatus(http.StatusOK)
		c.BodyWriter().Write(b.Bytes())
	}}, nil
}
