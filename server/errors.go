package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"slipway/server/play"
	"slipway/web"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/negotiation"
	"github.com/labstack/echo/v4"
)

// A refusal is an error with an HTTP status or headers other than its kind's.
type refusal struct {
	status int           // 0: the kind's
	retry  time.Duration // 0: not said
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// tooLarge gives errors of kind Limited the status 413: they are about what was sent, not about how often.
func tooLarge(err error) error {
	if err == nil || play.KindOf(err) != play.Limited {
		return err
	}
	return &refusal{status: http.StatusRequestEntityTooLarge, err: err}
}

// statusOf is the status of a kind.
func statusOf(k play.Kind) int {
	switch k {
	case play.Invalid:
		return http.StatusUnprocessableEntity
	case play.NotFound:
		return http.StatusNotFound
	case play.Denied:
		return http.StatusForbidden
	case play.Conflict:
		return http.StatusConflict
	case play.Limited:
		return http.StatusTooManyRequests
	case play.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// A problem is an error as the API shows it (RFC 9457).
type problem struct {
	Type      string              `json:"type" example:"about:blank"`
	Title     string              `json:"title" doc:"The status in words"`
	Status    int                 `json:"status"`
	Detail    string              `json:"detail" doc:"What happened and what to do next"`
	Kind      play.Kind           `json:"kind" enum:"invalid,not_found,denied,conflict,limited,unavailable,internal"`
	Place     *play.Place         `json:"place,omitempty" doc:"Where in the files"`
	RequestID string              `json:"request_id,omitempty" doc:"Names the request in the server's log"`
	Errors    []*huma.ErrorDetail `json:"errors,omitempty" doc:"Where in the request"`

	retry time.Duration
	cause error // for the log
}

func (p *problem) Error() string             { return p.Detail }
func (p *problem) Unwrap() error             { return p.cause }
func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) ContentType(string) string { return "application/problem+json" }
func (p *problem) GetHeaders() http.Header   { return p.headers() }

func (p *problem) headers() http.Header {
	h := http.Header{}
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.retry+time.Second-1)/time.Second)))
	}
	return h
}

// problemOf says err in words for people.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	p = &problem{Type: "about:blank", Kind: play.Internal, Detail: "Something went wrong on our side. It was noted; trying again may help.", cause: err}
	var e *play.Error
	var he *echo.HTTPError
	switch {
	case errors.As(err, &e):
		p.Kind, p.Place = e.Kind, e.At
		if e.Msg != "" {
			p.Detail = e.Msg
		}
		p.Status = statusOf(e.Kind)
	case errors.As(err, &he):
		p.Status = he.Code
		p.Kind, p.Detail = wordsOf(he.Code)
	case errors.Is(err, context.DeadlineExceeded):
		p.Status, p.Kind, p.Detail = http.StatusServiceUnavailable, play.Unavailable, "This took too long; try again in a moment."
	default:
		p.Status = http.StatusInternalServerError
	}
	var r *refusal
	if errors.As(err, &r) {
		p.retry = r.retry
		if r.status != 0 {
			p.Status = r.status
		}
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// wordsOf says what a status means when the router or a middleware gave it.
func wordsOf(status int) (play.Kind, string) {
	switch status {
	case http.StatusNotFound:
		return play.NotFound, "There is nothing at this address."
	case http.StatusMethodNotAllowed:
		return play.Invalid, "This address does not take that method."
	case http.StatusRequestEntityTooLarge:
		return play.Limited, "The request is larger than the largest set of files that is allowed."
	case http.StatusUnsupportedMediaType:
		return play.Invalid, "The body must be JSON, with Content-Type: application/json."
	case http.StatusRequestTimeout:
		return play.Invalid, "The request's body did not arrive in time."
	case http.StatusForbidden:
		return play.Denied, "The request came from another site's page; it was refused."
	}
	if status >= 500 {
		return play.Internal, "Something went wrong on our side. It was noted; trying again may help."
	}
	return play.Invalid, "The request can't be read."
}

// handleError is the one place where an error becomes an answer: a page, a problem or plain text.
func (s *Server) handleError(err error, c echo.Context) {
	p := s.noted(c.Request().Context(), err)
	if c.Response().Committed {
		return
	}
	for k, v := range p.headers() {
		c.Response().Header()[k] = v
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	var failed error
	switch errorType(c.Request()) {
	case "text/html":
		e := &play.Error{Kind: p.Kind, Msg: p.Detail, At: p.Place}
		page := web.ErrorPage{Layout: s.layout(c), Status: p.Status, Err: e, RequestID: p.RequestID, Retry: p.retry}
		page.NoIndex = true
		failed = s.page(c, p.Status, page)
	case "text/plain":
		text := p.Detail + "\n"
		if p.Place != nil {
			text = p.Place.String() + ": " + text
		}
		failed = c.String(p.Status, text)
	default:
		c.Response().Header().Set("Content-Type", "application/problem+json")
		c.Response().WriteHeader(p.Status)
		failed = json.NewEncoder(c.Response()).Encode(p)
	}
	if failed != nil {
		s.Logger.DebugContext(c.Request().Context(), "an error could not be sent", "err", failed)
	}
}

// noted is the problem that err is, with the request's id, and in the log if it is ours to mend.
func (s *Server) noted(ctx context.Context, err error) *problem {
	p := problemOf(err)
	p.RequestID = visitOf(ctx).requestID
	switch {
	case ctx.Err() != nil: // nobody is there to be told
	case p.Status >= 500:
		s.Logger.ErrorContext(ctx, "request failed", "request_id", p.RequestID, "status", p.Status, "err", err)
	case p.cause != nil:
		s.Logger.DebugContext(ctx, "request refused", "request_id", p.RequestID, "status", p.Status, "err", err)
	}
	return p
}

// errorType is the media type in which the client wants to hear about an error.
func errorType(r *http.Request) string {
	accept := r.Header.Get("Accept")
	if strings.HasPrefix(r.URL.Path, "/api/") || r.Header.Get("X-Slipway") != "" { // our pages' script
		return "application/problem+json"
	}
	switch t := negotiation.SelectQValue(accept, []string{"text/html", "application/problem+json", "application/json", "text/plain"}); {
	case t != "":
		return t
	case strings.HasSuffix(r.URL.Path, ".txt") || strings.HasSuffix(r.URL.Path, "/live"):
		return "text/plain"
	}
	return "text/html"
}

// humaProblems turns huma's own error answers into problems: a transformer of every API answer.
func humaProblems(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	kind, words := wordsOf(m.Status)
	p := &problem{Type: "about:blank", Title: http.StatusText(m.Status), Status: m.Status, Kind: kind, Detail: words, RequestID: visitOf(ctx.Context()).requestID}
	for _, e := range m.Errors[:min(len(m.Errors), 10)] {
		said := &huma.ErrorDetail{Message: e.Message, Location: e.Location} // not the value: it may be megabytes
		if strings.HasPrefix(e.Location, "body.files.") {
			said.Message = `a file is its text, or {"text": "…"}, or {"base64": "…"} with the bytes in base64`
		}
		p.Errors = append(p.Errors, said)
	}
	if m.Status == http.StatusUnprocessableEntity && len(p.Errors) > 0 {
		first := p.Errors[0]
		p.Detail = fmt.Sprintf("The request does not fit: %s: %s.", strings.TrimPrefix(first.Location, "body."), first.Message)
	}
	if m.Status == http.StatusBadRequest && len(p.Errors) > 0 {
		p.Detail = fmt.Sprintf("The request can't be read: %s.", p.Errors[0].Message)
	}
	return p, nil
}
