package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"slipway/server/eventlog"
	"slipway/server/job"
	"slipway/server/store"
)

type workCmd struct{ Settings }

// Run builds for the servers behind a NATS address until ctx ends.
func (c *workCmd) Run(ctx context.Context) (err error) {
	if c.NATS == "" {
		return errors.New("a worker needs the address of a server's NATS: --nats")
	}
	log := c.logger()
	if err := os.MkdirAll(c.Data, 0o755); err != nil {
		return err
	}
	bus, err := eventlog.Connect(ctx, eventlog.Config{URL: c.NATS, Creds: c.NATSCreds, Worker: true, Log: log})
	if err != nil {
		return err
	}
	defer bus.Close()
	n, err := openNode(c.Settings, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	if err := n.start(ctx); err != nil {
		return err
	}
	fmt.Printf("%s is ready to build for %s\n", c.name(), c.NATS)
	w := job.Worker{Bus: bus, Builder: n.builder, Slots: c.Slots, Secrets: c.secrets(), Log: log}
	return w.Work(ctx)
}

// name is this machine's, as builds show it.
func (s Settings) name() string {
	host, err := os.Hostname()
	if err != nil {
		host = "slipway"
	}
	return cmp.Or(s.Worker, host)
}

type migrateCmd struct {
	Data     string `default:"${data}" env:"SLIPWAY_DATA" type:"path" help:"As for serve."`
	Database string `env:"SLIPWAY_DATABASE" placeholder:"URL" help:"As for serve."`
}

func (c *migrateCmd) Run(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Clean(c.Data), 0o755); err != nil {
		return err
	}
	db, err := store.Open(ctx, databaseURL(c.Database, c.Data))
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Migrate(ctx)
}
