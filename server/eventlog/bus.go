package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// workerInbox is where answers to workers arrive. It is not the servers' own, because a worker may read all of it.
const workerInbox = "_INBOX_WORKER"

// Config says where the streams are: in a server embedded here, or in an external cluster.
type Config struct {
	Dir    string      // the embedded server's streams and the worker's key
	Listen string      // host:port where the embedded server waits for workers on other machines; "": it has no listener
	Grant  Permissions // what those workers may do

	URL      string // of an external server or cluster; "" embeds one
	Creds    string // file with the credentials for URL: a NATS .creds file or an nkey seed; "": none
	Worker   bool   // this process only works: Grant is all that its credentials allow
	Replicas int    // copies of each stream in an external cluster; an embedded server has one

	Log *slog.Logger
}

// Permissions are the subjects that a connection may publish to and subscribe to.
type Permissions struct {
	Publish, Subscribe []string
}

// Bus is a connection to NATS with JetStream, and the server behind it if it is embedded.
type Bus struct {
	Conn     *nats.Conn
	Stream   jetstream.JetStream
	Replicas int
	Log      *slog.Logger

	embedded *server.Server
}

// Connect connects to an external server, or starts the embedded one and connects to that.
func Connect(ctx context.Context, cfg Config) (*Bus, error) {
	b := &Bus{Replicas: 1, Log: cfg.Log}
	options := []nats.Option{
		nats.Name("slipway"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				cfg.Log.Warn("NATS is gone; trying again", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { cfg.Log.Info("NATS is back") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { cfg.Log.Warn("NATS", "error", err) }),
	}
	if cfg.Worker {
		options = append(options, nats.CustomInboxPrefix(workerInbox))
	}
	if cfg.URL != "" {
		b.Replicas = max(cfg.Replicas, 1)
	}
	url := cfg.URL
	if url == "" {
		access, err := b.embed(ctx, cfg)
		if err != nil {
			return nil, fmt.Errorf("start the embedded NATS: %w", err)
		}
		options = append(options, access...)
	} else if cfg.Creds != "" {
		access, err := credentials(cfg.Creds)
		if err != nil {
			return nil, fmt.Errorf("read the NATS credentials: %w", err)
		}
		options = append(options, access)
	}
	var err error
	if b.Conn, err = nats.Connect(url, options...); err != nil {
		b.Close()
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	if b.Stream, err = jetstream.New(b.Conn); err != nil {
		b.Close()
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return b, nil
}

// Healthy says why logs can't be written, or nil.
func (b *Bus) Healthy() error {
	if !b.Conn.IsConnected() {
		return errors.New("NATS can't be reached")
	}
	return b.stored()
}

// stored says why the embedded server stores nothing any more, or nil.
func (b *Bus) stored() error {
	if b.embedded == nil {
		return nil
	}
	if h := b.embedded.Healthz(&server.HealthzOptions{}); h.Error != "" {
		return errors.New(h.Error)
	}
	return nil
}

// Run watches the embedded server until ctx ends, and returns an error once it stores nothing any more. After one
// failed write, because the disk was full, it refuses all others until the program starts anew.
func (b *Bus) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := b.stored(); err != nil {
				return fmt.Errorf("the log can't be written any more; make room on its disk and start again: %w", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// Close closes the connection, after what was written to it is sent, and stops the embedded server.
func (b *Bus) Close() {
	if b.Conn != nil {
		b.Conn.FlushTimeout(time.Second) // best effort: the server may be gone
		b.Conn.Close()
	}
	if b.embedded != nil {
		b.embedded.Shutdown()
		b.embedded.WaitForShutdown()
	}
}

func credentials(file string) (nats.Option, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if bytes.Contains(text, []byte("BEGIN NATS USER JWT")) {
		return nats.UserCredentials(file), nil
	}
	return nats.NkeyOptionFromSeed(file)
}

// embed starts the server and returns the options that connect to it within the process.
func (b *Bus) embed(ctx context.Context, cfg Config) ([]nats.Option, error) {
	opts := &server.Options{
		ServerName: "slipway",
		JetStream:  true,
		StoreDir:   filepath.Join(cfg.Dir, "nats"),
		SyncAlways: true, // what is acknowledged is on disk; by default it would be within two minutes
		DontListen: cfg.Listen == "",
		NoSigs:     true,
	}
	var access []nats.Option
	if cfg.Listen != "" {
		var err error
		if access, err = guard(opts, cfg); err != nil {
			return nil, err
		}
	}
	ns, err := server.NewServer(opts)
	if err != nil {
		return nil, err
	}
	ns.SetLoggerV2(logger{cfg.Log}, false, false, false)
	ns.Start()
	b.embedded = ns
	deadline, ok := ctx.Deadline()
	wait := time.Until(deadline)
	if !ok {
		wait = 30 * time.Second // a large store is read at the start
	}
	if !ns.ReadyForConnections(wait) {
		b.Close()
		return nil, errors.New("it did not get ready")
	}
	if !ns.JetStreamEnabled() {
		b.Close()
		return nil, fmt.Errorf("JetStream could not use %s", opts.StoreDir)
	}
	return append(access, nats.InProcessServer(ns)), nil
}

// guard makes a server that listens ask for keys: this process has one of its own that may do everything, and the
// key in worker.nk, made at the first start, may do what cfg.Grant says.
func guard(opts *server.Options, cfg Config) ([]nats.Option, error) {
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, err
	}
	opts.Host = host
	if opts.Port, err = strconv.Atoi(port); err != nil {
		return nil, err
	}
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	own, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	ownName, err := own.PublicKey()
	if err != nil {
		return nil, err
	}
	workerName, err := workerKey(filepath.Join(cfg.Dir, "worker.nk"))
	if err != nil {
		return nil, err
	}
	opts.Nkeys = []*server.NkeyUser{
		{Nkey: ownName},
		{Nkey: workerName, Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: cfg.Grant.Publish},
			Subscribe: &server.SubjectPermission{Allow: cfg.Grant.Subscribe},
		}},
	}
	return []nats.Option{nats.Nkey(ownName, own.Sign)}, nil
}

// workerKey returns the public half of the key in file, which is made if it is not there.
func workerKey(file string) (string, error) {
	seed, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		pair, err := nkeys.CreateUser()
		if err != nil {
			return "", err
		}
		if seed, err = pair.Seed(); err != nil {
			return "", err
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(file, seed, 0o600); err != nil {
			return "", err
		}
	} else if err != nil {
		return "", err
	}
	pair, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return pair.PublicKey()
}

// Addr is where the embedded server listens for workers of other machines, or nil.
func (b *Bus) Addr() net.Addr {
	if b.embedded == nil {
		return nil
	}
	return b.embedded.Addr()
}

// logger passes on what the embedded server finds wrong; the rest is its own business.
type logger struct{ log *slog.Logger }

func (l logger) Noticef(format string, v ...any) { l.log.Debug("NATS: " + fmt.Sprintf(format, v...)) }
func (l logger) Warnf(format string, v ...any)   { l.log.Warn("NATS: " + fmt.Sprintf(format, v...)) }
func (l logger) Errorf(format string, v ...any)  { l.log.Error("NATS: " + fmt.Sprintf(format, v...)) }
func (l logger) Fatalf(format string, v ...any)  { l.log.Error("NATS: " + fmt.Sprintf(format, v...)) }
func (l logger) Debugf(string, ...any)           {}
func (l logger) Tracef(string, ...any)           {}
