package main

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"slipway/sandbox/builder"
	"slipway/sandbox/buildkit"
	"slipway/sandbox/egress"
	"slipway/sandbox/registry"
	"slipway/sandbox/registry/catalog"
	"slipway/server/play"
)

// registryHost is the registry's name inside builders; no resolver knows it.
const registryHost = "registry.slipway.internal"

// node is what a machine needs to build: builders, their way out, and the registry behind it.
type node struct {
	settings Settings
	log      *slog.Logger
	catalog  *catalog.Catalog
	registry *registry.Registry
	egress   *egress.Egress
	pool     *builder.Pool
	builder  *buildkit.Builder
	state    atomic.Pointer[string] // why it is not ready; nil: it is
}

// openNode opens the registry and the way out. Nothing can be built until start has returned.
func openNode(s Settings, log *slog.Logger) (*node, error) {
	n := &node{settings: s, log: log, catalog: catalog.Open(s.catalogDir())}
	n.say("starting")
	inside := map[string]http.Handler{}
	if err := n.openEgress(inside); err != nil {
		return nil, fmt.Errorf("open the egress: %w", err)
	}
	var err error
	n.registry, err = registry.New(registry.Config{
		Dir: filepath.Join(s.Data, "registry"), Catalog: n.catalog, Host: registryHost, Transport: n.egress.Transport(),
		// Whoever has the link of a build may have its image.
		CanPull:  func(context.Context, *http.Request, string) bool { return true },
		MaxImage: int64(s.Disk) / 2, MaxCache: 20 << 30, Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("open the registry: %w", err)
	}
	inside[registryHost] = n.registry
	return n, nil
}

// start opens the pool of builders, and makes what they start from. It takes minutes the first time, and a moment
// then.
func (n *node) start(ctx context.Context) error {
	template, err := n.template()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s, log := n.settings, n.log
	n.pool, err = builder.Open(ctx, builder.Config{
		Dir: filepath.Join(s.Data, "builders"), Self: []string{self}, Buildkitd: s.Buildkitd, Runc: s.Runc, CNI: s.CNI,
		UIDBase: s.UIDBase, Disk: int64(s.DiskTotal), Template: template, CA: n.egress.CA(), Egress: n.egress.Serve, Log: log, Ahead: []string{"agent"},
		Mirror: registryHost, Mirrored: registry.Registries(),
		Limits: builder.Limits{Memory: int64(s.Memory), PIDs: s.PIDs, CPUs: s.CPUs, Disk: int64(s.Disk), Steps: s.Slots},
	})
	if err != nil {
		return err
	}
	for _, missing := range n.pool.Bounds() {
		log.Warn("builders are bounded only in part", "why", missing)
	}
	n.builder = n.newBuilder(n.pool.Get)
	return n.prepare(ctx)
}

// close ends the builders, if there are any, and leaves nothing of them.
func (n *node) close() error {
	if n.pool == nil {
		return nil
	}
	return n.pool.Close()
}

// openEgress opens the way out, which the registry needs too; inside gets the registry once it is there.
func (n *node) openEgress(inside map[string]http.Handler) error {
	cfg := egress.Config{
		Inside: inside,
		Allow:  n.settings.EgressAllow, Proxy: n.settings.EgressProxy, Log: n.log,
	}
	python := registry.NewPython(n.catalog)
	hosts, err := python.Hosts()
	if err != nil {
		return err
	}
	if len(hosts) > 0 {
		cfg.StandIns = []egress.StandIn{{Hosts: hosts, Handler: python}}
	}
	n.egress, err = egress.New(cfg)
	return err
}

func (n *node) newBuilder(get func(context.Context, string) (*builder.Builder, error)) *buildkit.Builder {
	return buildkit.New(buildkit.Config{
		Daemon: func(ctx context.Context, domain string) (buildkit.Daemon, error) {
			b, err := get(ctx, domain)
			if err != nil {
				return nil, err
			}
			return daemon{b}, nil
		},
		Registry: registryHost, Push: n.registry.Push, Images: n.registry, Origin: n.registry.Origin, Missing: n.registry.Missing,
		Requests: n.egress.Requests, Worker: n.settings.name(), Sandbox: "runc", Log: n.log,
	})
}

// daemon lends a builder to one build.
type daemon struct{ *builder.Builder }

func (d daemon) Run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	return d.Builder.Run(ctx, []string{"agent"}, stdin, stdout, stderr)
}

