// Package builder starts, watches and throws away builders. A builder is one
// buildkitd without any privilege on the machine: in user, pid, mount, ipc, uts
// and cgroup namespaces of its own, in a network namespace without a route, in
// a cgroup, on a filesystem of bounded size. Its only way out is a listener
// that the host opens inside its network namespace.
//
// It never speaks to BuildKit: that is done by an agent, our own binary started
// inside by Builder.Start. It decides nothing about what may be fetched: that
// is done by whoever serves the listener.
//
// Nothing of a builder is in the machine's mount table or has a name in /run:
// filesystems and namespaces are held by descriptors and processes alone, and
// the kernel frees them when these are gone, however the server ends. What is
// left after a kill -9, cgroup folders and for a moment processes, is swept by
// the next Open.
package builder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Config is what a pool needs to know. All of it but Mirror, Mirrored, Template,
// CA, Idle and Ahead is required.
type Config struct {
	Dir       string   // state of all builders, on this machine only; one pool at a time uses it
	Self      []string // how our own binary is started: its path, and arguments before the hidden command
	Buildkitd string   // path of buildkitd, or its name in PATH
	Runc      string   // the same of runc
	CNI       string   // folder of the CNI plugins bridge, host-local and loopback
	UIDBase   uint32   // first of the machine's user and group ids that builders use; each takes 65,536
	Disk      int64    // bytes of all builders' filesystems together
	Limits    Limits   // of each builder

	Mirror   string        // registry that is asked first, over plain HTTP through the egress
	Mirrored []string      // for images of these registries, such as "docker.io"
	Template string        // name of the state to start from; say with it what is in it
	CA       []byte        // certificates in PEM that the daemon trusts besides the machine's, such as the egress's own
	Ahead    []string      // arguments of a process that waits in every builder for the next Start with the same
	Idle     time.Duration // how long a builder that nobody uses is kept; 0: until the pool closes

	// Egress serves the way out of the builder of a trust domain as an HTTP
	// proxy, until ctx ends. It also answers for the mirror's name.
	Egress func(ctx context.Context, domain string, l net.Listener) error
	Log    *slog.Logger
}

// Limits bound one builder. All are required.
type Limits struct {
	Memory int64   // bytes, without swap
	PIDs   int64   // processes and threads
	CPUs   float64 // processors' worth of time
	Disk   int64   // bytes of its filesystem: layers, cache, everything
	Steps  int     // that run at the same time
}

// StepPIDs is how many processes and threads one step may have, the daemon's
// included.
func (l Limits) StepPIDs() int64 { return int64(float64(l.PIDs) * stepShare) }

// A Pool holds the builders of this machine, one for each trust domain.
type Pool struct {
	config    Config
	hierarchy hierarchy
	images    *images
	lock      *os.File
	life      context.Context
	end       context.CancelCauseFunc
	close     func() error

	mu        sync.Mutex
	builders  map[string]*entry
	slots     map[int]bool // uid ranges in use
	preparing sync.Mutex
	ending    sync.WaitGroup
}

// An entry is a builder that is starting, running or just ended.
type entry struct {
	started chan struct{} // closed when b or err is set
	gone    chan struct{} // closed when the domain may have a new one
	b       *Builder
	err     error
}

// ErrClosed is returned by a pool that was closed.
var ErrClosed = errors.New("the builder pool is closed")

// Open checks what builders need, sweeps what a dead server left in dir, and
// opens the pool. Builders start on demand.
func Open(ctx context.Context, c Config) (*Pool, error) {
	if err := c.resolve(); err != nil {
		return nil, fmt.Errorf("builders: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(c.Dir, runDir), 0o700); err != nil {
		return nil, fmt.Errorf("builders: %w", err)
	}
	lock, err := lockDir(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("builders: %w", err)
	}
	p := &Pool{config: c, lock: lock, builders: map[string]*entry{}, slots: map[int]bool{}}
	p.life, p.end = context.WithCancelCause(context.WithoutCancel(ctx))
	p.close = sync.OnceValue(p.closeOnce)
	if err := p.open(ctx); err != nil {
		lock.Close()
		return nil, fmt.Errorf("builders: %w", err)
	}
	return p, nil
}

func (p *Pool) open(ctx context.Context) (err error) {
	if err := sweep(ctx, p.config.Dir, p.config.Log); err != nil {
		return err
	}
	if p.hierarchy, err = findHierarchy(); err != nil {
		return err
	}
	if missing := p.hierarchy.missing(); len(missing) > 0 {
		p.config.Log.Warn("builders are not bounded in everything: the machine lacks cgroup controllers", "missing", missing)
	}
	p.images, err = openImages(ctx, p.config.Dir, p.config.Template, p.config.Disk, p.config.Log)
	return err
}

// resolve finds what is wrong with a configuration or a machine before anything
// is started, and where the programs are.
func (c *Config) resolve() (err error) {
	if os.Geteuid() != 0 {
		return errors.New("only root can start builders; they themselves have no privileges")
	}
	if err := checkKernel(); err != nil {
		return err
	}
	if len(c.Self) == 0 {
		return errors.New("no command that starts our own binary")
	}
	l := c.Limits
	if l.Memory <= 0 || l.PIDs <= 0 || l.CPUs <= 0 || l.Disk <= 0 || l.Steps <= 0 || c.Disk < l.Disk {
		return fmt.Errorf("limits must be positive, and the disk of all at least that of one: %+v", l)
	}
	for _, program := range []*string{&c.Buildkitd, &c.Runc} {
		if *program, err = exec.LookPath(*program); err != nil {
			return err
		}
	}
	for what, path := range map[string]string{
		"our own binary": c.Self[0], "the CNI plugins": filepath.Join(c.CNI, "bridge"), "loop devices": "/dev/loop-control",
	} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// checkKernel insists on Linux 5.19: the first with overlayfs on mounts whose
// owners are mapped.
func checkKernel() error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	release := unix.ByteSliceToString(name.Release[:])
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("kernel %s: %w", release, err)
	}
	if major < 5 || major == 5 && minor < 19 {
		return fmt.Errorf("kernel %s is too old: builders need Linux 5.19", release)
	}
	return nil
}

