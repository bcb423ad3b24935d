package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// runDir holds a file for each running builder, so that the next server can
// sweep after one that was killed.
const runDir = "run"

// A record names what a builder leaves behind when its server is killed.
type record struct {
	PID     int
	Started string   // the process's start time as /proc tells it: tells it from a later one of the same number
	Cgroups []string // folders
}

func writeRecord(path string, pid int, cgroups []string) error {
	started, err := startTime(pid)
	if err != nil {
		return err
	}
	data, err := json.Marshal(record{PID: pid, Started: started, Cgroups: cgroups})
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// startTime reads when a process started, in clock ticks since boot.
func startTime(pid int) (string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The name, in brackets, may hold anything; the start time is field 22.
	_, rest, _ := strings.Cut(string(data[strings.LastIndexByte(string(data), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat: %q", pid, data)
	}
	return fields[19], nil
}

// sweep ends what a server that was killed left in dir.
func sweep(ctx context.Context, dir string, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	paths, err := filepath.Glob(filepath.Join(dir, runDir, "*.json"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var r record
		if err := json.Unmarshal(data, &r); err != nil {
			log.Warn("a builder's run file is broken", "path", path, "err", err)
		} else if err := r.sweep(ctx); err != nil {
			return fmt.Errorf("sweep a dead server's builder: %w", err)
		}
		log.Info("swept a dead server's builder", "pid", r.PID)
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

func (r record) sweep(ctx context.Context) error {
	for {
		started, err := startTime(r.PID)
		if err != nil || started != r.Started {
			break // gone
		}
		if err := unix.Kill(r.PID, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("process %d doesn't end: %w", r.PID, ctx.Err())
		}
		time.Sleep(5 * time.Millisecond)
	}
	return removeCgroups(ctx, r.Cgroups)
}
