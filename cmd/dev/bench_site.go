package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"slipway/server/play"
)

// A site is a server under test.
type site struct {
	cmd   *exec.Cmd
	base  string // URL
	debug string // URL of its metrics and profiles
	took  time.Duration
}

// restart ends the server under test, if one runs, and starts another on the same data.
func (b *bench) restart(ctx context.Context) error {
	if err := b.site.stop(); err != nil {
		return err
	}
	debug, err := freeAddress()
	if err != nil {
		return err
	}
	args := []string{
		"serve", "--data", b.dir(), "--listen", "127.0.0.1:0", "--debug", debug,
		"--buildkitd", b.bin("buildkitd"), "--catalog", b.catalogDir(),
		"--trusted-proxy", "127.0.0.1/32", // so that one client can be many, each with its own share
		"--egress-allow", pushAddress.Addr().String() + "/32",
	}
	for _, prefix := range packageAddresses(ctx) {
		args = append(args, "--egress-allow", prefix)
	}
	var log bytes.Buffer
	start := time.Now()
	cmd := exec.CommandContext(ctx, b.bin("slipway"), args...)
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is ours to pass on
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n') // it says no more than that it is ready
	b.site = &site{cmd: cmd, debug: "http://" + debug, took: time.Since(start)}
	_, base, ok := strings.Cut(strings.TrimSpace(line), ": ")
	if err != nil || !ok {
		err := b.site.stop() // it may have written more until then
		return errors.Join(fmt.Errorf("the server did not get ready:\n%s", log.Bytes()), err)
	}
	b.site.base = base
	return nil
}

// stop ends the server and waits until it has cleaned up.
func (s *site) stop() error {
	if s == nil || s.cmd.ProcessState != nil {
		return nil
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return errors.Join(err, s.cmd.Wait())
	}
	return s.cmd.Wait()
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// request sends a request that seems to come from an address of its own, so that no one's share is used up.
func (s *site) request(ctx context.Context, method, path, accept string, body any) (*http.Response, error) {
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		text = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, text)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	req.Header.Set("X-Forwarded-For", someAddress())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= 400 {
		defer res.Body.Close()
		why, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, res.Status, why)
	}
	return res, nil
}

func someAddress() string {
	n := rand.Uint32()
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}).String()
}

// call sends and reads JSON.
func (s *site) call(ctx context.Context, method, path string, in, out any) error {
	res, err := s.request(ctx, method, path, "application/json", in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		_, err := io.Copy(io.Discard, res.Body)
		return err
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// An order is the body of POST /builds.
type order struct {
	Files   map[string]string `json:"files"`
	NoCache bool              `json:"no_cache,omitempty"`
}

func orderOf(files []play.File, noCache bool) order {
	o := order{Files: map[string]string{}, NoCache: noCache}
	for _, f := range files {
		o.Files[f.Path] = string(f.Content)
	}
	return o
}

// post starts a build.
func (s *site) post(ctx context.Context, o order) (id string, err error) {
	var started struct{ ID string }
	err = s.call(ctx, http.MethodPost, "/api/v1/builds", o, &started)
	return started.ID, err
}

// follow reads the events of a build to the end. It fails if the build did.
func (s *site) follow(ctx context.Context, id string, each func(play.Event)) error {
	res, err := s.request(ctx, http.MethodGet, "/api/v1/builds/"+id+"/events", "application/x-ndjson", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	events := json.NewDecoder(res.Body)
	for {
		var e play.Event
		if err := events.Decode(&e); err != nil {
			return fmt.Errorf("the events of build %s: %w", id, err)
		}
		each(e)
		if f, ok := e.Fact.(play.Finished); ok {
			if f.Outcome != play.OK {
				return fmt.Errorf("build %s: %s: %s", id, f.Outcome, f.Message)
			}
			return nil
		}
	}
}

// build builds, and names the vertices whose result was there already.
func (s *site) build(ctx context.Context, o order) (id string, reused []string, err error) {
	if id, err = s.post(ctx, o); err != nil {
		return "", nil, err
	}
	err = s.follow(ctx, id, func(e play.Event) {
		if v, ok := e.Fact.(play.Vertex); ok && v.Cached {
			reused = append(reused, v.Name)
		}
	})
	return id, reused, err
}
