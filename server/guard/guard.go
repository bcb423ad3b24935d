// Package guard runs functions on strangers' text in child processes that may die of it: with a limit on memory, a
// deadline for each request, and a fresh child after each death. Requests and answers are JSON over pipes.
//
// It knows nothing of what the functions do. A child gets the request and no environment, and can't write files.
package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"slipway/server/play"
)

// Options bound what requests may use.
type Options struct {
	Children int           // processes; each works on one request at a time
	Memory   int64         // bytes that a child may use beyond what it has when it starts
	Timeout  time.Duration // of one request, from the moment that a child has it
	Waiting  int           // requests that may wait for a child
}

// DefaultOptions suit a server that was told nothing else.
func DefaultOptions() Options {
	return Options{Children: 2, Memory: 512 << 20, Timeout: 2 * time.Second, Waiting: 64}
}

// Guard hands requests to child processes.
type Guard struct {
	argv    []string
	o       Options
	free    chan *child // children without a request; in place of one that died comes a new one
	waiting atomic.Int32
	stopped chan struct{}
}

// New makes a Guard whose children are started as argv. It serves calls while Run runs.
func New(argv []string, o Options) *Guard {
	return &Guard{argv: argv, o: o, free: make(chan *child, o.Children), stopped: make(chan struct{})}
}

// Run starts the children, and stops them when ctx is done. It may be called once.
func (g *Guard) Run(ctx context.Context) error {
	defer close(g.stopped)
	started := 0
	defer func() {
		for range started {
			(<-g.free).kill() // each comes back when its request is over
		}
	}()
	for range g.o.Children {
		c, err := g.start()
		if err != nil {
			return fmt.Errorf("starting a child: %w", err)
		}
		started++
		g.free <- c
	}
	<-ctx.Done()
	return nil
}

// grace is how much longer than the child's own deadline its answer may take.
const grace = 100 * time.Millisecond

// errExpensive is what a request gets that a child died of.
func errExpensive(err error) error {
	return play.Errorf(play.Limited, "This text is too expensive to analyse: it takes too much time or memory. Make it shorter or simpler.").Because(err)
}

// Call hands in to the function called method and reads its answer into out. A request of which the child dies, or
// that takes too long, is a play.Limited error. When ctx is done first the answer is dropped.
func (g *Guard) Call(ctx context.Context, method string, in, out any) error {
	input, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: the request: %w", method, err)
	}
	req, err := json.Marshal(request{Method: method, Timeout: g.o.Timeout, Input: input})
	if err != nil {
		return fmt.Errorf("%s: the request: %w", method, err)
	}
	if len(req) > maxFrame {
		return play.Errorf(play.Limited, "This is too much to analyse: %d bytes; at most %d are allowed.", len(req), maxFrame)
	}
	c, err := g.take(ctx)
	if err != nil {
		return err
	}
	done := make(chan result, 1)
	go func() { done <- g.exchange(c, req) }() // ends with the request's deadline; Run waits for it
	select {
	case <-ctx.Done():
		return ctx.Err()
	case r := <-done:
		if r.err != nil {
			return r.err
		}
		if r.Error != nil {
			return r.Error.play(method)
		}
		return json.Unmarshal(r.Output, out)
	}
}

// take waits for a free child.
func (g *Guard) take(ctx context.Context) (*child, error) {
	if int(g.waiting.Add(1)) > g.o.Waiting+g.o.Children {
		g.waiting.Add(-1)
		return nil, play.Errorf(play.Unavailable, "Too many texts are being analysed; try again in a moment.")
	}
	defer g.waiting.Add(-1)
	select {
	case c := <-g.free:
		return c, nil
	case <-g.stopped:
		return nil, play.Errorf(play.Unavailable, "The server is stopping; try again in a moment.")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// result is an answer, or why there is none.
type result struct {
	answer
	err error
}

// exchange asks a child and puts it, or the one that takes its place, back among the free ones.
func (g *Guard) exchange(c *child, req []byte) result {
	defer func() { g.free <- c }()
	for {
		fresh := c.asked == 0
		a, err := c.ask(req, g.o.Timeout+grace)
		if err == nil {
			return result{answer: a}
		}
		cause := c.kill()
		slog.Warn("a child died of a request", "error", err, "cause", cause)
		next, startErr := g.start()
		if startErr != nil {
			c.asked = 1 // dead; the next request finds that out, and starts another
			return result{err: play.Errorf(play.Unavailable, "The analysis can't run just now; try again in a moment.").Because(startErr)}
		}
		c = next
		// A child that had served others may have died of what they left behind.
		if fresh || errors.Is(err, os.ErrDeadlineExceeded) {
			return result{err: errExpensive(fmt.Errorf("%w: %s", err, cause))}
		}
	}
}

// child is one process.
type child struct {
	cmd    *exec.Cmd
	to     *os.File
	from   *os.File
	stderr *words
	asked  int // requests so far
}

func (g *Guard) start() (*child, error) {
	in, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	from, out, err := os.Pipe()
	if err != nil {
		to.Close()
		return nil, err
	}
	defer out.Close()
	c := &child{to: to, from: from, stderr: &words{}}
	c.cmd = exec.Command(g.argv[0], g.argv[1:]...)
	c.cmd.Env = []string{memoryEnv + "=" + strconv.FormatInt(g.o.Memory, 10), "GOMAXPROCS=1", "GOTRACEBACK=none"}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = in, out, c.stderr
	if err := c.cmd.Start(); err != nil {
		to.Close()
		from.Close()
		return nil, err
	}
	return c, nil
}

// ask sends one request and waits for its answer.
func (c *child) ask(req []byte, timeout time.Duration) (answer, error) {
	c.asked++
	c.stderr.reset()
	deadline := time.Now().Add(timeout)
	if err := errors.Join(c.to.SetWriteDeadline(deadline), c.from.SetReadDeadline(deadline)); err != nil {
		return answer{}, err
	}
	if err := writeFrame(c.to, req); err != nil {
		return answer{}, err
	}
	body, err := readFrame(c.from)
	if err != nil {
		return answer{}, err
	}
	var a answer
	err = json.Unmarshal(body, &a)
	return a, err
}

// kill ends the process, if it hasn't ended by itself, and says how it ended.
func (c *child) kill() string {
	c.to.Close()
	c.from.Close()
	c.cmd.Process.Kill() // fails if it is dead already
	return fmt.Sprint(c.cmd.Wait(), " ", c.stderr)
}

// words keeps the beginning of what a child prints while it works on a request: a Go program that dies says why first.
type words struct {
	mu  sync.Mutex
	buf []byte
}

func (w *words) Write(p []byte) (int, error) {
	const most = 500
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, p[:min(len(p), most-len(w.buf))]...)
	return len(p), nil
}

func (w *words) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = w.buf[:0]
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(bytes.TrimSpace(w.buf))
}
