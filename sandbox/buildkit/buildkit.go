// Package buildkit is the Builder: it turns a revision and a request into facts, with a BuildKit daemon that it is
// given. It is the only BuildKit client of the program.
//
// It has two halves. The node's half, Builder, starts the agent inside the daemon's sandbox, hands it what to build
// and reads facts from it, trusting none of them further than their form. The agent's half, Agent, holds the
// gateway session: it parses the Dockerfile, is the frontend of the build, and tells what happens.
//
// It never starts or stops daemons, never opens a connection to anything but the daemon, and writes no file.
package buildkit

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"slipway/server/play"
)

// Daemon is the builder of a trust domain, in use by one build.
type Daemon interface {
	// Run runs the agent beside the daemon until it ends or ctx does, which kills it.
	Run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error
	Usage() Usage
	Release(spent bool) // a spent one is thrown away when nobody uses it any more
}

// Usage says how often a builder ran into its bounds, and which they are.
type Usage struct {
	OOMKills    int64 // processes killed for memory
	PIDsRefused int64 // processes that could not be started for the bound of the builder
	PIDsPeak    int64 // processes and threads that it had at the same time so far; 0 where the machine doesn't count

	Memory, Disk int64 // bounds in bytes
	StepPIDs     int64 // processes and threads that a step may have
}

// Images reads what builds push.
type Images interface {
	Manifest(ctx context.Context, name, digest string) ([]byte, error)
	Blob(ctx context.Context, name, digest string) (io.ReadCloser, error)
}

// Config is what a Builder works with. All of it is required.
type Config struct {
	Daemon   func(ctx context.Context, domain string) (Daemon, error)
	Registry string                                                  // host that builds push to, as the daemon reaches it
	Push     func(job, domain string) (password string, done func()) // lets a build push builds/<job> until done is called; the user is the job
	Images   Images                                                  // of that registry
	Origin   func(ref, digest string) (origin, note string)          // who served an image, and what it is made from if it is a stand-in
	Missing  func(ctx context.Context, ref string) string            // why an image can't be had and what there is instead; "" if nothing better is known
	Requests func(domain string, since time.Time) []play.Requested   // what the egress saw of a domain
	Worker   string                                                  // this node's name
	Sandbox  string                                                  // what runs the steps, e.g. "runc"
	Log      *slog.Logger
}

// Builder builds. It is safe for concurrent use.
type Builder struct {
	Config
	layers  layerCounts
	version string

	mu     sync.Mutex
	active map[string]int // domain → builds that run
	begun  map[string]int // domain → builds that ever began
}

// New returns a Builder.
func New(c Config) *Builder {
	return &Builder{Config: c, version: version(), active: map[string]int{}, begun: map[string]int{}}
}

// version is BuildKit's as this program and the daemon built from its go.mod have it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/moby/buildkit" {
			return m.Version
		}
	}
	return "unknown"
}

