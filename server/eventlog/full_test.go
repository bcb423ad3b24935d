package eventlog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"slipway/server/play"
)

// A full disk is told, and nobody waits for it to end: writers fail, and Run says that the program must start anew.
// What was stored is there then, and writing goes on.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("slipway-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	job := play.VisitorID("full disk")

	b, err := Connect(t.Context(), Config{Dir: dir, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), b, &archive{})
	if err != nil {
		t.Fatal(err)
	}
	w, _, err := Take(t.Context(), b, job, defaults())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(t.Context(), 0, line("kept")); err != nil {
		t.Fatal(err)
	}
	for e, err := range l.Tail(t.Context(), job, 0) {
		if err != nil || e.Seq != 1 {
			t.Fatal(e, err)
		}
		break
	}
	if err := b.Healthy(); err != nil {
		t.Fatalf("before the disk is full: %v", err)
	}
	fill := filepath.Join(dir, "fill")
	if err := os.WriteFile(fill, make([]byte, 2<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	if err := w.Append(t.Context(), 0, line("%s", strings.Repeat("x", 100_000))); err != nil {
		t.Fatal(err)
	}
	if err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Run: %v", err)
	}
	if err := b.Healthy(); err == nil {
		t.Error("it is said to be healthy")
	}
	soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := w.Close(soon); err == nil {
		t.Error("the writer claims to have stored all")
	}
	l.Close()
	b.Close()

	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	again := newBus(t, dir)
	if err := again.Healthy(); err != nil {
		t.Error(err)
	}
	w, before, err := Take(t.Context(), again, job, defaults())
	if err != nil || before.Seq != 1 {
		t.Fatalf("%+v, %v", before, err)
	}
	if err := errors.Join(w.Append(t.Context(), 0, line("after")), w.Close(t.Context())); err != nil {
		t.Error(err)
	}
}
