package builder_test

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"slipway/sandbox/builder"
)

// traces counts what builders could leave on the machine.
type traces struct {
	mounts, processes, cgroups, loops int
}

// leftovers counts mounts and cgroups of the machine, loop devices over files of
// the pool or without a name, and processes of the pool's uids.
func leftovers(t *testing.T, c builder.Config) traces {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	found := traces{mounts: strings.Count(string(mounts), "\n"), processes: len(inside(t, c))}
	own := fmt.Sprintf("slipway-%d-", os.Getpid())
	err = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it went away
		}
		if strings.HasPrefix(d.Name(), "slipway-") && (strings.HasPrefix(d.Name(), own) || !alive(d.Name())) {
			found.cgroups++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	loops, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, loop := range loops {
		if name, err := os.ReadFile(loop); err == nil && strings.HasPrefix(string(name), c.Dir+"/") {
			found.loops++
		}
	}
	return found
}

// alive reports whether the server that a cgroup's name tells of still runs: it
// may be that of another test binary.
func alive(cgroup string) bool {
	pid := strings.Split(cgroup, "-")[1]
	_, err := os.Stat("/proc/" + pid)
	return err == nil
}

func compare(t *testing.T, before, after traces) {
	t.Helper()
	if before != after {
		t.Errorf("left behind: %+v, before it was %+v", after, before)
	}
}

// bounds is how many cgroup folders one builder has on this machine.
func bounds(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(string(data), "0::") {
		return 1
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		for _, c := range strings.Split(strings.Split(line, ":")[1], ",") {
			if c == "memory" || c == "pids" || c == "cpu" || c == "devices" {
				n++
			}
		}
	}
	return n
}

// inside lists the processes whose user is one of the pool's.
func inside(t *testing.T, c builder.Config) []string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, dir := range all {
		status, err := os.Open(dir + "/status")
		if err != nil {
			continue // it has ended
		}
		lines := bufio.NewScanner(status)
		for lines.Scan() {
			if uids, ok := strings.CutPrefix(lines.Text(), "Uid:"); ok {
				uid, err := strconv.ParseInt(strings.Fields(uids)[0], 10, 64)
				if err == nil && uid >= int64(c.UIDBase) && uid < int64(c.UIDBase)+16*65536 {
					pids = append(pids, filepath.Base(dir))
				}
			}
		}
		status.Close()
	}
	return pids
}

// arguments is the command line of a process, each argument with a NUL after it;
// "" if it has ended.
func arguments(pid string) string {
	data, err := os.ReadFile("/proc/" + pid + "/cmdline")
	if err != nil {
		return ""
	}
	return string(data)
}

// command tells the hidden command or the program that a process runs.
func command(pid string) string {
	argv := strings.Split(arguments(pid), "\x00")
	if len(argv) > 1 && argv[1] == "child" {
		return "child"
	}
	return filepath.Base(argv[0])
}

func kill(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// startServer starts a server in a process of its own, with a builder in c.Dir.
func startServer(t *testing.T, c builder.Config) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(c.Self[0], "server", c.Dir, c.Buildkitd, c.Runc, strconv.Itoa(int(c.UIDBase)))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the server: %q, %v", line, err)
	}
	return cmd
}

// server is a server that is there to be killed.
func server(args []string) int {
	base, err := strconv.ParseUint(args[3], 10, 32)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	c := machine(args[0], os.Args[0], args[1], args[2], uint32(base))
	c.Egress, c.Log = (&egress{}).serve, slog.New(slog.DiscardHandler)
	p, err := builder.Open(context.Background(), c)
	if err == nil {
		_, err = p.Get(context.Background(), "a")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("ready")
	never := make(chan os.Signal, 1)
	signal.Notify(never, syscall.SIGUSR1)
	<-never
	return 0
}
