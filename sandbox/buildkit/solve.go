package buildkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"slipway/server/dockerfile"
	"slipway/server/play"
)

// work is one build inside its gateway session.
type work struct {
	learnt  <-chan struct{} // closed when steps may be run
	disk    disk
	build   play.Build
	files   *files
	outline *dockerfile.Outline
	plan    *play.Planned
	image   string // that is pushed
	emit    func(play.Fact)

	join     *join // once there is a definition
	config   *dockerspec.DockerOCIImage
	platform string
	end      *play.Finished // set where we refuse to go on
	err      error          // of the frontend; on its way through the daemon it loses its type
	full     bool           // the disk, when a step failed
	images   *resolver
	check    string // name of the first check of BuildKit's that found something
	line     int    // and where
}

// errRefused ends a session because of work.end.
var errRefused = errors.New("refused")

func (w *work) run(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
	res, err := w.frontend(ctx, c)
	w.err = err
	return res, err
}

// frontend makes the definition and hands it to the solver. The Dockerfile and the ignore file are at hand, so they
// are not sent to the daemon and read back, as BuildKit's own frontend must: that saves two solves. Nothing that a
// person chose goes into frontend attributes.
func (w *work) frontend(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
	opts := c.BuildOpts()
	var have []ocispecs.Platform
	if len(opts.Workers) > 0 {
		have = opts.Workers[0].Platforms
	}
	if len(have) == 0 {
		return nil, errors.New("the daemon has no worker")
	}
	target, text := w.target()
	convert := dockerfile2llb.ConvertOpt{
		Config: dockerui.Config{
			BuildArgs:        maps.Clone(w.build.Request.BuildArgs),
			CacheIDNamespace: w.build.Domain,
			Target:           target,
			BuildPlatforms:   have[:1],
		},
		SourceMap: llb.NewSourceMap(nil, w.files.path, "Dockerfile", w.files.dockerfile),
		LLBCaps:   &opts.LLBCaps,
		Warn:      w.warned,
	}
	if w.build.Request.Network == play.NetworkOff {
		convert.NetworkMode = pb.NetMode_NONE
	}
	w.platform = platforms.Format(platforms.Normalize(have[0]))
	if want := w.build.Request.Platform; want != "" {
		p, err := platforms.Parse(want)
		if err != nil || !runs(p, have) {
			w.end = &play.Finished{Outcome: play.Failed,
				Message: fmt.Sprintf("The platform %s can't be built here: the builders run %s.", want, names(have)),
				Hint:    "Leave the platform out to build for " + w.platform + "."}
			return nil, errRefused
		}
		convert.TargetPlatform = &p
		w.platform = platforms.Format(platforms.Normalize(p))
	}
	w.images = &resolver{daemon: c, known: map[string]func() (resolved, error){}}
	convert.MetaResolver = w.images

	made, err := dockerfile2llb.Dockerfile2LLB(ctx, text, convert)
	if err != nil {
		return nil, err
	}
	def, err := made.State.Marshal(ctx)
	if err != nil {
		return nil, err
	}
	if w.join, err = newJoin(def, w.plan); err != nil {
		return nil, err
	}
	w.config = made.Image
	if w.end = refuse(w.join, w.files, w.build.Request.Network, have); w.end != nil {
		return nil, errRefused
	}
	w.emit(w.join.planned())
	if w.build.Request.NoCache {
		noCache(def, w.join.ops)
	}

	<-w.learnt
	solved, err := c.Solve(ctx, gateway.SolveRequest{Definition: def.ToPB(), Evaluate: true})
	if err != nil {
		w.full = w.disk.full() // as long as what the failed step wrote is there
		return nil, err
	}
	ref, err := solved.SingleRef()
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(made.Image)
	if err != nil {
		return nil, err
	}
	res := gateway.NewResult()
	res.SetRef(ref)
	res.AddMeta(exptypes.ExporterImageConfigKey, config)
	return res, nil
}

// warned notes what BuildKit's own checks find: it matters only where the Dockerfile makes errors of them, with
// "# check=error=true".
func (w *work) warned(rule, _, _, _ string, at []parser.Range) {
	if w.check == "" && len(at) > 0 {
		w.check, w.line = rule, at[0].Start.Line
	}
}

// target is the name of the stage to build, and the text to build it from. The frontend finds stages by name only,
// and the last: a stage without a name is made the last.
func (w *work) target() (name string, text []byte) {
	stages := w.plan.Stages
	if w.build.Request.Target == "" || w.plan.Target == len(stages)-1 {
		return "", w.files.dockerfile
	}
	if name := stages[w.plan.Target].Name; name != "" {
		return name, w.files.dockerfile
	}
	lines := bytes.SplitAfter(w.files.dockerfile, []byte("\n"))
	return "", bytes.Join(lines[:stages[w.plan.Target+1].Range.Start.Line-1], nil)
}

// resolver asks the daemon for images, once for each, and remembers the first that it could not have.
type resolver struct {
	daemon sourceresolver.ImageMetaResolver
	mu     sync.Mutex
	known  map[string]func() (resolved, error)
	failed string
	err    error // of that one
}

// resolved is an image's reference, digest and configuration.
type resolved struct {
	ref    string
	digest digest.Digest
	config []byte
}

func (r *resolver) ResolveImageConfig(ctx context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	key := ref
	if opt.ImageOpt != nil && opt.ImageOpt.Platform != nil {
		key += " " + platforms.FormatAll(*opt.ImageOpt.Platform)
	}
	r.mu.Lock()
	ask, ok := r.known[key]
	if !ok {
		ask = sync.OnceValues(func() (got resolved, err error) {
			got.ref, got.digest, got.config, err = r.daemon.ResolveImageConfig(ctx, ref, opt)
			return got, err
		})
		r.known[key] = ask
	}
	r.mu.Unlock()
	got, err := ask()
	if err != nil && ctx.Err() == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.failed == "" {
			r.failed, r.err = ref, err
		}
	}
	return got.ref, got.digest, got.config, err
}

// missing is the image that could not be had, as people write it, or "".
func (r *resolver) missing() string {
	if r == nil {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	base := pinned(r.failed)
	if base.Digest != "" {
		return base.Ref + "@" + base.Digest
	}
	return base.Ref
}

// why the missing image could not be had.
func (r *resolver) why() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// imageConfig is what of an image's configuration says how its containers start.
func imageConfig(img *dockerspec.DockerOCIImage) play.ImageConfig {
	c := img.Config
	out := play.ImageConfig{
		User: c.User, WorkingDir: c.WorkingDir, Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd,
		Exposed: slices.Sorted(maps.Keys(c.ExposedPorts)), Volumes: slices.Sorted(maps.Keys(c.Volumes)),
		Labels: c.Labels, StopSignal: c.StopSignal, Shell: c.Shell,
	}
	if c.Healthcheck != nil && !slices.Equal(c.Healthcheck.Test, []string{"NONE"}) {
		out.Healthcheck = c.Healthcheck.Test
	}
	return out
}

// clip keeps a text short, whole code points only.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
