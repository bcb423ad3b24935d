package buildkit

import (
	"context"

	"github.com/moby/buildkit/client"
	"golang.org/x/sys/unix"
)

// disk is a folder of the filesystem on which a daemon keeps all that it has.
type disk string

// Shares of the disk's bytes or files that are free.
const (
	fullBelow = 1. / 200 // a little is left of what a writer had no use for
	lowBelow  = 1. / 10  // as little as the daemon leaves by itself, within a minute after a build
	roomy     = 1. / 4
)

// room is what is left on a disk.
type room struct {
	bytes, files float64 // shares that are free
	size         int64   // bytes there are
}

func (d disk) room() (room, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(string(d), &fs); err != nil {
		return room{}, err
	}
	r := room{bytes: float64(fs.Bavail) / float64(max(1, fs.Blocks)), files: 1, size: int64(fs.Blocks) * fs.Bsize}
	if fs.Files > 0 { // some filesystems have no bound
		r.files = float64(fs.Ffree) / float64(fs.Files)
	}
	return r, nil
}

// full reports whether nothing more can be written.
func (d disk) full() bool {
	r, err := d.room()
	return err == nil && min(r.bytes, r.files) < fullBelow
}

// spent reports whether the daemon can't be helped: it has no room to work in, or so many files that dropping them
// would take longer than a new daemon.
func (d disk) spent() bool {
	r, err := d.room()
	return err == nil && (r.bytes < fullBelow || r.files < lowBelow)
}

// makeRoom drops what builds left in the daemon's cache when little room is left, so that the next one doesn't fail
// for it: first what was not used for longest.
func (d disk) makeRoom(ctx context.Context, c *client.Client) error {
	r, err := d.room()
	if err != nil || r.bytes >= lowBelow {
		return err
	}
	return c.Prune(ctx, nil, client.WithKeepOpt(0, 0, 0, int64(roomy*float64(r.size))))
}