// lockDir makes sure that one server uses dir.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is in use by another server: %w", dir, err)
	}
	return f, nil
}

// Bounds says which bounds this machine cannot enforce, in words, for an
// administrator. None is the good answer.
func (p *Pool) Bounds() []string {
	var missing []string
	for _, c := range p.hierarchy.missing() {
		missing = append(missing, "no cgroup controller "+c+": builders are not bounded in it")
	}
	if p.images.pool == (fileID{}) {
		missing = append(missing, "no XFS: builders' disks are bounded one by one but not together, and each copies the template")
	}
	return missing
}

// Get returns the builder of a trust domain and starts it if there is none. The
// caller releases it when it has no more use for it.
func (p *Pool) Get(ctx context.Context, domain string) (*Builder, error) {
	for {
		e, err := p.entry(domain)
		if err != nil {
			return nil, err
		}
		select {
		case <-e.started:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if e.err != nil {
			return nil, e.err
		}
		if e.b.use() {
			return e.b, nil
		}
		<-e.gone // it is on its way out: the next one is ours
	}
}

// entry returns the live entry of a domain, made if needed.
func (p *Pool) entry(domain string) (*entry, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.Err() != nil {
		return nil, ErrClosed
	}
	if e := p.builders[domain]; e != nil {
		return e, nil
	}
	e := &entry{started: make(chan struct{}), gone: make(chan struct{})}
	p.builders[domain] = e
	p.ending.Add(1)
	go func() {
		defer p.ending.Done()
		p.run(domain, e)
	}()
	return e, nil
}

// run owns one builder from start to end.
func (p *Pool) run(domain string, e *entry) {
	e.b, e.err = p.start(p.life, domain, true)
	close(e.started)
	if e.err == nil {
		select {
		case <-e.b.done:
		case <-p.life.Done():
			e.b.kill()
			<-e.b.done
		}
		p.finish(e.b)
		if e.b.err != nil && p.life.Err() == nil {
			e.b.log.Error("builder died", "err", e.b.err)
		}
	}
	p.mu.Lock()
	delete(p.builders, domain)
	p.mu.Unlock()
	close(e.gone)
}

// start begins a builder on a fresh image.
func (p *Pool) start(ctx context.Context, domain string, fromTemplate bool) (*Builder, error) {
	image, err := p.images.create(ctx, p.config.Limits.Disk, fromTemplate)
	if err != nil {
		return nil, fmt.Errorf("start a builder: %w", err)
	}
	slot := p.takeSlot()
	var ahead []string
	if fromTemplate {
		ahead = p.config.Ahead
	}
	b, err := p.begin(ctx, domain, slot, image, ahead)
	if err != nil {
		p.freeSlot(slot)
		image.Close()
		return nil, err
	}
	return b, nil
}

// finish gives back what start took, after the builder's end.
func (p *Pool) finish(b *Builder) {
	b.image.Close()
	p.freeSlot(b.slot)
}

func (p *Pool) takeSlot() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	slot := 0
	for p.slots[slot] {
		slot++
	}
	p.slots[slot] = true
	return slot
}

func (p *Pool) freeSlot(slot int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.slots, slot)
}

// Discard ends a domain's builder, if it has one, and with it its cache and
// what it is doing.
func (p *Pool) Discard(domain string) {
	p.mu.Lock()
	e := p.builders[domain]
	p.mu.Unlock()
	if e == nil {
		return
	}
	<-e.started
	if e.err == nil {
		e.b.kill()
	}
	<-e.gone
}

// Prepared reports whether the template that the configuration names is there.
func (p *Pool) Prepared() bool {
	t, err := p.images.openTemplate()
	if err != nil {
		return false
	}
	t.Close()
	return true
}

// Prepare makes the template, unless it is there: it starts a builder on an
// empty filesystem, lets warm fill its cache, ends it in good order and keeps
// the filesystem. Builders that start later start from it.
func (p *Pool) Prepare(ctx context.Context, warm func(context.Context, *Builder) error) error {
	p.preparing.Lock()
	defer p.preparing.Unlock()
	if p.images.template == "" {
		return errors.New("prepare: the configuration names no template")
	}
	if p.Prepared() {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.life, func() { cancel(ErrClosed) })()
	b, err := p.start(ctx, "template", false)
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	defer p.finish(b)
	if err := warm(ctx, b); err != nil {
		b.kill()
		<-b.done
		return fmt.Errorf("prepare: %w", err)
	}
	if err := b.stop(ctx); err != nil {
		return fmt.Errorf("prepare: end the builder: %w", err)
	}
	return p.images.keep(b.image)
}

// Close ends all builders and leaves nothing of them. It may be called again.
func (p *Pool) Close() error { return p.close() }

func (p *Pool) closeOnce() error {
	p.mu.Lock()
	p.end(ErrClosed)
	p.mu.Unlock()
	p.ending.Wait()
	p.preparing.Lock() // a template in the making has ended too
	defer p.preparing.Unlock()
	return errors.Join(p.images.close(), p.lock.Close())
}
