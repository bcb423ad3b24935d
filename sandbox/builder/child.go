package builder

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// connFD is where the child finds its socket: the first of exec.Cmd.ExtraFiles.
// binaryFD is our own program, through which it was executed.
const (
	connFD   = 3
	binaryFD = 4
)

const notifySocket = "/run/notify"

// Child is the main function of the hidden "child" command: process 1 of a
// builder's pid namespace. It makes the root that the host describes, starts
// the daemon and what else the host asks for, reports exits, and reaps. When
// the host's end of the socket closes it returns, and the kernel kills
// everything in the builder.
func Child([]string) int {
	// Namespaces belong to a thread: what this goroutine starts must start
	// from the one that entered them.
	runtime.LockOSThread()
	unix.Close(binaryFD)
	host, err := newConn(os.NewFile(connFD, "host"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		return 1
	}
	c := &child{host: host, running: map[int]int{}}
	if err := c.run(); err != nil {
		text := err.Error()
		_ = host.send(message{Failed: &text}) // nobody is left to tell otherwise
		return 1
	}
	return 0
}

type child struct {
	host conn

	mu       sync.Mutex  // held from fork to entry, so that no exit is reaped before it is known
	running  map[int]int // pid → id
	stopping bool        // the daemon was asked to end
}

func (c *child) run() error {
	first, files, err := c.host.receive(true)
	if err != nil {
		return err
	}
	s := first.Setup
	if s == nil || len(files) != len(s.Mounts) {
		return errors.New("the first message is not a setup")
	}
	if err := makeRoot(s, files); err != nil {
		return err
	}

	ended := make(chan error, 1)
	exits := make(chan os.Signal, 1)
	signal.Notify(exits, unix.SIGCHLD)
	go func() { ended <- c.reap(exits) }()

	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notifySocket, Net: "unixgram"})
	if err != nil {
		return err
	}
	go func() {
		if c.awaitReady(ready) {
			_ = c.host.send(message{Ready: new(string)}) // a lost host ends us through serve
		}
	}()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	s.Daemon.Env = append(s.Daemon.Env, "NOTIFY_SOCKET="+notifySocket)
	if err := c.start(s.Daemon, []*os.File{null, os.Stderr, os.Stderr}); err != nil {
		return err
	}
	null.Close()

	requests := make(chan request)
	go receiveAll(c.host, requests)
	for {
		select {
		case err := <-ended:
			return err
		case r, ok := <-requests:
			if !ok {
				return nil // the host is gone
			}
			c.do(r)
		}
	}
}

type request struct {
	message
	files []*os.File
}

func receiveAll(host conn, requests chan<- request) {
	defer close(requests)
	for {
		m, files, err := host.receive(true)
		if err != nil {
			return
		}
		requests <- request{m, files}
	}
}

func (c *child) do(r request) {
	defer func() {
		for _, f := range r.files {
			f.Close()
		}
	}()
	switch {
	case r.Start != nil:
		if err := c.start(*r.Start, r.files); err != nil {
			if len(r.files) > 2 {
				fmt.Fprintln(r.files[2], err)
			}
			c.report(exited{ID: r.Start.ID, Code: 127})
		}
	case r.Kill != nil:
		c.signal(*r.Kill, unix.SIGKILL)
	case r.Stop != nil:
		c.mu.Lock()
		c.stopping = true
		c.mu.Unlock()
		c.signal(0, unix.SIGTERM)
	}
}

// start starts s as the leader of its own session and process group.
func (c *child) start(s start, files []*os.File) error {
	if len(s.Argv) == 0 {
		return errors.New("start: no command")
	}
	fds := make([]uintptr, len(files))
	for i, f := range files {
		fds[i] = f.Fd()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	pid, err := syscall.ForkExec(s.Argv[0], s.Argv, &syscall.ProcAttr{
		Env:   s.Env,
		Files: fds,
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", s.Argv[0], err)
	}
	c.running[pid] = s.ID
	// Raising needs no privilege. A process that is gone already needs none of it.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), fmt.Append(nil, s.OOMAdj), 0)
	return nil
}

// signal signals the process group of a started process, if it still runs.
func (c *child) signal(id int, sig unix.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for pid, i := range c.running {
		if i == id {
			_ = unix.Kill(-pid, sig) // ESRCH: it is gone, as wanted
		}
	}
}

// reap collects every process that ends, ours and orphans, until the daemon
// has ended. The error is nil when the daemon was asked to end and did.
func (c *child) reap(exits <-chan os.Signal) error {
	for range exits {
		for {
			var status unix.WaitStatus
			c.mu.Lock()
			pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
			id, ours := c.running[pid]
			if ours {
				delete(c.running, pid)
			}
			stopping := c.stopping
			c.mu.Unlock()
			if err == unix.EINTR {
				continue
			}
			if err != nil || pid <= 0 {
				break
			}
			if !ours {
				continue
			}
			e := exited{ID: id, Code: status.ExitStatus()}
			if status.Signaled() {
				e.Signal = int(status.Signal())
			}
			c.report(e)
			if id != 0 {
				continue
			}
			if stopping && e.Signal == 0 {
				return nil // with code 1: it takes the signal for an error
			}
			return fmt.Errorf("the build daemon ended: exit code %d, signal %d", e.Code, e.Signal)
		}
	}
	return nil
}

func (c *child) report(e exited) {
	_ = c.host.send(message{Exited: &e}) // a lost host ends us through run
}

// awaitReady waits for the daemon's sd_notify message and removes the daemon's
// trace collector, which it would mount into every step: it takes anything from
// anybody.
func (c *child) awaitReady(ready *net.UnixConn) bool {
	defer ready.Close()
	data := make([]byte, 4096)
	for {
		n, err := ready.Read(data)
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(data[:n])) {
			if strings.TrimSpace(line) == "READY=1" {
				_ = os.Remove(traceSocket) // it is there unless the daemon has learnt to do without
				return true
			}
		}
	}
}
