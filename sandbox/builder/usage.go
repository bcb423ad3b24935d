package builder

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// An EndError says why a builder died by itself.
type EndError struct {
	Usage   Usage // the last counters: OOMKills and PIDsRefused name the bound that was hit
	Reason  error
	LastLog string // the daemon's last line, for administrators
}

func (e *EndError) Error() string {
	what := "the builder ended"
	if e.Usage.OOMKills > 0 {
		what = "the builder ended after it ran out of memory"
	}
	return fmt.Sprintf("%s: %v (last log line: %q)", what, e.Reason, e.LastLog)
}

func (e *EndError) Unwrap() error { return e.Reason }

// Usage is what a builder uses at the moment and has run into so far. What the
// machine doesn't count is zero.
type Usage struct {
	Memory, MemoryPeak int64 // bytes
	OOMKills           int64 // processes killed for memory
	PIDs               int64 // processes and threads
	PIDsPeak           int64 // the most so far
	PIDsRefused        int64 // forks refused by the bound of the builder
	Throttled          int64 // scheduling periods in which the CPU bound held it back
	Disk, DiskFree     int64 // bytes of the state filesystem
	Limits             Limits
}

// Usage reads the builder's counters.
func (b *Builder) Usage() Usage {
	u := b.group.counters()
	u.Limits = b.limits
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(b.state.Fd()), &fs); err == nil {
		u.Disk = int64(fs.Blocks-fs.Bfree) * fs.Bsize
		u.DiskFree = int64(fs.Bavail) * fs.Bsize
	}
	return u
}
