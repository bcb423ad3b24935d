package builder_test

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"slipway/sandbox/builder"
)

// A full disk is the builder's own; others and the machine don't feel it.
func TestFullDisk(t *testing.T) {
	c := config(t, t.TempDir())
	c.Limits.Disk = 256 << 20
	p := open(t, c)
	a, other := get(t, p, "a"), get(t, p, "b")
	before := allocated(t, c.Dir)
	_, errs, err := build(t, a, shell("dd if=/dev/zero of=/big bs=1M; ls -l /big; exit 3"))
	if err == nil || !strings.Contains(errs, "exit code: 3") {
		t.Errorf("%v: %s", err, errs)
	}
	out, errs, err := run(t, a, nil, "fill", "/var/lib/buildkit/big")
	if err == nil || !strings.Contains(errs, "no space left") {
		t.Errorf("fill: %v: %s%s", err, out, errs)
	}
	if used := allocated(t, c.Dir) - before; used > c.Limits.Disk*5/4 {
		t.Errorf("the machine lost %d bytes to a builder of %d", used, c.Limits.Disk)
	}
	if u := a.Usage(); u.Disk == 0 || u.DiskFree == 0 || u.Disk > c.Limits.Disk {
		t.Errorf("usage: %+v", u)
	}
	if _, errs, err := build(t, other, shell("echo hello")); err != nil {
		t.Errorf("another builder: %v: %s", err, errs)
	}
	select {
	case <-a.Done():
		t.Errorf("the builder died: %v", a.Err())
	default:
	}
}

// Memory runs out for an agent and for a step before it does for the daemon.
func TestOutOfMemory(t *testing.T) {
	c := config(t, t.TempDir())
	c.Limits.Memory = 512 << 20
	b := get(t, open(t, c), "a")
	var exit *builder.ExitError
	if _, _, err := run(t, b, nil, "eat"); !errors.As(err, &exit) || exit.Signal != int(syscall.SIGKILL) {
		t.Errorf("a hungry agent: %v", err)
	}
	if _, errs, err := build(t, b, shell("dd if=/dev/zero of=/dev/null bs=1G count=1")); err == nil || !strings.Contains(errs, "137") {
		t.Errorf("a hungry step: %v: %s", err, errs)
	}
	if u := b.Usage(); u.OOMKills < 2 || u.MemoryPeak > c.Limits.Memory+1<<20 {
		t.Errorf("usage: %+v", u)
	}
	if _, errs, err := build(t, b, shell("echo hello")); err != nil {
		t.Errorf("the builder after it: %v: %s", err, errs)
	}
}

// A fork bomb leaves the daemon processes to work with.
func TestForkBomb(t *testing.T) {
	c := config(t, t.TempDir())
	b := get(t, open(t, c), "a")
	_, errs, err := build(t, b, shell(`n=0; while [ $n -lt 600 ]; do sleep 60 & n=$((n+1)); done; exit 5`))
	if err == nil || !strings.Contains(errs, "exit code: ") || strings.Contains(errs, "exit code: 5") {
		t.Errorf("%v: %s", err, errs)
	}
	if u := b.Usage(); u.PIDs > c.Limits.PIDs {
		t.Errorf("usage: %+v", u)
	}
	if _, errs, err := build(t, b, shell("echo hello")); err != nil {
		t.Errorf("the builder after it: %v: %s", err, errs)
	}
}

// allocated is how many bytes of the machine's disk the pool takes.
func allocated(t *testing.T, dir string) int64 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(filepath.Join(dir, "pool.xfs"), &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512 // the unit of st_blocks: stat(2)
}
