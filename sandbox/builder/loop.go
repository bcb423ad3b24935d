package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	loopMajor = 7  // block devices /dev/loopN: Documentation/admin-guide/devices.txt
	loopTries = 20 // another process may take the free number first
)

// attachLoop makes image a block device and opens it. The device frees itself
// when its last user is gone: the returned file and whatever is mounted on it.
// The returned file's name is the device's path.
func attachLoop(image *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("loop devices: %w (load the kernel module loop, or give the container /dev/loop-control)", err)
	}
	defer control.Close()
	for range loopTries {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("find a free loop device: %w", err)
		}
		device, err := openLoop(n)
		if err != nil {
			return nil, err
		}
		config := unix.LoopConfig{
			Fd:   uint32(image.Fd()),
			Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO},
		}
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, nil
		}
		device.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("set up %s: %w", device.Name(), err)
		}
	}
	return nil, errors.New("no free loop device")
}

// openLoop opens /dev/loopN and makes the node where a container has none.
func openLoop(n int) (*os.File, error) {
	path := fmt.Sprintf("/dev/loop%d", n)
	device, err := os.OpenFile(path, os.O_RDWR, 0)
	if !errors.Is(err, os.ErrNotExist) {
		return device, err
	}
	if err := unix.Mknod(path, unix.S_IFBLK|0o600, int(unix.Mkdev(loopMajor, uint32(n)))); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, &os.PathError{Op: "mknod", Path: path, Err: err}
	}
	return os.OpenFile(path, os.O_RDWR, 0)
}

// A fileID tells one file of the machine from all others.
type fileID struct{ device, inode uint64 }

func idOf(f *os.File) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fileID{}, &os.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	return fileID{st.Dev, st.Ino}, nil
}

// waitDetached waits until no loop device holds the file any longer, that is,
// until the filesystem on it is really unmounted: the kernel finishes that in
// its own time after the last process is gone.
func waitDetached(ctx context.Context, file fileID) error {
	for {
		device, err := holder(file)
		if err != nil || device == "" {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is still in use: %w", device, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// holder finds the loop device on a file; "" if there is none.
func holder(file fileID) (device string, err error) {
	attached, err := filepath.Glob("/sys/block/loop*/loop")
	if err != nil {
		return "", err
	}
	for _, dir := range attached {
		device := "/dev/" + filepath.Base(filepath.Dir(dir))
		f, err := os.Open(device)
		if errors.Is(err, os.ErrNotExist) {
			continue // not this container's
		}
		if err != nil {
			return "", err
		}
		info, err := unix.IoctlLoopGetStatus64(int(f.Fd()))
		f.Close()
		if err != nil {
			continue // ENXIO: just detached
		}
		if (fileID{info.Device, info.Inode}) == file {
			return device, nil
		}
	}
	return "", nil
}
