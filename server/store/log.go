package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"

	"slipway/server/play"
	"slipway/server/store/query"
)

// Log reads the log of a finished job: nil if the job has not finished, NotFound if the log's time is over.
func (s *Store) Log(ctx context.Context, job string) ([]play.Event, error) {
	row, err := s.query().Log(ctx, job)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the log of job %s: %w", job, err)
	case row.Data == nil:
		return nil, play.Errorf(play.NotFound, "The log of this build is no longer kept. Its outcome is; build the same revision again to see every step.")
	}
	events, err := unpack(row.Data, int(row.Events))
	if err != nil {
		return nil, fmt.Errorf("read the log of job %s: %w", job, err)
	}
	return events, nil
}

// DropLogs deletes the logs of jobs that finished before a time, keeps the jobs, and returns how many they were.
func (s *Store) DropLogs(ctx context.Context, before time.Time) (n int64, err error) {
	err = s.atomically(ctx, func(q *query.Queries) error {
		n, err = q.DropLogs(ctx, micros(before))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete old logs: %w", err)
	}
	return n, nil
}

// pack writes events as compressed NDJSON; size is in bytes before compression.
func pack(events []play.Event) (packed []byte, size int64, err error) {
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, 0, err
	}
	for _, e := range events {
		line, err := json.Marshal(e)
		if err != nil {
			return nil, 0, errors.Join(err, z.Close())
		}
		if _, err := z.Write(append(line, '\n')); err != nil {
			return nil, 0, errors.Join(err, z.Close())
		}
		size += int64(len(line)) + 1
	}
	if err := z.Close(); err != nil {
		return nil, 0, err
	}
	return out.Bytes(), size, nil
}

func unpack(packed []byte, count int) ([]play.Event, error) {
	z, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	events := make([]play.Event, 0, count)
	for lines := json.NewDecoder(z); ; {
		var e play.Event
		err := lines.Decode(&e)
		if err == io.EOF {
			return events, nil
		}
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
}
