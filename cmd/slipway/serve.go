package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"slipway/sandbox/registry/catalog"
	"slipway/server"
	"slipway/server/dockerfile"
	"slipway/server/eventlog"
	"slipway/server/example"
	"slipway/server/explain"
	"slipway/server/guard"
	"slipway/server/job"
	"slipway/server/play"
	"slipway/server/store"
	"slipway/server/view"
)

type serveCmd struct {
	Settings
	Listen       string         `default:"127.0.0.1:8080" env:"SLIPWAY_LISTEN" help:"Address to serve on."`
	Debug        string         `env:"SLIPWAY_DEBUG" placeholder:"ADDRESS" help:"Loopback address for metrics, profiles and build information."`
	BaseURL      string         `env:"SLIPWAY_BASE_URL" placeholder:"URL" help:"Address that people use, for links. If not set: http and the address to serve on."`
	TrustedProxy []netip.Prefix `env:"SLIPWAY_TRUSTED_PROXY" placeholder:"CIDR" help:"Proxies whose X-Forwarded-For is believed."`
	Database     string         `env:"SLIPWAY_DATABASE" placeholder:"URL" help:"postgres://… or the path of an SQLite file. If not set: slipway.db in the data folder."`
	NATSListen   string         `name:"nats-listen" env:"SLIPWAY_NATS_LISTEN" placeholder:"ADDRESS" help:"Address where the NATS inside waits for workers on other machines."`
	NATSReplicas int            `name:"nats-replicas" default:"1" env:"SLIPWAY_NATS_REPLICAS" help:"Copies of the queue and of live logs in the cluster that --nats names."`
	NoWork       bool           `env:"SLIPWAY_NO_WORK" help:"Don't build here: workers on other machines do."`
	Queue        int            `default:"100" env:"SLIPWAY_QUEUE" help:"Builds that may wait."`
	Parallel     int            `default:"2" env:"SLIPWAY_PARALLEL" help:"Builds that one person may have unfinished."`
	BuildTime    time.Duration  `default:"10m" env:"SLIPWAY_BUILD_TIME" help:"Wall clock of a build."`
	QueueTime    time.Duration  `default:"10m" env:"SLIPWAY_QUEUE_TIME" help:"Time that a build may wait."`
	MaxFiles     int            `default:"200" env:"SLIPWAY_MAX_FILES" help:"Files of a snippet."`
	MaxFileSize  bytesize       `default:"1MiB" env:"SLIPWAY_MAX_FILE_SIZE" help:"Bytes of one file."`
	MaxTotalSize bytesize       `default:"5MiB" env:"SLIPWAY_MAX_TOTAL_SIZE" help:"Bytes of all files of a snippet."`
	MaxOutput    bytesize       `default:"4MiB" env:"SLIPWAY_MAX_OUTPUT" help:"Bytes of a build's output that are kept."`
	KeepLogs     time.Duration  `default:"0" env:"SLIPWAY_KEEP_LOGS" help:"How long logs of builds are kept; 0: for ever."`
}

func (c *serveCmd) limits() play.Limits {
	l := play.DefaultLimits()
	l.Files, l.FileBytes, l.TotalBytes = c.MaxFiles, int64(c.MaxFileSize), int64(c.MaxTotalSize)
	l.Build, l.Queue, l.OutputBytes, l.Parallel = c.BuildTime, c.QueueTime, int64(c.MaxOutput), c.Parallel
	return l
}

// Run serves until ctx ends, and then leaves nothing behind.
func (c *serveCmd) Run(ctx context.Context) error {
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	return c.serve(ctx, l, func(address string) { fmt.Printf("Slipway is ready: %s\n", address) })
}

