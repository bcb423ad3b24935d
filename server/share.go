package server

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"slipway/server/play"
	"slipway/web"

	"github.com/labstack/echo/v4"
)

// drawings are the finished builds that were looked at last. They are functions of stored logs: losing them
// costs the time to draw them again, nothing else.
type drawings struct {
	builds *cache[*build]
	pages  *cache[*sharedPage]
}

func newDrawings() *drawings {
	return &drawings{builds: newCache[*build](32 << 20), pages: newCache[*sharedPage](32 << 20)}
}

// A sharedPage is the page of a finished build as bytes: the same for everyone.
type sharedPage struct {
	html, zipped []byte
	etag         string
	made         time.Time
}

// freshFor is how long a page is kept: the build never changes, but the title of its snippet may.
const freshFor = time.Minute

// shared answers with the page of a finished build, and reports whether it did.
func (s *Server) shared(c echo.Context, id string) (bool, error) {
	ctx := c.Request().Context()
	page, ok := s.drawn.pages.peek(id)
	if !ok || s.Now().Sub(page.made) > freshFor {
		job, rev, err := s.jobAndRevision(ctx, id)
		if err != nil || job.State != play.JobFinished {
			return false, err
		}
		b, err := s.finished(ctx, job, rev)
		if err != nil {
			return false, err
		}
		if page, err = s.drawShared(c, b); err != nil {
			return false, err
		}
		s.drawn.pages.put(id, page, len(page.html)+len(page.zipped))
	}
	return true, page.serve(c)
}

func (s *Server) drawShared(c echo.Context, b *build) (*sharedPage, error) {
	ctx := c.Request().Context()
	page := web.BuildPage{Layout: s.layout(c), Revision: b.rev, Snippet: s.snippetOf(ctx, b.job)}
	page.NoIndex = true // until it has an owner who asks for more
	b.Lock()
	page.Build = b.draw(s, true)
	b.Unlock()
	var html, zipped bytes.Buffer
	if err := page.Render(ctx, &html); err != nil {
		return nil, err
	}
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(html.Bytes()); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(html.Bytes())
	return &sharedPage{
		html: html.Bytes(), zipped: zipped.Bytes(), made: s.Now(),
		// Weak: the same page, zipped or not.
		etag: `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
	}, nil
}

func (p *sharedPage) serve(c echo.Context) error {
	h := c.Response().Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "no-cache") // keep it, and ask whether it is still the same
	h.Set("ETag", p.etag)
	h.Set("Vary", "Accept-Encoding")
	r := c.Request()
	if strings.Contains(r.Header.Get("If-None-Match"), p.etag) {
		return c.NoContent(http.StatusNotModified)
	}
	body := p.html
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = p.zipped
	}
	return c.Blob(http.StatusOK, "text/html; charset=utf-8", body)
}