// Build builds, and calls emit for what happens but the end, which it returns. The error is not nil if there is no
// honest end to tell: emit failed, the worker is stopping, or another worker has taken over.
func (b *Builder) Build(ctx context.Context, job play.Build, emit func(play.Fact) error) (play.Finished, error) {
	began := time.Now()
	limit := job.Limits.Build
	if err := emit(play.Started{
		Attempt: job.Attempt, Worker: b.Worker, BuildKit: b.version, Frontend: b.version, Sandbox: b.Sandbox, Limit: play.Millis(limit),
	}); err != nil {
		return play.Finished{}, err
	}
	daemon, err := b.Daemon(ctx, job.Domain)
	if ctx.Err() != nil {
		if err == nil {
			daemon.Release(false)
		}
		return interrupted(ctx, job, nil)
	}
	if err != nil {
		return play.Finished{}, play.Errorf(play.Unavailable, "No builder could be started.").Because(err)
	}
	spent := false
	defer func() { daemon.Release(spent) }()
	password, done := b.Push(job.Job, job.Domain)
	defer done()
	alone := b.enter(job.Domain)

	var stdin bytes.Buffer
	if err := gob.NewEncoder(&stdin).Encode(spec{Build: job, Registry: b.Registry, Password: password}); err != nil {
		return play.Finished{}, fmt.Errorf("write the agent's task: %w", err)
	}
	before := daemon.Usage()
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := newRelay(job, began, emit, cancel)
	r.registry, r.origin, r.requests = b.Registry, b.Origin, func() []play.Requested { return b.Requests(job.Domain, began) }
	var stderr tail
	runErr := daemon.Run(running, &stdin, r, &stderr)
	after := daemon.Usage()
	short := shortage{
		memory: after.OOMKills > before.OOMKills,
		pids:   after.PIDsRefused > before.PIDsRefused || before.PIDsPeak < after.StepPIDs && after.PIDsPeak >= after.StepPIDs,
		bounds: after,
	}
	quiet := alone()

	log := b.Log.With("build", job.Job, "domain", job.Domain)
	switch {
	case r.emitErr != nil:
		return play.Finished{}, r.emitErr
	case ctx.Err() != nil:
		return interrupted(ctx, job, r)
	case r.result == nil || r.err != nil:
		log.Error("the agent gave no result", "err", errors.Join(runErr, r.err), "stderr", stderr.String(), "out_of_memory", short.memory)
		return short.died(), nil
	}
	spent = r.result.Spent
	if err := r.finish(quiet); err != nil {
		return play.Finished{}, err
	}
	end := r.result.Finished
	if r.result.Internal != "" {
		log.Error("the build broke", "err", r.result.Internal, "stderr", stderr.String())
	}
	if ref := r.result.Missing; ref != "" {
		if words := b.Missing(ctx, ref); words != "" {
			end.Message, end.Hint = words, ""
		}
	}
	if rule := r.denied(r.result.URL); rule != "" {
		end.Message = fmt.Sprintf("ADD may not fetch %s: %s.", r.result.URL, strings.TrimRight(rule, "."))
	}
	if p := r.result.Image; end.Outcome == play.OK && p != nil {
		exported, err := b.exported(ctx, job.Job, *p)
		if ctx.Err() != nil {
			return interrupted(ctx, job, r)
		}
		if err != nil {
			log.Error("the pushed image can't be read", "err", err)
			return play.Finished{Outcome: play.Broken, Message: "The image was built, but could not be read back from the registry. Trying again may help."}, nil
		}
		if err := emit(exported); err != nil {
			return play.Finished{}, err
		}
	}
	short.disk, short.spent = r.result.DiskFull, spent
	return short.name(end), nil
}

// enter notes that a build runs. The function it returns ends that, and reports whether no other build of the
// domain ran at the same time.
func (b *Builder) enter(domain string) (leave func() (alone bool)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.active[domain]++
	b.begun[domain]++
	was, first := b.begun[domain], b.active[domain] == 1
	return func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		alone := first && b.begun[domain] == was
		if b.active[domain]--; b.active[domain] == 0 {
			delete(b.active, domain)
			delete(b.begun, domain)
		}
		return alone
	}
}

// interrupted is how a build ends whose context did.
func interrupted(ctx context.Context, job play.Build, r *relay) (play.Finished, error) {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, play.ErrCancelled):
		return play.Finished{Outcome: play.Cancelled, Message: "The build was cancelled."}, nil
	case errors.Is(cause, play.ErrDeadline):
		end := play.Finished{
			Outcome: play.LimitHit,
			Message: fmt.Sprintf("The build was stopped after %v, the longest that one may take.", job.Limits.Build),
			Hint:    "Do less in it, or begin with an image that already has what takes long.",
		}
		if s := r.running(); s != nil {
			end.Message = fmt.Sprintf("The build was stopped after %v, the longest that one may take, while it was at %s.", job.Limits.Build, clip(s.Text, 80))
			end.Step, end.At = s.N, &play.Place{File: job.Request.File(), Range: s.Range}
		}
		return end, nil
	}
	return play.Finished{}, cause
}

// tail keeps the last bytes that the agent wrote to its standard error.
type tail struct{ b []byte }

const tailMost = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - tailMost; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }
