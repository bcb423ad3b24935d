package builder

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// rootSize bounds the builder's own root, a tmpfs: sockets, mount points, small
// files. What builds write lies on the state filesystem.
const rootSize = "size=64m,nr_inodes=64k,mode=755"

// makeRoot turns the mount namespace that was copied from the host into the
// builder's: the given mounts, fresh kernel filesystems, and nothing else.
func makeRoot(s *setup, mounts []*os.File) error {
	// Only now is this process in its own cgroup, which so becomes the root of
	// the cgroup namespace.
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("enter a cgroup namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	const base = "/tmp" // any folder; only this process sees it
	if err := unix.Mount("root", base, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, rootSize); err != nil {
		return fmt.Errorf("mount the root: %w", err)
	}
	for i, target := range s.Mounts {
		if err := attach(mounts[i], base+target); err != nil {
			return err
		}
		mounts[i].Close()
	}
	// These must be mounted while the host's are in sight: the kernel allows a
	// user namespace no more of them than it can see already.
	if err := mountKernel(base, s.Cgroups); err != nil {
		return err
	}
	if err := enter(base); err != nil {
		return err
	}
	for path, target := range s.Links {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(target, path); err != nil {
			return err
		}
	}
	for path, f := range s.Files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(f.Text), f.Mode); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/tmp", "/run", "/var/tmp"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod("/tmp", 0o777|os.ModeSticky); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte("builder")); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring the loopback up: %w", err)
	}
	return nil
}

// attach hangs a detached mount at target, a folder or a file as the mount is.
func attach(mount *os.File, target string) error {
	info, err := mount.Stat()
	if err != nil {
		return fmt.Errorf("mount for %s: %w", target, err)
	}
	dir := target
	if !info.IsDir() {
		dir = filepath.Dir(target)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if !info.IsDir() {
		if err := os.WriteFile(target, nil, 0o644); err != nil {
			return err
		}
	}
	if err := unix.MoveMount(int(mount.Fd()), "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "move_mount", Path: target, Err: err}
	}
	return nil
}

// mountKernel mounts what the kernel makes, seen from these namespaces.
func mountKernel(base string, cgroups []string) error {
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	type mount struct {
		fstype, target string
		flags          uintptr
		options        string
	}
	mounts := []mount{
		{"proc", "/proc", flags, ""},
		{"sysfs", "/sys", flags, ""},
		{"devpts", "/dev/pts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"},
		{"tmpfs", "/dev/shm", flags, "size=16m,mode=1777"},
	}
	if unified() {
		mounts = append(mounts, mount{"cgroup2", "/sys/fs/cgroup", flags, ""})
	} else {
		mounts = append(mounts, mount{"tmpfs", "/sys/fs/cgroup", flags, "size=64k,mode=755"})
		for _, c := range cgroups {
			mounts = append(mounts, mount{"cgroup", "/sys/fs/cgroup/" + c, flags, c})
		}
	}
	for _, m := range mounts {
		if err := os.MkdirAll(base+m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.fstype, base+m.target, m.fstype, m.flags, m.options); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.fstype, m.target, err)
		}
	}
	return nil
}

// enter makes base the root and forgets the host's.
func enter(base string) error {
	old := filepath.Join(base, ".old")
	if err := os.Mkdir(old, 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(base, old); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/.old", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the host's root: %w", err)
	}
	return os.Remove("/.old")
}

// unified reports whether the machine has cgroup v2 alone.
func unified() bool {
	data, err := os.ReadFile("/proc/self/cgroup")
	return err == nil && strings.HasPrefix(string(data), "0::")
}
