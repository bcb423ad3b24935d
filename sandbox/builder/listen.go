package builder

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenInside opens the one way out of a builder: a TCP listener inside the
// network namespace of process pid. Connections that it accepts are handled,
// and dialled onwards, outside.
func listenInside(ctx context.Context, pid int, address string) (net.Listener, error) {
	type result struct {
		l   net.Listener
		err error
	}
	done := make(chan result, 1)
	go func() {
		// The thread enters the namespace for good: it stays locked, so the Go
		// runtime ends it with this goroutine.
		runtime.LockOSThread()
		l, err := func() (net.Listener, error) {
			ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
			if err != nil {
				return nil, err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return nil, fmt.Errorf("setns: %w", err)
			}
			config := net.ListenConfig{Control: freebind}
			return config.Listen(ctx, "tcp4", address)
		}()
		done <- result{l, err}
	}()
	r := <-done
	if r.err != nil {
		return nil, fmt.Errorf("listen inside the builder: %w", r.err)
	}
	return r.l, nil
}

// freebind lets a socket listen on an address that is yet to come: the daemon
// makes the bridge that carries it.
func freebind(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
	}); e != nil {
		return e
	}
	return err
}
