package guard

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"slipway/server/play"
)

// Handler is a function that a child runs: from JSON to something that becomes JSON.
type Handler func(ctx context.Context, in json.RawMessage) (any, error)

// Handle makes a Handler of a function on Go values.
func Handle[In, Out any](f func(context.Context, In) (Out, error)) Handler {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var in In
		if err := json.Unmarshal(raw, &in); err != nil {
			return nil, err
		}
		return f(ctx, in)
	}
}

// memoryEnv tells a child how many bytes it may use beyond what it has when it starts.
const memoryEnv = "SLIPWAY_GUARD_MEMORY"

// maxFrame bounds a request and an answer, in bytes.
const maxFrame = 16 << 20

type request struct {
	Method  string          `json:"method"`
	Timeout time.Duration   `json:"timeout"`
	Input   json.RawMessage `json:"input"`
}

type answer struct {
	Output json.RawMessage `json:"output,omitempty"`
	Error  *failure        `json:"error,omitempty"`
}

// failure is an error on its way through a pipe.
type failure struct {
	Kind  play.Kind   `json:"kind"`
	Msg   string      `json:"msg"`
	At    *play.Place `json:"at,omitempty"`
	Cause string      `json:"cause,omitempty"`
}

func (f failure) play(method string) error {
	e := &play.Error{Kind: f.Kind, Msg: f.Msg, At: f.At}
	if f.Cause != "" {
		e.Err = fmt.Errorf("%s: %s", method, f.Cause)
	}
	return e
}

func failed(err error) *failure {
	if errors.Is(err, context.DeadlineExceeded) {
		err = errExpensive(err)
	}
	e, ok := errors.AsType[*play.Error](err)
	if !ok {
		return &failure{Kind: play.Internal, Msg: "The analysis failed; that is our fault.", Cause: err.Error()}
	}
	f := &failure{Kind: e.Kind, Msg: e.Msg, At: e.At}
	if e.Err != nil {
		f.Cause = e.Err.Error()
	}
	return f
}

// Serve is the main function of a child: it answers the requests that come on standard input, one after the other,
// and gives the exit code. It ends when its parent does.
func Serve(handlers map[string]Handler) int {
	out := os.Stdout
	os.Stdout = os.Stderr // what a library prints is no answer
	if err := confine(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	requests := make(chan []byte)
	go func() {
		in := bufio.NewReader(os.Stdin)
		for {
			body, err := readFrame(in)
			if err != nil {
				os.Exit(0) // at once, also in the middle of a request: nobody waits for the answer
			}
			requests <- body
		}
	}()
	for body := range requests {
		if err := writeFrame(out, respond(handlers, body)); err != nil {
			return 0
		}
	}
	return 0
}

// respond makes the answer to one request.
func respond(handlers map[string]Handler, body []byte) []byte {
	var a answer
	if output, err := call(handlers, body); err != nil {
		a.Error = failed(err)
	} else {
		a.Output = output
	}
	out, err := json.Marshal(a)
	if err != nil || len(out) > maxFrame {
		out, _ = json.Marshal(answer{Error: failed(errExpensive(fmt.Errorf("an answer of %d bytes: %w", len(out), err)))})
	}
	return out
}

func call(handlers map[string]Handler, body []byte) (out json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	var req request
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, err
	}
	h, ok := handlers[req.Method]
	if !ok {
		return nil, fmt.Errorf("there is no method %q", req.Method)
	}
	ctx, cancel := context.WithTimeout(context.Background(), req.Timeout)
	defer cancel()
	v, err := h(ctx, req.Input)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// confine takes from the process what a parser doesn't need: memory without end, writing files, core dumps. It may
// still read files as its parent can: handlers look base images up.
func confine() error {
	memory, err := strconv.ParseUint(os.Getenv(memoryEnv), 10, 63)
	if err != nil {
		return fmt.Errorf("%s: %w", memoryEnv, err)
	}
	size, err := addressSpace()
	if err != nil {
		return err
	}
	debug.SetGCPercent(400)                 // a request is short, and most of them are small
	debug.SetMemoryLimit(int64(memory / 2)) // but collect hard before the wall is reached
	for _, l := range []struct {
		what int
		most uint64
	}{
		{syscall.RLIMIT_AS, size + memory},
		{syscall.RLIMIT_CORE, 0},
		{syscall.RLIMIT_FSIZE, 0},
		{syscall.RLIMIT_NOFILE, 64},
	} {
		if err := syscall.Setrlimit(l.what, &syscall.Rlimit{Cur: l.most, Max: l.most}); err != nil {
			return fmt.Errorf("limit %d: %w", l.what, err)
		}
	}
	return nil
}

// addressSpace is how much of it the process has, in bytes. The Go runtime reserves a lot that it never touches.
func addressSpace() (uint64, error) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	first, _, _ := bytes.Cut(statm, []byte(" "))
	pages, err := strconv.ParseUint(string(first), 10, 50)
	return pages * uint64(os.Getpagesize()), err
}

// A frame is its length, 4 bytes big-endian, and a body.
func writeFrame(w io.Writer, body []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body))), body...))
	return err
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	body := make([]byte, n)
	_, err := io.ReadFull(r, body)
	return body, err
}
