package runtime

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	goruntime "runtime"
	"syscall"
)

// signalled is added to the number of the signal that ended a process: what a
// shell, and runc for its container, make of one.
const signalled = 128

// runForeground runs a program to its end with our standard streams and every
// signal that we get, and returns its exit code. It doesn't outlive us.
func runForeground(path string, args ...string) (int, error) {
	// Pdeathsig is about the thread that started the program.
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	cmd := exec.Command(path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan struct{})
	defer close(ended)
	go forward(signals, cmd.Process, ended)
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return signalled + int(status.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// forward passes signals on but for those that are about ourselves.
func forward(signals <-chan os.Signal, to *os.Process, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case s := <-signals:
			switch s {
			case syscall.SIGCHLD, syscall.SIGPIPE, syscall.SIGURG: // the last is how Go's scheduler interrupts its threads
			default:
				_ = to.Signal(s) // it has ended: nobody is left to take it
			}
		}
	}
}
