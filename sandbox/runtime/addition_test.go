package runtime

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const bundleText = "-----BEGIN CERTIFICATE-----\ntheirs\n-----END CERTIFICATE-----\n"

// overlaid mounts an image whose layers have a bundle, as BuildKit mounts a
// container's root, and returns the bundle as the layers have it.
func overlaid(t *testing.T, s settings, bundle string) (rootfs string, below os.FileInfo) {
	t.Helper()
	const name = "etc/ssl/certs/ca-certificates.crt"
	snapshots := filepath.Join(s.state, "snapshots")
	for i := range 3 {
		for _, dir := range []string{"fs/etc/ssl/certs", "work"} {
			if err := os.MkdirAll(filepath.Join(snapshots, string('1'+rune(i)), dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	old := time.Date(2020, 2, 3, 4, 5, 6, 789, time.UTC)
	for layer, text := range map[string]string{"1": "older", "2": bundleText} {
		path := filepath.Join(snapshots, layer, "fs", name)
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	below, err := os.Stat(filepath.Join(snapshots, "2/fs", name))
	if err != nil {
		t.Fatal(err)
	}
	rootfs = filepath.Join(bundle, "rootfs")
	t.Chdir(snapshots) // as containerd does where there are many layers
	if err := syscall.Mount("overlay", rootfs, "overlay", 0, "index=off,lowerdir=2/fs:1/fs,upperdir="+snapshots+"/3/fs,workdir="+snapshots+"/3/work"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(rootfs, 0); err != nil {
			t.Error(err)
		}
	})
	return rootfs, below
}

// What BuildKit adds to a bundle leaves no trace, unless the container changed
// the bundle: then it is BuildKit's to find its own part in it.
func TestAddition(t *testing.T) {
	for name, c := range map[string]struct {
		script string // of the container
		code   int
		kept   bool // the bundle is as the container and BuildKit left it
	}{
		"nothing":   {"true", 0, false},
		"failure":   {"exit 3", 3, false},
		"signal":    {"kill -9 $$", 137, false},
		"reading":   {"cat $BUNDLE", 0, false},
		"appending": {"echo more >>$BUNDLE", 0, true},
		"touching":  {"touch -d 2001-01-01 $BUNDLE", 0, true},
		"mode":      {"chmod 600 $BUNDLE", 0, true},
		"same":      {"cp $BUNDLE /dev/shm/h; cat /dev/shm/h >$BUNDLE; rm /dev/shm/h", 0, true},
		"replacing": {"cp -p $BUNDLE $BUNDLE.new; mv $BUNDLE.new $BUNDLE", 0, true},
		"removing":  {"rm $BUNDLE", 0, true},
		"link":      {"rm $BUNDLE; ln -s /etc/passwd $BUNDLE", 0, true},
		"folder":    {"rm $BUNDLE; mkdir $BUNDLE", 0, true},
		"above":     {"rm -r ${BUNDLE%/*}; ln -s / ${BUNDLE%/*}", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, bundle, spec := usual(t, t.TempDir())
			rootfs, below := overlaid(t, s, bundle)
			path := filepath.Join(rootfs, "etc/ssl/certs/ca-certificates.crt")
			whole := bundleText + beginMark + "ours\n" + endMark
			if err := os.WriteFile(path+".new", []byte(whole), 0o640); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
			spec.Process.Env = append(spec.Process.Env, "HTTPS_PROXY=http://10.89.0.1:1")
			if err := writeJSON(filepath.Join(bundle, "config.json"), spec); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond) // the grain of a change time; a container takes longer to start
			fake := filepath.Join(s.state, "runc")
			if err := os.WriteFile(fake, []byte("#!/bin/sh\n"+c.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0], "runtime", "-runc="+fake, "-state="+s.state, "-trust="+s.trust, "--", "run", "--bundle", bundle, "id")
			cmd.Env = append(os.Environ(), "BUNDLE="+path)
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != c.code || strings.Contains(string(out), "runtime:") {
				t.Errorf("exit code %d, want %d: %s", code, c.code, out)
			}
			after, err := os.Lstat(path)
			same := err == nil && after.Mode() == below.Mode() && after.Size() == below.Size() && after.ModTime().Equal(below.ModTime())
			if same == c.kept {
				t.Errorf("the bundle is %+v, below it is %+v", after, below)
			}
			if text, err := os.ReadFile(path); same && (err != nil || string(text) != bundleText) {
				t.Errorf("the bundle holds %q, %v", text, err)
			}
		})
	}
}

// A bundle that is not that of the layers below is left alone.
func TestAdditionToAnotherBundle(t *testing.T) {
	s, bundle, _ := usual(t, t.TempDir())
	rootfs, _ := overlaid(t, s, bundle)
	path := filepath.Join(rootfs, "etc/ssl/certs/ca-certificates.crt")
	for _, text := range []string{"other" + beginMark + "ours\n" + endMark, bundleText + beginMark + "ours\n" + endMark + "more"} {
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(rootfs)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		if found := findCA(root); found != nil && newAddition(root, found) != nil {
			t.Errorf("%q would be changed", text)
		}
	}
}

// Signals reach the container, and its exit code comes back.
func TestSignals(t *testing.T) {
	s, bundle, spec := usual(t, t.TempDir())
	if err := writeJSON(filepath.Join(bundle, "config.json"), spec); err != nil {
		t.Fatal(err)
	}
	fake := filepath.Join(s.state, "runc")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\ntrap 'exit 9' TERM\necho ready\nwhile :; do sleep 0.01; done\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "runtime", "-runc="+fake, "-state="+s.state, "--", "run", "--bundle", bundle, "id")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 9 {
		t.Errorf("exit code %d", code)
	}
}

// Nothing survives a wrapper that is killed.
func TestKilled(t *testing.T) {
	s, bundle, spec := usual(t, t.TempDir())
	if err := writeJSON(filepath.Join(bundle, "config.json"), spec); err != nil {
		t.Fatal(err)
	}
	fake := filepath.Join(s.state, "runc")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\necho ready\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "runtime", "-runc="+fake, "-state="+s.state, "--", "run", "--bundle", bundle, "id")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The pipe ends with the last process that holds it.
	if n, err := out.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
	_ = cmd.Wait()
}

func TestLayersBelow(t *testing.T) {
	for options, want := range map[string][]string{
		"rw,lowerdir=/s/2/fs:/s/1/fs,upperdir=/s/3/fs,workdir=/s/3/work,index=off": {"/s/2/fs", "/s/1/fs"},
		"rw,lowerdir=12/fs:1/fs,upperdir=/s/snapshots/3/fs,workdir=/s/3/work":      {"/s/snapshots/12/fs", "/s/snapshots/1/fs"},
		"rw,upperdir=/s/3/fs": nil,
		"rw":                  nil,
	} {
		if got := layersBelow(options); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", options, got, want)
		}
	}
}
