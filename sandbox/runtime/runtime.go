// Package runtime is the OCI runtime that buildkitd calls for every container:
// it reads the container's specification, takes away what BuildKit has no
// setting for, refuses what a builder must never run, and calls the real
// runtime. It waits for a container's end to take away what BuildKit would
// leave in the image; for every other command it becomes the real runtime.
// It keeps no state but the network proxy's certificate.
package runtime

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"syscall"
)

// settings are the flags of the hidden "runtime" command, before "--" and what
// buildkitd says.
type settings struct {
	runc      string // the real runtime
	state     string // buildkitd's folder: mounts come from here or from temporary folders
	trust     string // file that keeps the network proxy's certificate
	tmpfs     int64  // bytes: the largest tmpfs of a container
	processes uint64 // that a container may have besides the daemon's
}

// Main is the main function of the hidden "runtime" command.
func Main(args []string) int {
	code, err := run(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "runtime:", err)
		return 1
	}
	return code
}

// run returns the exit code of a container that it ran.
func run(args []string) (int, error) {
	var s settings
	flags := flag.NewFlagSet("runtime", flag.ContinueOnError)
	flags.StringVar(&s.runc, "runc", "runc", "the real runtime")
	flags.StringVar(&s.state, "state", "/var/lib/buildkit", "the daemon's state `folder`")
	flags.StringVar(&s.trust, "trust", CA, "`file` that keeps the network proxy's certificate")
	flags.Int64Var(&s.tmpfs, "tmpfs", 64<<20, "largest tmpfs of a container, in `bytes`")
	flags.Uint64Var(&s.processes, "processes", 1024, "largest `number` of processes of a container")
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	c, err := parse(flags.Args())
	if err != nil {
		return 0, err
	}
	argv := append([]string{s.runc, "--root", c.root}, c.args...)
	switch c.name {
	case "run":
		added, done, err := s.prepareBundle(c.bundle)
		if err != nil || done {
			return 0, err
		}
		defer added.remove()
		return runForeground(argv[0], argv[1:]...)
	case "create":
		return 0, errors.New("denied: a container that runs in the background")
	case "exec":
		if err := s.prepareProcess(c.process); err != nil {
			return 0, err
		}
	case "delete":
		if c.unknown() {
			return 0, nil
		}
	}
	err = syscall.Exec(argv[0], argv, os.Environ())
	return 0, fmt.Errorf("execute %s: %w", s.runc, err)
}

// A call is one command line of an OCI runtime, as far as it concerns us.
type call struct {
	args    []string // all of it
	root    string   // --root: where the runtime keeps containers
	name    string   // the command
	bundle  string   // of run
	process string   // of exec: the file that describes the process
	id      string   // the container
}

// parse reads the runtime's command line as runc defines it.
func parse(args []string) (call, error) {
	c := call{args: args, root: "/run/runc"}
	var ignored string
	var ignoredBool bool
	global := flag.NewFlagSet("runtime", flag.ContinueOnError)
	global.SetOutput(io.Discard)
	global.StringVar(&c.root, "root", c.root, "")
	for _, name := range []string{"log", "log-format", "rootless"} {
		global.StringVar(&ignored, name, "", "")
	}
	for _, name := range []string{"debug", "systemd-cgroup"} {
		global.BoolVar(&ignoredBool, name, false, "")
	}
	if err := global.Parse(args); err != nil {
		return c, err
	}
	if global.NArg() == 0 {
		return c, errors.New("no command")
	}
	c.name = global.Arg(0)
	command := flag.NewFlagSet(c.name, flag.ContinueOnError)
	command.SetOutput(io.Discard)
	for _, name := range []string{"bundle", "b"} {
		command.StringVar(&c.bundle, name, ".", "")
	}
	for _, name := range []string{"process", "p"} {
		command.StringVar(&c.process, name, "", "")
	}
	for _, name := range []string{"pid-file", "console-socket", "pidfd-socket", "preserve-fds"} {
		command.StringVar(&ignored, name, "", "")
	}
	for _, name := range []string{"detach", "d", "keep", "no-pivot", "no-new-keyring", "force", "f", "all", "a"} {
		command.BoolVar(&ignoredBool, name, false, "")
	}
	switch c.name {
	case "run", "exec", "delete", "kill":
		if err := command.Parse(global.Args()[1:]); err != nil {
			return c, err
		}
		c.id = command.Arg(0)
	}
	return c, nil
}

// unknown reports whether the runtime has no such container. BuildKit deletes
// every container that it ran, also one that was never made.
func (c call) unknown() bool {
	_, err := os.Lstat(c.root + "/" + c.id)
	return errors.Is(err, os.ErrNotExist)
}
