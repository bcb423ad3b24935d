// Package store keeps every noun in SQL: SQLite by default, Postgres by choice, one set of queries for both.
// It takes and gives the nouns of server/play and knows no rules about who may do what: callers have asked
// already. What it can't find is a play.Error of kind NotFound; every other failure is wrapped as it came.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"slipway/migrations"
	"slipway/server/play"
	"slipway/server/store/query"
)

//go:generate go tool -modfile=../../cmd/dev/tools/sqlc/go.mod sqlc generate

// Store is an open database. It is safe for concurrent use.
type Store struct {
	db      *sql.DB
	dialect goose.Dialect
	folder  string // of the SQLite file

	// SQLite has one writer at a time, and lets others ask again and again until one is lucky. Here they wait in
	// line. Nil for Postgres.
	writers *semaphore.Weighted
}

// Open opens the database at dsn: "postgres://…", or "sqlite:" and a path, or a plain path. An SQLite file that
// is not there is made, with its folder. The database has no tables until Migrate.
func Open(ctx context.Context, dsn string) (*Store, error) {
	s, err := open(dsn)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := s.db.PingContext(ctx); err != nil {
		s.db.Close()
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return s, nil
}

func open(dsn string) (*Store, error) {
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		db, err := sql.Open("pgx", dsn)
		return &Store{db: db, dialect: goose.DialectPostgres}, err
	}
	path, err := filepath.Abs(strings.TrimPrefix(dsn, "sqlite:"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	// A job's row is the record of it, so every commit is on disk (synchronous = full). Transactions take the
	// write lock when they begin: one that has to upgrade later fails at once instead of waiting.
	options := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"journal_mode(wal)", "synchronous(full)", "busy_timeout(10000)", "foreign_keys(1)"},
	}
	file := url.URL{Scheme: "file", Path: path, RawQuery: options.Encode()}
	db, err := sql.Open("sqlite", file.String())
	return &Store{db: db, dialect: goose.DialectSQLite3, folder: filepath.Dir(path), writers: semaphore.NewWeighted(1)}, err
}

// Migrate brings the tables up to date. Several nodes may call it at once.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.migrate(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return nil
}

func (s *Store) migrate(ctx context.Context) error {
	dialect, options := "sqlite", []goose.ProviderOption(nil)
	if s.dialect == goose.DialectPostgres {
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return err
		}
		dialect, options = "postgres", append(options, goose.WithSessionLocker(locker))
	} else {
		alone, err := lockFolder(s.folder)
		if err != nil {
			return err
		}
		defer alone.Close()
	}
	files, err := fs.Sub(migrations.Files, dialect)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(s.dialect, s.db, files, options...)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// lockFolder waits until nobody else has locked the folder, and keeps it until the file is closed. The database's own
// file won't do: to close it would drop SQLite's locks on it.
func lockFolder(folder string) (*os.File, error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.db.PingContext(ctx) }

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// query is for reading.
func (s *Store) query() *query.Queries { return query.New(s.db) }

// atomically runs do, which may write, in one transaction, which is committed if do returns nil.
func (s *Store) atomically(ctx context.Context, do func(*query.Queries) error) error {
	if s.writers != nil {
		if err := s.writers.Acquire(ctx, 1); err != nil {
			return err
		}
		defer s.writers.Release(1)
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	if err := do(query.New(tx)); err != nil {
		return err
	}
	return tx.Commit()
}

// found turns "no rows" into a NotFound that says what is not there.
func found(err error, what, id string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return play.Errorf(play.NotFound, "There is no %s %q here.", what, id)
	}
	if err != nil {
		return fmt.Errorf("read %s %s: %w", what, id, err)
	}
	return nil
}

// micros is how a time is stored; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
