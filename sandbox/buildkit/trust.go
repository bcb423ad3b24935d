package buildkit

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
)

// Inside is what an agent finds in its builder.
type Inside struct {
	Daemon string // address
	CA     string // file with the certificate of the daemon's network proxy, once a container has run Teach
	Teach  string // command
	State  string // folder of the daemon's state, which has a filesystem of its own
}

// learn makes the builder know the certificate of the daemon's network proxy, which the daemon shows only in the
// bundle of an image that has one. Steps in images without a bundle trust the proxy by it.
func (in Inside) learn(ctx context.Context, c *client.Client) error {
	if _, err := os.Stat(in.CA); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	bundle := llb.Mkdir("/etc/ssl", 0o755, llb.WithParents(true)).Mkfile("/etc/ssl/cert.pem", 0o644, nil)
	// Each daemon makes a certificate of its own, whatever is in the cache that it was started with.
	def, err := llb.Scratch().File(bundle).Run(llb.Args([]string{in.Teach}), llb.IgnoreCache).Root().Marshal(ctx)
	if err != nil {
		return err
	}
	_, err = c.Solve(ctx, def, client.SolveOpt{ProxyNetwork: true}, nil)
	return err
}
