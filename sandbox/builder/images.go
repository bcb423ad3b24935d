package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// images holds the filesystem images of all builders: one file each, bounded
// by its size, without a name, so that it is gone with its last user; and the
// template that new ones are cloned from.
//
// They lie on a filesystem of their own, XFS in one sparse file, for two
// reasons: its size bounds all builders together, and a clone there is a
// reflink that takes no time and no space. The pool too is mounted on a
// descriptor only.
type images struct {
	dir      *os.File // where images lie
	pool     fileID   // the pool's file; zero without a pool
	template string   // name of the template's file; "" when none is wanted
	log      *slog.Logger
}

const poolFile = "pool.xfs"

// openImages opens the pool in dir, made if needed. Where the machine has no
// XFS the images lie in dir itself, and clones are copies.
func openImages(ctx context.Context, dir, template string, size int64, log *slog.Logger) (*images, error) {
	im := &images{log: log}
	if template != "" {
		im.template = "template-" + template
	}
	if err := im.openPool(ctx, filepath.Join(dir, poolFile), size); err != nil {
		log.Warn("no pool with reflinks: each builder copies the template and only its own size is bounded", "err", err)
		if im.dir, err = os.Open(dir); err != nil {
			return nil, err
		}
	}
	if err := im.dropOldTemplates(); err != nil {
		return nil, errors.Join(err, im.close())
	}
	return im, nil
}

func (im *images) openPool(ctx context.Context, path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	id, err := idOf(f)
	if err != nil {
		return err
	}
	// A second mount beside that of a server that has just died would destroy it.
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	if err := waitDetached(ctx, id); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == size {
		err = im.mountPool(f)
	}
	if info.Size() != size || err != nil {
		im.log.Info("making the pool of builders' filesystems", "path", path, "bytes", size, "because", err)
		err = im.makePool(ctx, f, size)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	im.pool = id
	return nil
}

func (im *images) makePool(ctx context.Context, f *os.File, size int64) error {
	var disk unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &disk); err != nil {
		return err
	}
	if free := int64(disk.Bavail) * disk.Bsize; free < size {
		im.log.Warn("the disk holds less than builders may fill", "free", free, "pool", size)
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	if err := f.Truncate(size); err != nil {
		return err
	}
	if err := mkfs(ctx, f, "mkfs.xfs", "-q", "-f", "-m", "reflink=1", "-K"); err != nil {
		return err
	}
	return im.mountPool(f)
}

func (im *images) mountPool(f *os.File) error {
	device, err := attachLoop(f)
	if err != nil {
		return err
	}
	defer device.Close() // the mount holds it from here
	// discard gives the space of removed images back to the machine.
	mount, err := mountDevice("xfs", device.Name(), map[string]string{"discard": ""})
	if err != nil {
		return err
	}
	defer mount.Close() // an open folder in it holds it as well
	fd, err := unix.Openat(int(mount.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the pool: %w", err)
	}
	im.dir = os.NewFile(uintptr(fd), "pool")
	return nil
}

// close unmounts the pool. All builders must have ended.
func (im *images) close() error {
	if err := im.dir.Close(); err != nil || im.pool == (fileID{}) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	return waitDetached(ctx, im.pool)
}

// dropOldTemplates removes templates of other names.
func (im *images) dropOldTemplates() error {
	names, err := im.dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, "template-") && name != im.template {
			if err := unix.Unlinkat(int(im.dir.Fd()), name, 0); err != nil {
				return fmt.Errorf("remove old template: %w", err)
			}
		}
	}
	return nil
}

// openTemplate opens the template; os.ErrNotExist when there is none yet.
func (im *images) openTemplate() (*os.File, error) {
	if im.template == "" {
		return nil, os.ErrNotExist
	}
	fd, err := unix.Openat(int(im.dir.Fd()), im.template, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), im.template), nil
}

// create makes an image of at most size bytes: a clone of the template, if
// there is one and it is wanted, or an empty filesystem.
func (im *images) create(ctx context.Context, size int64, fromTemplate bool) (*os.File, error) {
	fd, err := unix.Openat(int(im.dir.Fd()), ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create an image: %w", err)
	}
	image := os.NewFile(uintptr(fd), "image")
	if fromTemplate {
		template, err := im.openTemplate()
		if err == nil {
			defer template.Close()
			err = clone(image, template)
		}
		if err == nil {
			return image, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			image.Close()
			return nil, fmt.Errorf("clone the template: %w", err)
		}
	}
	if err := image.Truncate(size); err != nil {
		image.Close()
		return nil, err
	}
	// No journal: an image never outlives its builder, but for the template,
	// which is unmounted before it is kept.
	err = mkfs(ctx, image, "mkfs.ext4", "-q", "-F", "-m", "0", "-i", "8192",
		"-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard,root_owner=0:0")
	if err != nil {
		image.Close()
		return nil, err
	}
	return image, nil
}

// keep makes image, which nothing uses any more, the template.
func (im *images) keep(image *os.File) error {
	if err := image.Sync(); err != nil {
		return err
	}
	const fresh = "fresh"
	if err := unix.Unlinkat(int(im.dir.Fd()), fresh, 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	path := fmt.Sprintf("/proc/self/fd/%d", image.Fd())
	if err := unix.Linkat(unix.AT_FDCWD, path, int(im.dir.Fd()), fresh, unix.AT_SYMLINK_FOLLOW); err != nil {
		return fmt.Errorf("name the template: %w", err)
	}
	if err := unix.Renameat(int(im.dir.Fd()), fresh, int(im.dir.Fd()), im.template); err != nil {
		return fmt.Errorf("name the template: %w", err)
	}
	return im.dir.Sync()
}

// clone makes dst the same as src: by reflink, or else by copying the parts
// that hold data.
func clone(dst, src *os.File) error {
	err := unix.IoctlFileClone(int(dst.Fd()), int(src.Fd()))
	if err == nil || !(errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL)) {
		return err
	}
	info, err := src.Stat()
	if err != nil {
		return err
	}
	for at := int64(0); at < info.Size(); {
		from, err := unix.Seek(int(src.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // only a hole is left
		}
		if err != nil {
			return err
		}
		to, err := unix.Seek(int(src.Fd()), from, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(dst, from), io.NewSectionReader(src, from, to-from)); err != nil {
			return err
		}
		at = to
	}
	return dst.Truncate(info.Size())
}

// mountImage attaches and mounts an image.
func mountImage(image *os.File) (*os.File, error) {
	loop, err := attachLoop(image)
	if err != nil {
		return nil, err
	}
	defer loop.Close() // the mount holds it from here
	// Nothing here needs to survive a power cut, so the disk is never flushed.
	return mountDevice("ext4", loop.Name(), map[string]string{"nobarrier": "", "noinit_itable": "", "discard": ""})
}

func mkfs(ctx context.Context, image *os.File, argv ...string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], append(argv[1:], "/proc/self/fd/3")...)
	cmd.ExtraFiles = []*os.File{image}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", argv[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}
