package buildkit

import (
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/identity"
	"github.com/moby/buildkit/session"
	"github.com/tonistiigi/fsutil"

	"slipway/server/dockerfile"
	"slipway/server/play"
)

// Agent is the hidden agent command: it reads what to build from stdin, builds it with the daemon and writes what
// happens to out. It runs inside the builder, because it parses what strangers wrote: whatever that makes of it, only
// the builder suffers. It may be started before there is something to build. It returns the exit code; a failed
// build is no failure of the agent.
func Agent(ctx context.Context, in Inside, stdin io.Reader, out io.Writer) int {
	c, err := client.New(ctx, in.Daemon)
	if err != nil {
		fmt.Fprintln(os.Stderr, "connect to the daemon:", err)
		return 1
	}
	defer c.Close()
	learnt := make(chan struct{})
	go func() {
		defer close(learnt)
		if err := in.learn(ctx, c); err != nil { // there may be no step that needs it
			fmt.Fprintln(os.Stderr, "learn the network proxy's certificate:", err)
		}
	}()

	var s spec
	if err := gob.NewDecoder(stdin).Decode(&s); err != nil {
		return 2
	}
	facts := newSink()
	written := make(chan error, 1)
	go func() { written <- facts.run(out) }()
	res := build(ctx, c, disk(in.State), learnt, s, facts.add)
	facts.close()
	if err := <-written; err != nil {
		return 1
	}
	res.Kind, res.Spent = resultKind, res.Spent || disk(in.State).spent()
	if json.NewEncoder(out).Encode(res) != nil {
		return 1
	}
	return 0
}

// build never fails: what goes wrong is part of the result. It solves nothing before learnt is closed.
func build(ctx context.Context, c *client.Client, d disk, learnt <-chan struct{}, s spec, emit func(play.Fact)) result {
	b := s.Build
	f, err := newFiles(b.Revision, b.Request.File(), b.Created.Truncate(time.Second))
	if err != nil {
		return refused(err)
	}
	if err := dockerfile.Preflight(f.path, f.dockerfile, b.Request.BuildArgs, b.Limits); err != nil {
		return refused(err)
	}
	outline := dockerfile.Parse(f.dockerfile)
	if err := f.parse(outline); err != nil {
		return refused(err)
	}
	plan, err := outline.Plan(b.Request.Target, b.Request.BuildArgs)
	if err != nil {
		return refused(err)
	}

	if err := d.makeRoom(ctx, c); err != nil {
		res := broken(fmt.Errorf("make room on the disk: %w", err))
		res.Spent = true
		return res
	}
	w := &work{learnt: learnt, disk: d, build: b, files: f, outline: outline, plan: &plan, image: s.Registry + "/" + imageName(b.Job) + ":latest", emit: emit}
	updates := make(chan *client.SolveStatus, 64)
	read := make(chan struct{})
	go func() {
		defer close(read)
		newStatus(b, emit).run(updates)
	}()
	resp, err := c.Build(ctx, client.SolveOpt{
		SharedKey:    identity.NewID(), // no other build's files are a base for this one's transfer
		LocalMounts:  map[string]fsutil.FS{dockerui.DefaultLocalNameContext: f.context},
		Session:      []session.Attachable{pushCredentials{host: s.Registry, user: b.Job, password: s.Password}},
		ProxyNetwork: true,
		Exports: []client.ExportEntry{{Type: client.ExporterImage, Attrs: map[string]string{
			string(exptypes.OptKeyName):     w.image,
			string(exptypes.OptKeyPush):     "true", // over plain HTTP, as the daemon's configuration has it for this registry
			string(exptypes.OptKeyStore):    "false",
			string(exptypes.OptKeyOCITypes): "true",
			// zstd is faster still, but clients that turn an image into Docker's own format refuse it.
			string(exptypes.OptKeyLayerCompression): "gzip",
			string(exptypes.OptKeyCompressionLevel): "1",
		}}},
	}, "slipway", w.run, updates)
	<-read
	if err != nil {
		return w.failed(err)
	}
	return result{
		Finished: play.Finished{Outcome: play.OK},
		Image: &pushed{
			Digest: resp.ExporterResponse[exptypes.ExporterImageDigestKey], Platform: w.platform,
			Config: imageConfig(w.config), Steps: w.join.layers(),
		},
	}
}

// refused is the result of what is wrong before the daemon sees it.
func refused(err error) result {
	var e *play.Error
	if !errors.As(err, &e) || e.Kind == play.Internal {
		return broken(err)
	}
	end := play.Finished{Outcome: play.Failed, Message: e.Msg, At: e.At}
	if e.Kind == play.Limited {
		end.Outcome = play.LimitHit
	}
	return result{Finished: end}
}

func broken(err error) result {
	return result{
		Finished: play.Finished{Outcome: play.Broken, Message: "The build could not be done because of a fault on our side. Trying again may help."},
		Internal: err.Error(),
	}
}

// noCache marks every step to run whatever the cache has, as BuildKit's own frontend does for no-cache. It is part
// of the metadata, not of the digests.
func noCache(def *llb.Definition, all ops) {
	for d, op := range all {
		if op.GetExec() == nil && op.GetFile() == nil {
			continue
		}
		meta := def.Metadata[d]
		meta.IgnoreCache = true
		def.Metadata[d] = meta
	}
}
