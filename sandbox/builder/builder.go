package builder

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	startTimeout = 60 * time.Second // for a cold machine under load; usually tens of milliseconds
	endTimeout   = 15 * time.Second // for the kernel to let go of what a killed builder held
	uidRange     = 65536            // user ids of one builder: all that images use
)

// A Builder is one running buildkitd in its sandbox. It serves one trust domain
// and dies as a whole.
type Builder struct {
	domain string
	log    *slog.Logger
	group  *cgroup
	state  *os.File // the state filesystem, for its counters
	image  *os.File
	record string // the run file
	slot   int    // which uid range
	limits Limits

	self  []string      // arguments of our own binary before the hidden command
	ahead []string      // Config.Ahead; nil: none
	keep  time.Duration // without users; 0: for ever

	host conn
	cmd  *exec.Cmd

	mu      sync.Mutex
	running map[int]*Process
	waiting *Process // started ahead
	lastID  int
	failure error // why it ends, if the child or the egress said
	ended   bool  // no process can be started any more
	doomed  bool  // it is being ended on purpose
	users   int
	spent   bool        // it goes with its last user
	retire  *time.Timer // runs while there are no users

	logged  chan struct{} // closed when no process can log any more
	lastLog string        // set before logged is closed

	ready chan struct{}
	done  chan struct{} // closed when nothing of the builder is left
	err   error         // set before done is closed
}

// Done is closed when the builder has died and all that it held is released.
func (b *Builder) Done() <-chan struct{} { return b.done }

// Err says why the builder died: an *EndError, or nil when it was ended on
// purpose. It is meaningful once Done is closed.
func (b *Builder) Err() error {
	select {
	case <-b.done:
		return b.err
	default:
		return nil
	}
}

// begin starts a builder on image, which it takes over, and waits until its
// daemon serves. Release and the pool's bookkeeping are not its business.
func (p *Pool) begin(ctx context.Context, domain string, slot int, image *os.File, ahead []string) (*Builder, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	b := &Builder{
		domain: domain, slot: slot, limits: p.config.Limits, image: image,
		self: p.config.Self[1:], ahead: ahead, keep: p.config.Idle,
		log:     p.config.Log.With("domain", domain),
		running: map[int]*Process{},
		ready:   make(chan struct{}), done: make(chan struct{}),
	}
	began := time.Now()
	if err := b.launch(ctx, p); err != nil {
		b.release()
		close(b.done)
		return nil, fmt.Errorf("start a builder: %w", err)
	}
	select {
	case <-b.ready:
		b.log.Info("builder ready", "took", time.Since(began).Round(time.Millisecond), "pid", b.cmd.Process.Pid)
		b.startAhead()
		return b, nil
	case <-b.done:
		return nil, fmt.Errorf("start a builder: %w", b.err)
	case <-ctx.Done():
		b.kill()
		<-b.done
		return nil, fmt.Errorf("start a builder: %w", context.Cause(ctx))
	}
}

// launch starts the child and hands it its setup. After an error release gives
// back what was made so far.
func (b *Builder) launch(ctx context.Context, p *Pool) (err error) {
	name := fmt.Sprintf("slipway-%d-%s", os.Getpid(), rand.Text()[:8])
	if b.group, err = p.hierarchy.newCgroup(name, p.config.Limits); err != nil {
		return err
	}
	if b.state, err = mountImage(b.image); err != nil {
		return err
	}
	if err := b.spawn(p.config); err != nil {
		return err
	}
	pid := b.cmd.Process.Pid
	b.record = filepath.Join(p.config.Dir, runDir, fmt.Sprintf("%d.json", pid))
	ours := func() error {
		if err := writeRecord(b.record, pid, b.group.folders()); err != nil {
			return err
		}
		if err := b.group.add(pid); err != nil {
			return err
		}
		if err := mapOwners(b.state, pid); err != nil {
			return err
		}
		l, err := listenInside(ctx, pid, egressAddress)
		if err != nil {
			return err
		}
		go b.serveEgress(p.config.Egress, l)
		return b.setUp(p.config)
	}
	if err := ours(); err != nil {
		b.cmd.Process.Kill()
		b.cmd.Wait()
		return err
	}
	go b.listen()
	go b.watch()
	return nil
}

// spawn starts our own binary as process 1 of new namespaces. It runs as root
// of its user namespace: on the machine, as nobody.
func (b *Builder) spawn(c Config) error {
	host, inside, err := newConns()
	if err != nil {
		return err
	}
	b.host = host
	defer inside.Close()
	log, logEnd, err := os.Pipe()
	if err != nil {
		return err
	}
	defer logEnd.Close()
	b.logged = make(chan struct{})
	go b.copyLog(log)
	self, err := os.Open(c.Self[0])
	if err != nil {
		return err
	}
	defer self.Close()

	base := int(c.UIDBase) + b.slot*uidRange
	// By descriptor, for the folder of the binary may be closed to nobody.
	b.cmd = exec.Command(fmt.Sprintf("/proc/self/fd/%d", binaryFD), slices.Concat(b.self, []string{"child"})...)
	b.cmd.ExtraFiles = []*os.File{inside, self}
	b.cmd.Env = environ()
	b.cmd.Dir = "/"
	b.cmd.Stderr = logEnd // and the daemon's, who inherits it
	b.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET |
			unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		UidMappings:                []syscall.SysProcIDMap{{HostID: base, Size: uidRange}},
		GidMappings:                []syscall.SysProcIDMap{{HostID: base, Size: uidRange}},
		GidMappingsEnableSetgroups: true,
		Credential:                 &syscall.Credential{},
		Setsid:                     true, // a Ctrl-C is the server's alone
	}
	return b.cmd.Start()
}

