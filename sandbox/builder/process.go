package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// agentOOM lets the kernel take an agent, which parses a stranger's files,
// before the daemon, and a step, which is at 1000, before both.
const agentOOM = 500

// A Process is our own binary at work inside a builder. Its standard streams
// are pipes: the caller reads both outputs to their end and closes them.
type Process struct {
	Stdin          *os.File // closed by the caller; or by Wait
	Stdout, Stderr *os.File

	b    *Builder
	id   int
	done chan struct{}
	err  error // set before done is closed
}

// An ExitError is the end of a process that wasn't exit code 0.
type ExitError struct {
	Code   int // -1 when a signal ended it
	Signal int
}

func (e *ExitError) Error() string {
	if e.Signal != 0 {
		return fmt.Sprintf("killed by signal %d", e.Signal)
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// ErrEnded says that the builder died, and with it the process.
var ErrEnded = errors.New("the builder ended")

// Start runs our own binary with the given arguments inside the builder's
// namespaces and cgroup, as its root, with an environment that is the same for
// all. It is killed when ctx ends. It reaches the daemon at Socket.
func (b *Builder) Start(ctx context.Context, args ...string) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	p := b.takeWaiting(args)
	if p == nil {
		var err error
		if p, err = b.start(args); err != nil {
			return nil, err
		}
	}
	go p.obey(ctx)
	return p, nil
}

// takeWaiting returns the process that was started ahead, if it is one with
// these arguments.
func (b *Builder) takeWaiting(args []string) *Process {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil || !slices.Equal(args, b.ahead) {
		return nil
	}
	p := b.waiting
	b.waiting = nil
	return p
}

// startAhead makes sure that a process waits, unless there is none to be. The
// next Start then doesn't wait for a program to start.
func (b *Builder) startAhead() {
	b.mu.Lock()
	enough := b.ahead == nil || b.waiting != nil || b.ended || b.doomed
	b.mu.Unlock()
	if enough {
		return
	}
	p, err := b.start(b.ahead)
	if err != nil {
		return // whoever needs one starts it, and is told
	}
	b.mu.Lock()
	kept := b.waiting == nil && b.running[p.id] == p
	if kept {
		b.waiting = p
	}
	b.mu.Unlock()
	if !kept {
		p.Kill()
		closeAll(p.streams())
	}
}

// start starts a process that nobody ends.
func (b *Builder) start(args []string) (*Process, error) {
	var ours, theirs [3]*os.File
	for i := range ours {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(ours[:i])
			closeAll(theirs[:i])
			return nil, err
		}
		ours[i], theirs[i] = r, w
		if i == 0 {
			ours[i], theirs[i] = w, r
		}
	}
	defer closeAll(theirs[:])
	p := &Process{Stdin: ours[0], Stdout: ours[1], Stderr: ours[2], b: b, done: make(chan struct{})}
	if !b.enlist(p) {
		closeAll(ours[:])
		return nil, ErrEnded
	}
	err := b.host.send(message{Start: &start{
		ID: p.id, Argv: slices.Concat([]string{binary}, b.self, args), Env: environ(), OOMAdj: agentOOM,
	}}, theirs[:]...)
	if err != nil {
		b.exited(exited{ID: p.id, Code: -1})
		closeAll(ours[:])
		return nil, fmt.Errorf("start inside the builder: %w", err)
	}
	return p, nil
}

func (p *Process) streams() []*os.File { return []*os.File{p.Stdin, p.Stdout, p.Stderr} }

// enlist gives p a number, unless the builder is gone.
func (b *Builder) enlist(p *Process) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return false
	}
	b.lastID++
	p.id = b.lastID
	b.running[p.id] = p
	return true
}

// obey kills the process when ctx ends first.
func (p *Process) obey(ctx context.Context) {
	select {
	case <-p.done:
	case <-ctx.Done():
		p.Kill()
	}
}

// Kill kills the process at once.
func (p *Process) Kill() {
	_ = p.b.host.send(message{Kill: &p.id}) // no host, no builder, no process
}

// Wait waits for the end of the process and closes its Stdin. The error is nil,
// an *ExitError, or ErrEnded.
func (p *Process) Wait() error {
	<-p.done
	p.Stdin.Close()
	return p.err
}

// Run starts our own binary as Start does, feeds it stdin, which may be nil, copies what it writes
// and waits for its end: nil, an *ExitError, ErrEnded, or what a writer said. It
// doesn't wait for stdin's last read, which may come after its return.
func (b *Builder) Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	p, err := b.Start(ctx, args...)
	if err != nil {
		return err
	}
	go func() {
		if stdin != nil {
			_, _ = io.Copy(p.Stdin, stdin) // a process needn't read all of it
		}
		p.Stdin.Close()
	}()
	copied := make(chan error, 2)
	pass := func(w io.Writer, r *os.File) {
		_, err := io.Copy(w, r)
		if err != nil {
			p.Kill()
		}
		r.Close()
		copied <- err
	}
	go pass(stdout, p.Stdout)
	go pass(stderr, p.Stderr)
	lost := errors.Join(<-copied, <-copied)
	if err := p.Wait(); lost == nil {
		return err
	}
	return lost
}

// exited settles a process that the child reports as ended.
func (b *Builder) exited(e exited) {
	b.mu.Lock()
	p := b.running[e.ID]
	if p != nil {
		b.delist(p)
	}
	b.mu.Unlock()
	if p == nil {
		return // the daemon, or nobody that we know
	}
	if e.Code != 0 {
		p.err = &ExitError{Code: e.Code, Signal: e.Signal}
	}
	close(p.done)
}

// delist forgets a process that has ended. One that waited has nobody to close
// its streams.
func (b *Builder) delist(p *Process) {
	delete(b.running, p.id)
	if p == b.waiting {
		b.waiting = nil
		closeAll(p.streams())
	}
}

// abandon settles all processes of a builder that is gone.
func (b *Builder) abandon() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	for _, p := range b.running {
		b.delist(p)
		p.err = ErrEnded
		close(p.done)
	}
}
