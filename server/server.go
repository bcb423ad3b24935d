// Package server is Slipway over HTTP: the pages, the JSON API and the live streams. It reads requests, calls
// the parts that it is given and draws what they answer. It never stores, builds or analyses anything itself,
// and keeps nothing but caches: everything shown is a function of the stored values.
package server

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"slipway/server/example"
	"slipway/server/explain"
	"slipway/server/play"
	"slipway/web"

	"github.com/labstack/echo/v4"
)

// Config is what a Server needs. All fields are needed but Base and Trusted.
type Config struct {
	Store    Store
	Jobs     Jobs
	Log      Log
	Lint     func(context.Context, Text) ([]play.Diagnostic, error) // in a guarded process
	Explain  func(context.Context, Text) ([]explain.Step, error)    // in a guarded process
	Registry http.Handler                                           // mounted at /v2/; it limits what it takes itself
	Checks   []Check                                                // what readiness needs
	Base     func(ref string) (play.ImageConfig, bool)              // what is known of a base image; nil: nothing

	BaseURL string         // scheme and host that people use, without a final slash
	Trusted []netip.Prefix // proxies whose X-Forwarded-For is believed
	Limits  play.Limits
	Rates   Rates
	Now     func() time.Time
	Random  io.Reader // for secrets and ids
	Logger  *slog.Logger
}

// Store keeps what people made. Errors of all interfaces here are *play.Error where people can do something
// about them.
type Store interface {
	Snippets
	Revisions
	Builds
}

// Snippets keeps snippets.
type Snippets interface {
	// CreateSnippet keeps a snippet with its first revision.
	CreateSnippet(ctx context.Context, sn play.Snippet, rev play.Revision) error
	Snippet(ctx context.Context, id string) (play.Snippet, error)
	// Revise makes rev the latest revision. It is a Conflict, and changes nothing, if base is not the latest.
	Revise(ctx context.Context, id, base string, rev play.Revision, at time.Time) (play.Snippet, error)
}

// Revisions keeps the files of revisions.
type Revisions interface {
	AddRevision(ctx context.Context, rev play.Revision, at time.Time) error
	Revision(ctx context.Context, id string) (play.Revision, error)
	// Versions is a snippet's line of revisions.
	Versions(ctx context.Context, snippet string) ([]play.Version, error)
}

// Builds keeps the records of jobs, and the titles of what they build.
type Builds interface {
	Job(ctx context.Context, id string) (play.Job, error)
	// JobsOfSnippet are the latest jobs started from a snippet, the newest first.
	JobsOfSnippet(ctx context.Context, snippet string, limit int) ([]play.Job, error)
	Rename(ctx context.Context, snippet, title string, at time.Time) error
}

// Jobs starts and ends jobs.
type Jobs interface {
	Submit(ctx context.Context, v play.Viewer, req play.BuildRequest, snippet string) (play.Job, error)
	Cancel(ctx context.Context, v play.Viewer, id string) error
}

// Log reads the events of jobs.
type Log interface {
	// Tail gives the events after a Seq, as they come if the job runs, and ends after Finished.
	Tail(ctx context.Context, job string, after int64) iter.Seq2[play.Event, error]
	// Last is the Seq of the last event that is stored.
	Last(ctx context.Context, job string) (int64, error)
}

// Check is one thing that readiness needs.
type Check struct {
	Name  string
	Ready func(context.Context) error // the error's text is shown
}

// Server answers HTTP requests.
type Server struct {
	Config
	echo     *echo.Echo
	base     *url.URL
	examples []web.Example
	secure   bool // people reach us by https
	rates    *limiters
	drawn    *drawings
	lives    *lives
	live     context.Context // ends when the server stops: long answers end with it
	stop     context.CancelFunc
	closing  sync.Mutex     // orders the start of the goroutines that live streams share and the wait for them
	wait     sync.WaitGroup // of these
}

// New makes a server.
func New(c Config) (*Server, error) {
	base, err := url.Parse(c.BaseURL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("the base URL must be like http://host or https://host:port")
	}
	c.BaseURL = strings.TrimSuffix(c.BaseURL, "/")
	s := &Server{Config: c, base: base, secure: base.Scheme == "https"}
	s.rates = newLimiters(c.Rates, c.Now)
	s.drawn = newDrawings()
	s.live, s.stop = context.WithCancel(context.Background())
	s.lives = &lives{server: s, linger: linger, of: map[string]*live{}}
	examples, err := example.All()
	if err != nil {
		return nil, err
	}
	s.examples = listed(examples)
	s.echo, err = s.routes()
	return s, err
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.echo.ServeHTTP(w, headAsGet(r))
}

// Serve answers the connections of l until ctx ends; then it lets short requests finish and ends the live
// streams, whose viewers come back by themselves.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // for proxies: a browser opens only six streams over HTTP/1
	hs := &http.Server{
		Handler:           s,
		Protocols:         protocols,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       60 * time.Second, // an upload of the largest revision over a slow line
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- hs.Serve(l) }()
	select {
	case err := <-done:
		s.Close()
		return err
	case <-ctx.Done():
	}
	s.stop()
	defer s.Close()
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := hs.Shutdown(grace); err != nil {
		hs.Close()
	}
	<-done
	return nil
}

// Close ends the live streams and waits for what they share.
func (s *Server) Close() {
	s.closing.Lock()
	s.stop()
	s.closing.Unlock()
	s.wait.Wait()
}

// share runs f in a goroutine that Close waits for, and reports whether it did: not once the server stops.
func (s *Server) share(f func()) bool {
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.live.Err() != nil {
		return false
	}
	s.wait.Go(f)
	return true
}

// stopping is what someone hears who asks for a live stream while the server stops.
func stopping() error {
	return play.Errorf(play.Unavailable, "The server is stopping; try again in a moment.")
}
