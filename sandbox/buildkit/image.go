package buildkit

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"slipway/server/play"
)

const (
	maxConfig = 4 << 20   // bytes of a manifest or of an image's configuration
	maxUnpack = 512 << 20 // bytes of one layer's tar that are read to count its files
	maxCounts = 4096      // layers whose counts are remembered
)

// exported reads back what the build pushed: the layers, joined to the steps that made them.
func (b *Builder) exported(ctx context.Context, job string, p pushed) (play.Exported, error) {
	name := imageName(job)
	raw, err := b.Images.Manifest(ctx, name, p.Digest)
	if err != nil {
		return play.Exported{}, err
	}
	var manifest ocispecs.Manifest
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return play.Exported{}, fmt.Errorf("manifest: %w", err)
	}
	var config ocispecs.Image
	if err := b.readJSON(ctx, name, manifest.Config.Digest.String(), &config); err != nil {
		return play.Exported{}, fmt.Errorf("configuration: %w", err)
	}
	out := play.Exported{Image: name, Digest: p.Digest, Platform: p.Platform, Config: p.Config}
	var history []ocispecs.History
	for _, h := range config.History {
		if !h.EmptyLayer {
			history = append(history, h)
		}
	}
	base := len(manifest.Layers) - len(p.Steps) // layers that came with the base image
	for i, desc := range manifest.Layers {
		l := play.Layer{Digest: desc.Digest.String(), Size: desc.Size}
		if i < len(config.RootFS.DiffIDs) {
			l.DiffID = config.RootFS.DiffIDs[i].String()
		}
		if i < len(history) {
			l.CreatedBy = clip(history[i].CreatedBy, 1000)
		}
		if i >= base && base >= 0 {
			l.Step = p.Steps[i-base]
		}
		if l.Unpacked, l.Files, err = b.layers.of(ctx, desc.Digest.String(), func() (io.ReadCloser, error) {
			return b.Images.Blob(ctx, name, desc.Digest.String())
		}); err != nil {
			return play.Exported{}, fmt.Errorf("layer %s: %w", desc.Digest, err)
		}
		out.Size += l.Size
		out.Layers = append(out.Layers, l)
	}
	return out, nil
}

func (b *Builder) readJSON(ctx context.Context, name, digest string, to any) error {
	blob, err := b.Images.Blob(ctx, name, digest)
	if err != nil {
		return err
	}
	defer blob.Close()
	return json.NewDecoder(io.LimitReader(blob, maxConfig)).Decode(to)
}

// layerCounts remembers how many bytes and files layers unpack to: a layer never changes.
type layerCounts struct {
	mu    sync.Mutex
	known map[string]layerCount
}

type layerCount struct {
	bytes int64
	files int
}

func (c *layerCounts) of(ctx context.Context, digest string, open func() (io.ReadCloser, error)) (int64, int, error) {
	c.mu.Lock()
	n, ok := c.known[digest]
	c.mu.Unlock()
	if ok {
		return n.bytes, n.files, nil
	}
	blob, err := open()
	if err != nil {
		return 0, 0, err
	}
	defer blob.Close()
	if n, err = count(ctx, blob); err != nil {
		return 0, 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxCounts {
		c.known = map[string]layerCount{}
	}
	c.known[digest] = n
	return n.bytes, n.files, nil
}

// errTooBig ends the count of a layer that is larger than we read.
var errTooBig = errors.New("larger than is read")

// count reads a layer through. One that is larger than maxUnpack counts as unknown: zero.
func count(ctx context.Context, blob io.Reader) (layerCount, error) {
	plain, err := decompress(blob)
	if err != nil {
		return layerCount{}, err
	}
	defer plain.Close()
	counted := &counter{ctx: ctx, r: plain}
	var n layerCount
	entries := tar.NewReader(counted)
	for {
		_, err := entries.Next()
		switch {
		case errors.Is(err, io.EOF):
			_, err = io.Copy(io.Discard, counted) // what pads the end
			n.bytes = counted.n
			if err == nil {
				return n, nil
			}
		case err == nil:
			n.files++
			continue
		}
		if errors.Is(err, errTooBig) {
			return layerCount{}, nil
		}
		return layerCount{}, err
	}
}

// counter counts what is read of a layer's tar, up to the bound and while the build may still run.
type counter struct {
	ctx context.Context
	r   io.Reader
	n   int64
}

func (c *counter) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	if c.n += int64(n); c.n > maxUnpack {
		return n, errTooBig
	}
	return n, err
}

// decompress reads gzip, zstd or plain, by the first bytes.
func decompress(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	magic, err := buffered.Peek(4)
	switch {
	case len(magic) >= 2 && magic[0] == 0x1f && magic[1] == 0x8b:
		return gzip.NewReader(buffered)
	case len(magic) == 4 && string(magic) == "\x28\xb5\x2f\xfd":
		z, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	}
	return io.NopCloser(buffered), nil
}
