package builder

import (
	"encoding/json"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// The host and the child of a builder talk over a pair of connected sockets,
// one JSON message a packet, file descriptors beside it. The host trusts
// nothing that the child says: it takes no descriptors from it, and a message
// that it doesn't understand is ignored.

const (
	messageMax = 128 << 10 // bytes; below the kernel's default bound of one packet, 212,992
	filesMax   = 64        // descriptors beside one message; the kernel's own bound is 253
)

// A message is exactly one of its fields.
type message struct {
	// From the host.
	Setup *setup  `json:"setup,omitempty"` // the first message, once
	Start *start  `json:"start,omitempty"` // files: stdin, stdout, stderr
	Kill  *int    `json:"kill,omitempty"`  // the id of a process
	Stop  *string `json:"stop,omitempty"`  // end the daemon in good order, then everything

	// From the child.
	Ready  *string `json:"ready,omitempty"`  // the daemon serves
	Exited *exited `json:"exited,omitempty"` // a started process is gone
	Failed *string `json:"failed,omitempty"` // the child can't go on, and why
}

// A setup is all that a child needs to become a builder: it has no knowledge
// of its own. The files beside it are the mounts in order.
type setup struct {
	Mounts  []string          // where each one goes
	Links   map[string]string // symbolic links: path → target
	Files   map[string]file   // by path
	Cgroups []string          // controllers of cgroup v1 in which the builder has a cgroup
	Daemon  start
}

type file struct {
	Mode os.FileMode
	Text string
}

// A start names a process. ID 0 is the daemon.
type start struct {
	ID     int
	Argv   []string // Argv[0] is a path inside
	Env    []string
	OOMAdj int // oom_score_adj, 0 to 1000: who dies first when memory runs out
}

type exited struct {
	ID     int
	Code   int // -1 when a signal ended it
	Signal int
}

type conn struct{ *net.UnixConn }

// newConns returns two connected ends.
func newConns() (host conn, child *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return conn{}, nil, fmt.Errorf("socketpair: %w", err)
	}
	child = os.NewFile(uintptr(fds[1]), "builder")
	host, err = newConn(os.NewFile(uintptr(fds[0]), "builder"))
	if err != nil {
		child.Close()
	}
	return host, child, err
}

// newConn takes over the socket f.
func newConn(f *os.File) (conn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return conn{}, err
	}
	unixConn, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return conn{}, fmt.Errorf("%T is not a unix socket", c)
	}
	return conn{unixConn}, nil
}

func (c conn) send(m message, files ...*os.File) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(data) > messageMax || len(files) > filesMax {
		return fmt.Errorf("message of %d bytes and %d files is too large", len(data), len(files))
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	_, _, err = c.WriteMsgUnix(data, unix.UnixRights(fds...), nil)
	return err
}

// receive returns the next message, and the files beside it when it may take
// some. Files that nobody takes are closed by the kernel.
func (c conn) receive(takeFiles bool) (message, []*os.File, error) {
	data := make([]byte, messageMax)
	var control []byte
	if takeFiles {
		control = make([]byte, unix.CmsgSpace(filesMax*4))
	}
	n, nc, _, _, err := c.ReadMsgUnix(data, control)
	if err != nil {
		return message{}, nil, err
	}
	if n == 0 {
		return message{}, nil, net.ErrClosed
	}
	files, err := filesOf(control[:nc])
	if err != nil {
		return message{}, nil, err
	}
	var m message
	if err := json.Unmarshal(data[:n], &m); err != nil {
		return message{}, files, nil
	}
	return m, files, nil
}

func filesOf(control []byte) ([]*os.File, error) {
	if len(control) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, err
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}