// serve is the whole program on a listener; ready is called once builds can run.
func (c *serveCmd) serve(ctx context.Context, l net.Listener, ready func(address string)) (err error) {
	defer l.Close()
	log := c.logger()
	slog.SetDefault(log) // for what the libraries say
	own, err := ownFolder(c.Data)
	if err != nil {
		return err
	}
	defer own.Close()
	db, err := c.openStore(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	bus, err := c.connect(ctx, log)
	if err != nil {
		return err
	}
	defer bus.Close()
	logs, err := eventlog.Open(ctx, bus, db)
	if err != nil {
		return err
	}
	defer logs.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	texts := guardedTexts{
		guard.New([]string{self, "guard", c.catalogDir()}, guard.DefaultOptions()), texts{catalog.Open(c.catalogDir())}, c.limits(),
	}
	queue, err := job.Open(ctx, job.Config{
		Bus: bus, Logs: logs, Store: db, Limits: c.limits(), Length: c.Queue, Plan: texts.facts, Summarize: view.Summarize,
		Domain: func(play.Viewer) string { return "shared" }, Log: log,
	})
	if err != nil {
		return err
	}
	n, err := openNode(c.Settings, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	checks := []server.Check{
		{Name: "database", Ready: func(ctx context.Context) error { return answers(ctx, db, log) }},
		{Name: "log", Ready: func(context.Context) error { return bus.Healthy() }},
	}
	if !c.NoWork {
		checks = append(checks, server.Check{Name: "builders", Ready: n.ready})
	}
	base := cmp.Or(c.BaseURL, "http://"+l.Addr().String())
	web, err := server.New(server.Config{
		Store: db, Jobs: queue, Log: logs, Lint: texts.lint, Explain: texts.explain, Base: texts.base, Registry: n.registry.Outside(), Checks: checks,
		BaseURL: base, Trusted: c.TrustedProxy, Limits: c.limits(), Rates: server.DefaultRates(),
		Now: time.Now, Random: rand.Reader, Logger: log,
	})
	if err != nil {
		return err
	}
	if err := example.Seed(ctx, db, time.Now()); err != nil {
		return err
	}

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return texts.Run(ctx) })
	group.Go(func() error { return bus.Run(ctx) })
	group.Go(func() error { return queue.Run(ctx) })
	group.Go(func() error { return web.Serve(ctx, l) })
	group.Go(func() error { return serveDebug(ctx, c.Debug) })
	group.Go(func() error { return expire(ctx, db, c.KeepLogs, log) })
	group.Go(func() error {
		if c.NoWork {
			ready(base)
			return nil
		}
		if err := n.start(ctx); err != nil {
			return err
		}
		ready(base)
		w := job.Worker{Bus: bus, Builder: n.builder, Slots: c.Slots, Secrets: c.secrets(), Log: log}
		return w.Work(ctx)
	})
	err = group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil // asked to stop
	}
	return err
}

// ownFolder makes the data folder and keeps every other server out of it until the file that it returns is closed:
// two would write into the same log.
func ownFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another server uses the data folder %s; stop it, or name another folder with --data: %w", dir, err)
	}
	return f, nil
}

func (c *serveCmd) openStore(ctx context.Context) (*store.Store, error) {
	db, err := store.Open(ctx, databaseURL(c.Database, c.Data))
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// answers tells everyone only that the database is away; why is for the log, because it holds its address.
func answers(ctx context.Context, db *store.Store, log *slog.Logger) error {
	if err := db.Ping(ctx); err != nil {
		log.Warn("the database does not answer", "error", err)
		return errors.New("the database can't be reached")
	}
	return nil
}

func databaseURL(given, data string) string {
	return cmp.Or(given, "sqlite:"+filepath.Join(data, "slipway.db"))
}

func (c *serveCmd) connect(ctx context.Context, log *slog.Logger) (*eventlog.Bus, error) {
	return eventlog.Connect(ctx, eventlog.Config{
		Dir: filepath.Join(c.Data, "log"), Listen: c.NATSListen, Grant: job.WorkerMay(), URL: c.NATS, Creds: c.NATSCreds, Replicas: c.NATSReplicas, Log: log,
	})
}

// expire drops what is older than it shall be kept, once an hour.
func expire(ctx context.Context, db *store.Store, keep time.Duration, log *slog.Logger) error {
	if keep <= 0 {
		return nil
	}
	for {
		dropped, err := db.DropLogs(ctx, time.Now().Add(-keep))
		if err != nil {
			log.Warn("old logs could not be dropped", "error", err)
		} else if dropped > 0 {
			log.Info("dropped old logs", "logs", dropped)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Hour):
		}
	}
}

// guardedTexts has strangers' texts read in a process that may die of them.
type guardedTexts struct {
	*guard.Guard
	texts
	limits play.Limits
}

func (g guardedTexts) lint(ctx context.Context, t server.Text) (found []play.Diagnostic, err error) {
	err = g.Call(ctx, "lint", t, &found)
	return found, err
}

func (g guardedTexts) explain(ctx context.Context, t server.Text) (steps []explain.Step, err error) {
	err = g.Call(ctx, "explain", t, &steps)
	return steps, err
}

// facts are what the text alone tells of a build. A text that can't be read makes none: the build itself says
// what is wrong with it.
func (g guardedTexts) facts(ctx context.Context, rev play.Revision, req play.BuildRequest) []play.Fact {
	f, ok := rev.File(req.File())
	if !ok || dockerfile.Preflight(req.File(), f.Content, req.BuildArgs, g.limits) != nil {
		return nil
	}
	var p planned
	err := g.Call(ctx, "plan", server.Text{Files: rev.Files, Dockerfile: req.File(), Target: req.Target, BuildArgs: req.BuildArgs}, &p)
	if err != nil || strings.TrimSpace(string(f.Content)) == "" {
		return nil
	}
	facts := []play.Fact{p.Plan}
	for _, d := range p.Findings {
		facts = append(facts, play.Diagnosed{Diagnostic: d})
	}
	return facts
}
