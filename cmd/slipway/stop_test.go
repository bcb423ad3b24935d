package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"slipway/server/play"
	"slipway/server/view"
)

const stopSignal = syscall.SIGTERM

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// traces are what the server with a process id has on the machine, or left there: processes of its builders'
// users, control groups, mounts and loop devices.
func traces(t *testing.T, server int, data string) []string {
	t.Helper()
	var found []string
	own := fmt.Sprintf("slipway-%d-", server) // how the names of its control groups begin
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, data) {
			found = append(found, "mount "+line)
		}
	}
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, l := range loops {
		if b, err := os.ReadFile(l); err == nil && strings.HasPrefix(string(b), data) {
			found = append(found, "loop device of "+string(b))
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		var stat unix.Stat_t
		groups, _ := os.ReadFile(p + "/cgroup")
		others := strings.Contains(string(groups), "/slipway-") && !strings.Contains(string(groups), own) // another run of the tests
		if unix.Stat(p, &stat) == nil && stat.Uid >= uidBase && stat.Uid < uidBase+1<<24 && !others {
			line, _ := os.ReadFile(p + "/cmdline")
			found = append(found, "process "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	filepath.WalkDir("/sys/fs/cgroup", func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), own) {
			found = append(found, "cgroup "+path)
		}
		return nil
	})
	return found
}

// A server that is asked to stop, in the middle of builds, leaves nothing behind.
func TestStopLeavesNothing(t *testing.T) {
	s := running(t)
	for i := range 3 {
		b := s.build(t, text(fmt.Sprintf("FROM busybox\nRUN echo begun %d; sleep 300\n", time.Now().UnixNano()+int64(i))))
		if i == 0 {
			if _, err := s.follow(t.Context(), b.ID, func(j *view.Job) bool { return strings.Contains(output(j), "begun") }); err != nil {
				t.Fatal(err)
			}
		}
	}
	pid := s.cmd.Process.Pid
	if before := strings.Join(traces(t, pid, s.data), "\n"); !strings.Contains(before, "process") || !strings.Contains(before, "cgroup") || !strings.Contains(before, "loop") {
		t.Fatalf("this test can't see what a running builder has on the machine:\n%s", before)
	}
	if err := s.stop(stopSignal); err != nil {
		t.Fatalf("%v\n%s", err, s.logged())
	}
	if after := traces(t, pid, s.data); len(after) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(after, "\n"))
	}
	shared.data, shared.addr = "", "" // those builds must not run again
}

// A server that is killed in the middle of a build takes it up again, and nothing that a reader saw is lost.
func TestKilledServerTakesUpItsBuilds(t *testing.T) {
	s := running(t)
	b := s.build(t, text(fmt.Sprintf("FROM busybox\nRUN echo first %d\nRUN echo begun; sleep 20; echo done\n", time.Now().UnixNano())))
	before, err := s.follow(t.Context(), b.ID, func(j *view.Job) bool { return strings.Contains(output(j), "begun") })
	if err != nil {
		t.Fatal(err)
	}
	killed := s.cmd.Process.Pid
	if err := s.stop(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	if left := traces(t, killed, "\x00"); strings.Contains(strings.Join(left, "\n"), "cgroup") {
		t.Errorf("the killed server left behind:\n%s", strings.Join(left, "\n"))
	}
	after, end := s.finish(t, b.ID)
	if end.Outcome != play.OK || !strings.Contains(output(after), "done") {
		t.Errorf("%+v\n%s", end, output(after))
	}
	if after.Timeline().Started.Attempt < 2 {
		t.Errorf("it was attempt %d", after.Timeline().Started.Attempt)
	}
	seen, now := before.Lines(0, 0), after.Lines(0, 0)
	for i, l := range seen {
		if i >= len(now) || now[i].Text != l.Text {
			t.Errorf("line %d, %q, was seen before the server died and is not in the log", l.N, l.Text)
		}
	}
}

// A second server is kept out of a data folder in use, before it touches anything there.
func TestOneServerForAFolder(t *testing.T) {
	s := running(t)
	second := exec.Command(os.Args[0], "serve", "--data", s.data, "--listen", freePort(t), "--no-work")
	out, err := second.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another server uses the data folder "+s.data) || strings.Contains(string(out), "NATS") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, end := s.finish(t, s.build(t, text("FROM busybox\nRUN true\n")).ID); end.Outcome != play.OK {
		t.Errorf("the first server's build: %+v", end)
	}
}