func (d daemon) Usage() buildkit.Usage {
	u := d.Builder.Usage()
	return buildkit.Usage{
		OOMKills: u.OOMKills, PIDsRefused: u.PIDsRefused, PIDsPeak: u.PIDsPeak,
		Memory: u.Limits.Memory, Disk: u.Limits.Disk, StepPIDs: u.Limits.StepPIDs(),
	}
}

// template names the state from which builders start: by what is in it.
func (n *node) template() (string, error) {
	refs, err := n.baseImages()
	if err != nil {
		return "", err
	}
	version := "unknown"
	if path, err := exec.LookPath(n.settings.Buildkitd); err == nil { // else the pool says what is wrong
		version = buildkitVersion(buildinfo.ReadFile(path))
	}
	sum := sha256.Sum256(fmt.Appendln(nil, version, refs))
	return play.Name(sum[:], 16), nil
}

// baseImages are the catalogue's images, one reference for each digest.
func (n *node) baseImages() ([]string, error) {
	images, err := n.catalog.Images()
	if err != nil {
		return nil, fmt.Errorf("read the catalogue: %w", err)
	}
	var refs []string
	seen := map[string]bool{}
	for _, i := range images {
		if d := i.Digest.String(); !seen[d] {
			seen[d] = true
			refs = append(refs, i.Ref+"@"+d)
		}
	}
	return refs, nil
}

// prepare makes, once for each catalogue, the file system that builders start from: one in which the base
// images are unpacked already, by a build that looks into each.
func (n *node) prepare(ctx context.Context) error {
	if n.pool.Prepared() {
		n.state.Store(nil)
		return nil
	}
	refs, err := n.baseImages()
	if err != nil {
		return err
	}
	n.say("unpacking %d base images, once", len(refs))
	n.log.Info("unpacking base images for the builders; this is done once for each catalogue", "images", len(refs))
	if err := n.pool.Prepare(ctx, func(ctx context.Context, b *builder.Builder) error { return n.warm(ctx, b, refs) }); err != nil {
		return err
	}
	n.state.Store(nil)
	return nil
}

func (n *node) warm(ctx context.Context, b *builder.Builder, refs []string) error {
	if len(refs) == 0 {
		return nil
	}
	text := "FROM scratch\n"
	for i, ref := range refs {
		text += fmt.Sprintf("COPY --from=%s /etc/passwd /%d\n", ref, i)
	}
	limits := play.DefaultLimits()
	limits.Build = time.Hour
	rev, err := play.NewRevision([]play.File{{Path: "Dockerfile", Content: []byte(text)}}, limits)
	if err != nil {
		return err
	}
	const job = "template"
	defer n.registry.Delete(job)
	once := n.newBuilder(func(context.Context, string) (*builder.Builder, error) { return b, nil })
	end, err := once.Build(ctx, play.Build{
		Job: job, Attempt: 1, Domain: "template", Created: time.Now(), Revision: rev, Limits: limits,
		Request: play.BuildRequest{Revision: rev.ID},
	}, func(play.Fact) error { return nil })
	if err == nil && end.Outcome != play.OK {
		err = fmt.Errorf("unpack the base images: %s", end.Message)
	}
	return err
}

// ready is a check of the server: nil once builds can run.
func (n *node) ready(context.Context) error {
	if why := n.state.Load(); why != nil {
		return errors.New(*why)
	}
	return nil
}

func (n *node) say(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	n.state.Store(&s)
}

// secrets are texts of this machine that no log may hold.
func (s Settings) secrets() []string {
	var secrets []string
	if s.EgressProxy != nil {
		if password, ok := s.EgressProxy.User.Password(); ok {
			secrets = append(secrets, password)
		}
	}
	return slices.DeleteFunc(secrets, func(s string) bool { return strings.TrimSpace(s) == "" })
}
