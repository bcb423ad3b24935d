package lint

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"sync"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerui"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	bklint "github.com/moby/buildkit/frontend/subrequests/lint"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	fstypes "github.com/tonistiigi/fsutil/types"
)

// frontend is BuildKit's Dockerfile frontend without a daemon.
type frontend struct {
	ui     *dockerui.Client
	file   string
	target string
	images images
}

func newFrontend(r *report, cfg *linter.Config) (*frontend, error) {
	opts := map[string]string{"filename": r.in.File, "platform": r.in.Platform}
	for name, value := range r.in.BuildArgs {
		opts["build-arg:"+name] = value
	}
	f := &frontend{file: r.in.File, images: images{known: r.in.Images}}
	if stage, ok := r.o.Target(r.in.Target); ok && r.in.Target != "" {
		f.target = r.o.Stages[stage].Name // a stage without a name can't be chosen: all are checked
	}
	m := &memory{images: f.images, opts: opts}
	if readIgnore(r.in.Ignore) == nil {
		m.ignore = []byte(r.in.Ignore)
	}
	ui, err := dockerui.NewClient(m)
	if err != nil {
		return nil, err
	}
	ui.LinterConfig = cfg
	f.ui = ui
	return f, nil
}

// lint is what "docker build --check" says about a text.
func (f *frontend) lint(ctx context.Context, src []byte) (*bklint.LintResults, error) {
	cfg := f.ui.Config
	cfg.Target = f.target
	opt := dockerfile2llb.ConvertOpt{
		Config:       cfg,
		Client:       f.ui,
		SourceMap:    &llb.SourceMap{Filename: f.file, Data: src, Definition: &llb.Definition{}}, // AddSource needs one
		MetaResolver: f.images,
	}
	if len(cfg.TargetPlatforms) > 0 {
		opt.TargetPlatform = &cfg.TargetPlatforms[0]
	}
	res, err := dockerfile2llb.DockerfileLint(ctx, src, opt)
	if err != nil {
		return nil, err
	}
	return res, ctx.Err()
}

// images answers for the registry.
type images struct{ known map[string]Image }

func (i images) ResolveImageConfig(_ context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	want := platforms.DefaultSpec()
	if opt.ImageOpt != nil && opt.ImageOpt.Platform != nil {
		want = *opt.ImageOpt.Platform
	}
	img, _ := i.find(ref)
	if img.Platform != "" {
		p, err := platforms.Parse(img.Platform)
		if err != nil {
			return "", "", nil, err
		}
		want = p
	}
	cfg := dockerspec.DockerOCIImage{Image: ocispecs.Image{Platform: want}}
	cfg.RootFS.DiffIDs = []digest.Digest{digest.FromString(ref)} // an image without a layer is taken for scratch
	cfg.Config.Env = img.Env
	cfg.Config.User = img.User
	cfg.Config.WorkingDir = img.WorkingDir
	cfg.Config.Shell = img.Shell
	cfg.Config.OnBuild = img.OnBuild
	dt, err := json.Marshal(cfg)
	return ref, "", dt, err
}

// find is what is known of an image: what the caller knows, or else the table of common ones.
func (i images) find(ref string) (Image, bool) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return Image{}, false
	}
	full := reference.TagNameOnly(named).String()
	for name, img := range i.known {
		if other, err := reference.ParseNormalizedNamed(name); err == nil && reference.TagNameOnly(other).String() == full {
			return img, true
		}
	}
	img, ok := common()[reference.FamiliarName(named)]
	return img, ok
}

// memory is a gateway that has a .dockerignore, and nothing else.
type memory struct {
	images
	opts   map[string]string
	ignore []byte
}

// The capabilities of this BuildKit, all of them.
var (
	gatewayCaps = sync.OnceValue(func() apicaps.CapSet { return gwpb.Caps.CapSet(gwpb.Caps.All()) })
	llbCaps     = sync.OnceValue(func() apicaps.CapSet { return pb.Caps.CapSet(pb.Caps.All()) })
)

var errNone = errors.New("there is no daemon behind the linter")

func (m *memory) BuildOpts() gateway.BuildOpts {
	return gateway.BuildOpts{
		Opts:    m.opts,
		Caps:    gatewayCaps(),
		LLBCaps: llbCaps(),
		Workers: []gateway.WorkerInfo{{Platforms: []ocispecs.Platform{platforms.Normalize(platforms.DefaultSpec())}}},
	}
}

// Solve is asked for the build context, to read the .dockerignore from it.
func (m *memory) Solve(context.Context, gateway.SolveRequest) (*gateway.Result, error) {
	res := gateway.NewResult()
	res.SetRef(ignoreOnly{m.ignore})
	return res, nil
}

func (m *memory) ResolveSourceMetadata(context.Context, *pb.SourceOp, sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	return nil, errNone
}

func (m *memory) Inputs(context.Context) (map[string]llb.State, error) { return nil, nil }

func (m *memory) NewContainer(context.Context, gateway.NewContainerRequest) (gateway.Container, error) {
	return nil, errNone
}

func (m *memory) Warn(context.Context, digest.Digest, string, gateway.WarnOpts) error { return nil }

// ignoreOnly is a filesystem with a .dockerignore.
type ignoreOnly struct{ text []byte }

func (r ignoreOnly) ToState() (llb.State, error)    { return llb.Scratch(), nil }
func (r ignoreOnly) Evaluate(context.Context) error { return nil }

func (r ignoreOnly) ReadFile(_ context.Context, req gateway.ReadRequest) ([]byte, error) {
	if req.Filename != dockerui.DefaultDockerignoreName {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(r.text), nil
}

func (r ignoreOnly) StatFile(_ context.Context, req gateway.StatRequest) (*fstypes.Stat, error) {
	if req.Path != dockerui.DefaultDockerignoreName {
		return nil, fs.ErrNotExist
	}
	return &fstypes.Stat{Path: req.Path, Size: int64(len(r.text))}, nil
}

func (r ignoreOnly) ReadDir(context.Context, gateway.ReadDirRequest) ([]*fstypes.Stat, error) {
	return nil, fs.ErrNotExist
}
