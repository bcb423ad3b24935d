package builder

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A builder's filesystem is put together from detached mounts: mounts that
// hang in no directory tree, held by a file descriptor alone. The host makes
// them, since only it may; the child hangs them into its own root. The host's
// mount table never changes, no host path is needed inside, and when the last
// descriptor and the last process are gone the kernel unmounts by itself.

// copyTree opens a detached, read-only copy of what is mounted at path, which
// may be a folder or a file.
func copyTree(path string) (*os.File, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return nil, &os.PathError{Op: "open_tree", Path: path, Err: err}
	}
	tree := os.NewFile(uintptr(fd), path)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID, Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		tree.Close()
		return nil, &os.PathError{Op: "mount_setattr", Path: path, Err: err}
	}
	return tree, nil
}

// mountDevice opens a detached mount of the filesystem on a block device.
// A flag has the value "".
func mountDevice(fstype, device string, options map[string]string) (*os.File, error) {
	fail := func(op string, err error) (*os.File, error) {
		return nil, fmt.Errorf("mount %s on %s: %s: %w", fstype, device, op, err)
	}
	conf, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fail("fsopen", err)
	}
	defer unix.Close(conf)
	if err := unix.FsconfigSetString(conf, "source", device); err != nil {
		return fail("source", err)
	}
	for key, value := range options {
		if value == "" {
			err = unix.FsconfigSetFlag(conf, key)
		} else {
			err = unix.FsconfigSetString(conf, key, value)
		}
		if err != nil {
			return fail(key, err)
		}
	}
	if err := unix.FsconfigCreate(conf); err != nil {
		return fail("create", err)
	}
	fd, err := unix.Fsmount(conf, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOATIME)
	if err != nil {
		return fail("fsmount", err)
	}
	return os.NewFile(uintptr(fd), device), nil
}

// mapOwners makes the owners on a detached mount those of the user namespace
// of process pid: what is stored as 0 belongs to its root. So one template
// serves builders of any uid range. Needs Linux 5.19 for overlayfs above it.
func mapOwners(mount *os.File, pid int) error {
	users, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
	if err != nil {
		return fmt.Errorf("map owners: %w", err)
	}
	defer users.Close()
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(users.Fd())}
	if err := unix.MountSetattr(int(mount.Fd()), "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("map owners: mount_setattr: %w", err)
	}
	return nil
}
