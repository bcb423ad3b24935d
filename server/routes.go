package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"slipway/web"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

// routes is every address that the server knows.
func (s *Server) routes() (*echo.Echo, error) {
	static, err := web.Static()
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.HTTPErrorHandler = s.handleError
	e.IPExtractor = clientAddress(s.Trusted)
	e.Use(s.middleware()...)

	get := func(path string, h echo.HandlerFunc) { e.Match([]string{http.MethodGet, http.MethodHead}, path, h) }
	get("/", s.home)
	e.POST("/", s.postSnippet)
	get("/new", s.blank)
	get("/examples", s.examplesPage)
	get("/s/:snippet", s.snippetPage)
	e.POST("/s/:snippet", s.postSnippet)
	get("/s/:snippet/:revision", s.snippetPage)
	e.POST("/steps", s.stepsFragment)
	get("/b/:build", s.buildPage)
	e.GET("/b/:build/live", s.buildLive)
	get("/b/:build/log.txt", s.buildLog)
	e.POST("/b/:build/cancel", s.cancelBuild)
	get("/rules", s.rulesPage)
	get("/rules/:rule", s.rulePage)
	get("/api", s.apiPage)
	get("/healthz", s.healthz)
	get("/readyz", s.readyz)
	get("/robots.txt", s.robots)
	get("/static/*", echo.WrapHandler(static))
	e.Any("/v2/*", echo.WrapHandler(s.Registry))

	api := s.newAPI(e)
	operation(s, api, "POST", "/snippets", "create-snippet", "Save files as a new snippet, or as a fork of one", s.createSnippet, answers(http.StatusCreated))
	operation(s, api, "GET", "/snippets/{id}", "get-snippet", "Read a snippet with the files of its latest revision", s.getSnippet)
	operation(s, api, "PUT", "/snippets/{id}", "put-snippet", "Add a revision to your snippet", s.putSnippet)
	operation(s, api, "GET", "/revisions/{revision}", "get-revision", "Read the files of a revision", s.getRevision,
		gives("The files", "application/json", "text/plain", "application/zip", "application/x-tar"))
	operation(s, api, "POST", "/lint", "lint", "Check a Dockerfile", s.postLint)
	operation(s, api, "POST", "/explain", "explain", "Explain what each step of a Dockerfile does", s.postExplain)
	operation(s, api, "POST", "/builds", "start-build", "Build a revision, or files", s.postBuild, answers(http.StatusAccepted))
	operation(s, api, "GET", "/builds/{id}", "get-build", "Read where a build stands and how it ended", s.getBuild)
	operation(s, api, "GET", "/builds/{id}/events", "get-events", "Read the events of a build as they come; the answer ends after the event of kind finished", s.getEvents,
		gives("Events", eventStream, ndjson))
	operation(s, api, "GET", "/builds/{id}/steps", "get-steps", "Explain what each step of a build did", s.getSteps)
	operation(s, api, "GET", "/builds/{id}/log.txt", "get-log", "Read all that the steps of a build wrote", s.getLog, gives("The output", "text/plain"))
	operation(s, api, "POST", "/builds/{id}/cancel", "cancel-build", "Cancel your build", s.postCancel, answers(http.StatusNoContent))
	operation(s, api, "GET", "/rules", "get-rules", "List the lint rules", s.getRules)
	api.OpenAPI().AddOperation(unpackOperation(api))
	e.POST(apiPath+"/unpack", s.unpack)
	return e, nil
}

// middleware is what every request passes, in order.
func (s *Server) middleware() []echo.MiddlewareFunc {
	registry := func(c echo.Context) bool { return strings.HasPrefix(c.Request().URL.Path, "/v2/") }
	return []echo.MiddlewareFunc{
		s.logRequests,
		middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: func(c echo.Context, err error, stack []byte) error {
			return fmt.Errorf("%w\n%s", err, stack)
		}}),
		s.headers,
		middleware.BodyLimitWithConfig(middleware.BodyLimitConfig{Skipper: registry, Limit: fmt.Sprintf("%dB", bodyLimit(s.Limits))}),
		middleware.GzipWithConfig(middleware.GzipConfig{MinLength: 1024, Skipper: func(c echo.Context) bool {
			return registry(c) || zipped(c)
		}}),
		s.visitor,
		skip(registry, s.sameSite),
	}
}

// zipped reports whether an answer is compressed already, or must be on its way at once.
func zipped(c echo.Context) bool {
	switch p := c.Path(); p {
	case "/static/*", "/b/:build/live", apiPath + "/builds/:id/events", apiPath + "/revisions/:revision":
		return true
	case "/b/:build": // shared pages bring their own; the text of a build is short
		return true
	}
	return false
}

// headAsGet lets HEAD ask for whatever GET gives but streams; net/http leaves the body out.
func headAsGet(r *http.Request) *http.Request {
	p := r.URL.Path
	if r.Method != http.MethodHead || strings.HasPrefix(p, "/v2/") || strings.HasSuffix(p, "/live") || strings.HasSuffix(p, "/events") {
		return r
	}
	get := r.WithContext(r.Context())
	get.Method = http.MethodGet
	return get
}

func skip(when func(echo.Context) bool, m echo.MiddlewareFunc) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		through := m(next)
		return func(c echo.Context) error {
			if when(c) {
				return next(c)
			}
			return through(c)
		}
	}
}

// logRequests gives every request an id, and logs it once it is answered.
func (s *Server) logRequests(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		id, err := s.newID()
		if err != nil {
			return err
		}
		r, w := c.Request(), c.Response()
		w.Header().Set(echo.HeaderXRequestID, id)
		if err := next(c); err != nil {
			c.Error(err)
		}
		s.Logger.LogAttrs(r.Context(), slog.LevelDebug, "request",
			slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", w.Status), slog.Int64("bytes", w.Size),
			slog.Duration("took", time.Since(start)), slog.String("request_id", id))
		return nil
	}
}

// robots lets search engines in, but not into what strangers made.
func (s *Server) robots(c echo.Context) error {
	return c.String(http.StatusOK, "User-agent: *\nDisallow: /b/\nDisallow: /s/\nDisallow: /api/\nDisallow: /v2/\n")
}