// setUp sends the child its setup.
func (b *Builder) setUp(c Config) error {
	state, err := b.dupState()
	if err != nil {
		return err
	}
	s, mounts, err := c.root(state)
	if err != nil {
		state.Close()
		return err
	}
	defer closeAll(mounts)
	s.Cgroups = slices.Sorted(maps.Keys(b.group.dirs))
	return b.host.send(message{Setup: s}, mounts...)
}

// dupState opens the state mount once more, for the child.
func (b *Builder) dupState() (*os.File, error) {
	fd, err := unix.FcntlInt(b.state.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), State), nil
}

// copyLog passes the child's and the daemon's log on, line by line. It is full
// of what strangers' builds did, so it is for debugging; its end says why a
// builder could not start.
func (b *Builder) copyLog(r *os.File) {
	defer close(b.logged)
	defer r.Close()
	lines := bufio.NewReaderSize(r, 4096) // longer lines come in pieces
	for {
		line, _, err := lines.ReadLine()
		if err != nil {
			return
		}
		b.lastLog = string(line)
		b.log.Debug("buildkitd", "line", b.lastLog)
	}
}

// serveEgress runs the proxy on l until the builder is gone. Without it a
// builder is of no use, so its end is the builder's.
func (b *Builder) serveEgress(serve func(context.Context, string, net.Listener) error, l net.Listener) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-b.done
		cancel()
		l.Close()
	}()
	if err := serve(ctx, b.domain, l); err != nil && ctx.Err() == nil {
		b.fail(fmt.Errorf("the egress stopped: %w", err))
		_ = b.cmd.Process.Kill() // it is dead already: all the better
	}
}

// fail notes the reason of the end that is coming, the first one.
func (b *Builder) fail(reason error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failure == nil {
		b.failure = reason
	}
}

// listen takes the child's messages until its end.
func (b *Builder) listen() {
	ready := sync.OnceFunc(func() { close(b.ready) })
	for {
		m, _, err := b.host.receive(false)
		if err != nil {
			return
		}
		switch {
		case m.Ready != nil:
			ready()
		case m.Exited != nil:
			b.exited(*m.Exited)
		case m.Failed != nil:
			b.fail(errors.New(*m.Failed))
		}
	}
}

// watch waits for the end and cleans up.
func (b *Builder) watch() {
	err := b.cmd.Wait()
	b.abandon()
	<-b.logged
	b.mu.Lock()
	if b.failure != nil {
		err = b.failure
	}
	if err != nil && !b.doomed {
		b.err = &EndError{Usage: b.Usage(), Reason: err, LastLog: b.lastLog}
	}
	b.mu.Unlock()
	b.release()
	close(b.done)
}

// use counts one more user, unless the builder is at its end.
func (b *Builder) use() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended || b.doomed || b.spent && b.users == 0 {
		return false
	}
	b.users++
	if b.retire != nil {
		b.retire.Stop()
	}
	return true
}

// Release gives back what Pool.Get returned. Without users the builder is kept
// for a while and then thrown away; at once if a user found it spent.
func (b *Builder) Release(spent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.users--
	b.spent = b.spent || spent
	if b.users == 0 && b.spent {
		go b.kill()
		return
	}
	if b.users == 0 && b.keep > 0 {
		b.retire = time.AfterFunc(b.keep, b.killUnused)
	}
	go b.startAhead()
}

func (b *Builder) killUnused() {
	b.mu.Lock()
	unused := b.users == 0
	b.doomed = b.doomed || unused
	b.mu.Unlock()
	if unused {
		b.kill()
	}
}

// kill ends the builder on purpose: with process 1 the kernel kills all others.
func (b *Builder) kill() {
	b.mu.Lock()
	b.doomed = true
	b.mu.Unlock()
	_ = b.cmd.Process.Kill() // it is dead already: all the better
}

// stop ends the daemon in good order, so that its state can be used again.
func (b *Builder) stop(ctx context.Context) error {
	if err := b.host.send(message{Stop: new(string)}); err != nil {
		return fmt.Errorf("%w: %w", ErrEnded, err)
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		b.kill()
		<-b.done
		return context.Cause(ctx)
	}
}

// release gives back what the builder held, as far as launch got. The image
// stays open: it is its owner's.
func (b *Builder) release() {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	var errs []error
	if b.host.UnixConn != nil {
		errs = append(errs, b.host.Close())
	}
	if b.state != nil {
		errs = append(errs, b.state.Close(), b.awaitUnmount(ctx))
	}
	if b.group != nil {
		errs = append(errs, b.group.remove(ctx))
	}
	if b.record != "" {
		errs = append(errs, os.Remove(b.record))
	}
	if err := errors.Join(errs...); err != nil {
		b.log.Error("the builder left something behind", "err", err)
	}
}

func (b *Builder) awaitUnmount(ctx context.Context) error {
	id, err := idOf(b.image)
	if err != nil {
		return err
	}
	return waitDetached(ctx, id)
}
