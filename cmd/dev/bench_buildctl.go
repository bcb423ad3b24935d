package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"slipway/sandbox/builder"
	"slipway/sandbox/registry"
	"slipway/sandbox/registry/catalog"
	"slipway/server/play"
)

// pushAddress is where the daemon finds the registry that buildctl pushes to. Inside a builder a connection goes
// to the proxy unless its address is a loopback one; for whoever dials this one, the egress, it means its own
// machine. Builders reach port 80.
var pushAddress = netip.MustParseAddrPort("0.0.0.0:80")

// A buildctl builds as Slipway does, with the same daemon: it pushes with the same compression to a registry of
// the same make.
type buildctl struct {
	program string
	daemon  string // address
	dir     string // contexts, credentials, and what is pushed
	image   string
	close   func()
}

// buildctl makes the program at the version that go.mod pins, a registry for it, and finds the daemon.
func (b *bench) buildctl(ctx context.Context) (*buildctl, error) {
	program := b.bin("buildctl")
	c := b.command(ctx, io.Discard, "go", "build", "-trimpath", "-o", program, "github.com/moby/buildkit/cmd/buildctl")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("build buildctl: %w", err)
	}
	daemon, err := b.daemon(ctx)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir(), "buildctl")
	const image = "bench"
	r, err := registry.New(registry.Config{
		Dir: filepath.Join(dir, "registry"), Catalog: catalog.Open(b.catalogDir()), Host: pushAddress.String(), Transport: http.DefaultTransport,
		CanPull:  func(context.Context, *http.Request, string) bool { return true },
		MaxImage: 64 << 30, MaxCache: 1 << 30, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), pushAddress.Port()).String())
	if err != nil {
		return nil, fmt.Errorf("buildctl needs a registry to push to, on a port that builders reach: %w", err)
	}
	server := &http.Server{Handler: r}
	go server.Serve(l) // until it is closed
	password, done := r.Push(image, image)
	auth := map[string]any{"auths": map[string]any{pushAddress.String(): map[string]string{
		"auth": base64.StdEncoding.EncodeToString([]byte(image + ":" + password)),
	}}}
	text, err := json.Marshal(auth)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600)
	}
	p := &buildctl{program: program, daemon: daemon, dir: dir, image: pushAddress.String() + "/builds/" + image}
	p.close = func() { done(); server.Close() }
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// daemon is the address of the builder's daemon as root of the machine reaches it: through the folder of its
// process. A build makes sure that there is one.
func (b *bench) daemon(ctx context.Context) (string, error) {
	if _, _, err := b.site.build(ctx, order{Files: map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}}); err != nil {
		return "", err
	}
	processes, err := below(b.site.cmd.Process.Pid)
	if err != nil {
		return "", err
	}
	for _, p := range processes {
		if filepath.Base(p.args[0]) == "buildkitd" {
			return fmt.Sprintf("unix:///proc/%d/root%s", p.pid, builder.Socket), nil
		}
	}
	return "", errors.New("the server has no buildkitd")
}

// context writes files into a folder.
func (p *buildctl) context(name string, files []play.File) (string, error) {
	dir := filepath.Join(p.dir, "contexts", name)
	for _, f := range files {
		path := filepath.Join(dir, f.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, f.Content, 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// build builds a folder.
func (p *buildctl) build(ctx context.Context, dir string, noCache bool) error {
	args := []string{
		"--addr", p.daemon, "build", "--progress", "plain", "--proxy-network",
		"--frontend", "dockerfile.v0", "--local", "context=" + dir, "--local", "dockerfile=" + dir,
		"--output", strings.Join([]string{
			"type=image", "name=" + p.image, "push=true", "store=false", "registry.insecure=true",
			"oci-mediatypes=true", "compression=zstd",
		}, ","),
	}
	if noCache {
		args = append(args, "--no-cache")
	}
	var out bytes.Buffer
	c := exec.CommandContext(ctx, p.program, args...)
	c.Env = append(os.Environ(), "DOCKER_CONFIG="+p.dir)
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		return fmt.Errorf("buildctl: %w\n%s", err, out.Bytes())
	}
	return nil
}
