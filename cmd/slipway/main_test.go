package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"slipway/server/play"
	"slipway/server/view"
)

// TestMain lets the test binary be the whole program: the servers under test are its children, and so are the
// processes of their sandboxes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if run, ok := inside[os.Args[1]]; ok {
			os.Exit(run(os.Args[2:]))
		}
		if !strings.HasPrefix(os.Args[1], "-test.") {
			main()
			os.Exit(0)
		}
	}
	code := m.Run()
	if err := shared.stop(syscall.SIGTERM); err != nil {
		fmt.Fprintln(os.Stderr, "the shared server did not stop well:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// uidBase is the first user id of the builders under test: nothing else on the machine has such.
const uidBase = 1_500_000_000

// shared is one server for all tests that leave it as it was.
var shared slipway

// slipway is a server under test: the real program with real builders.
type slipway struct {
	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan error
	log    *os.File
	base   string // http://127.0.0.1:port
	addr   string // kept over a restart, so that open pages find it again
	data   string
}

// server is the shared server, started if it does not run.
func running(t *testing.T) *slipway {
	t.Helper()
	shared.start(t)
	return &shared
}

// start starts the server and waits until builds can run. Only the file system that builders start from
// outlives a run of the tests: it is made once for each catalogue.
func (s *slipway) start(t *testing.T, flags ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		return
	}
	prepared := testData(t)
	if s.data == "" {
		s.data = filepath.Join(prepared, "test")
		for _, kept := range []string{"log", "registry", "slipway.db", "slipway.db-wal", "slipway.db-shm"} {
			if err := os.RemoveAll(filepath.Join(s.data, kept)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.MkdirAll(s.data, 0o755); err != nil {
		t.Fatal(err)
	}
	if s.addr == "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.addr = l.Addr().String()
		l.Close()
	}
	s.base = "http://" + s.addr
	var err error
	if s.log, err = os.OpenFile(filepath.Join(s.data, "server.log"), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"serve", "--data", s.data, "--catalog", filepath.Join(prepared, "catalog"), "--listen", s.addr,
		"--buildkitd", filepath.Join(prepared, "bin", "buildkitd"), "--parallel", "100", "--uid-base", fmt.Sprint(uidBase)}
	s.cmd = exec.Command(os.Args[0], append(args, flags...)...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		t.Fatal(err)
	}
	s.exited = make(chan error, 1)
	go func(c *exec.Cmd, exited chan<- error) { exited <- c.Wait() }(s.cmd, s.exited)
	for deadline := time.Now().Add(10 * time.Minute); askReady(t.Context(), s.base) != nil; time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-s.exited:
			s.cmd = nil
			t.Fatalf("the server ended: %v\n%s", err, s.logged())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server did not get ready\n%s", s.logged())
		}
	}
}

func (s *slipway) logged() string {
	log, _ := os.ReadFile(s.log.Name())
	return string(log)
}

// stop ends the server with a signal and waits until it is gone.
func (s *slipway) stop(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil
	}
	defer func() { s.cmd = nil; s.log.Close() }()
	if err := s.cmd.Process.Signal(sig); err != nil {
		return err
	}
	select {
	case err := <-s.exited:
		if sig == syscall.SIGKILL {
			return nil
		}
		return err
	case <-time.After(time.Minute):
		s.cmd.Process.Kill()
		return errors.New("it had to be killed")
	}
}

// testData is where go run ./cmd/dev put what the tests need.
func testData(t *testing.T) string {
	t.Helper()
	data := os.Getenv("SLIPWAY_DATA")
	if data == "" {
		t.Fatal("set SLIPWAY_DATA to the folder with bin/buildkitd and catalog (go run ./cmd/dev test does all of it)")
	}
	return data
}

// call sends JSON, and wants an answer of the status.
func (s *slipway) call(t *testing.T, method, path string, in any, status int, out any) http.Header {
	t.Helper()
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.base+path, &body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != status {
		t.Fatalf("%s %s: %s, want %d\n%s", method, path, res.Status, status, text)
	}
	switch out := out.(type) {
	case nil:
	case *string:
		*out = string(text)
	default:
		if err := json.Unmarshal(text, out); err != nil {
			t.Fatalf("%s %s: %v\n%s", method, path, err, text)
		}
	}
	return res.Header
}

// started is the answer to POST /builds.
type started struct {
	ID, Revision, URL string
	Key               string `json:"edit_key"`
}

// build starts a build of a folder of files.
func (s *slipway) build(t *testing.T, request map[string]any) started {
	t.Helper()
	var b started
	s.call(t, "POST", "/api/v1/builds", request, http.StatusAccepted, &b)
	return b
}

// text is a request to build one Dockerfile.
func text(dockerfile string) map[string]any {
	return map[string]any{"files": map[string]any{"Dockerfile": dockerfile}}
}

// follow reads a build's events until stop says so or it is finished, and folds them.
func (s *slipway) follow(ctx context.Context, id string, stop func(*view.Job) bool) (*view.Job, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/api/v1/builds/"+id+"/events", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/x-ndjson")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	job := new(view.Job)
	lines := bufio.NewReader(res.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return job, fmt.Errorf("after event %d: %w", job.Timeline().Seq, err)
		}
		var e play.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return job, err
		}
		if want := job.Timeline().Seq + 1; e.Seq != want {
			return job, fmt.Errorf("event %d came where %d was due", e.Seq, want)
		}
		job.Apply(e)
		if job.Timeline().Finished != nil || stop != nil && stop(job) {
			return job, nil
		}
	}
}

// finish follows a build to its end.
func (s *slipway) finish(t *testing.T, id string) (*view.Job, play.Finished) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	job, err := s.follow(ctx, id, nil)
	if err != nil {
		t.Fatal(err)
	}
	return job, *job.Timeline().Finished
}

// output is all that the steps wrote.
func output(j *view.Job) string {
	var b strings.Builder
	for _, l := range j.Lines(0, 0) {
		b.WriteString(l.Text + "\n")
	}
	return b.String()
}
