package catalog

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// An Archive is a Debian archive as this machine uses it: where it is, and apt's settings that are needed to use it.
type Archive struct {
	Main     string   // URL of the archive
	Security string   // URL of its security updates; "" if the machine has none
	Apt      []string // lines of apt.conf
}

// MachineArchive reads from this machine's apt where its packages come from.
func MachineArchive(ctx context.Context) (Archive, error) {
	out, err := command(ctx, "apt-get", "update", "--print-uris") // changes nothing, asks nobody
	if err != nil {
		return Archive{}, fmt.Errorf("ask apt for its package sources: %w", err)
	}
	a := archiveOf(out)
	if a.Main == "" {
		return Archive{}, fmt.Errorf("apt on this machine has no Debian archive among its sources; name one")
	}
	config, err := command(ctx, "apt-config", "dump", "--format", "%F %v%n", "Acquire::Check-Valid-Until", "Acquire::Check-Date")
	if err != nil {
		return Archive{}, fmt.Errorf("ask apt for its settings: %w", err)
	}
	for line := range strings.Lines(config) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && value != "" {
			a.Apt = append(a.Apt, fmt.Sprintf("%s %q;", key, value))
		}
	}
	return a, nil
}

// archiveOf finds the archives among the URLs that apt would fetch: 'URL' file size, one a line.
func archiveOf(uris string) Archive {
	var a Archive
	for line := range strings.Lines(uris) {
		uri, _, _ := strings.Cut(strings.TrimPrefix(line, "'"), "'")
		base, ok := strings.CutSuffix(uri, "/InRelease")
		base, suite, found := strings.Cut(base, "/dists/")
		switch {
		case !ok || !found || !strings.HasPrefix(uri, "http"):
		case strings.HasSuffix(suite, "-security"):
			a.Security = base
		case a.Main == "" && strings.HasSuffix(base, "/debian"):
			a.Main = base
		}
	}
	return a
}

// debs are the sources of a suite as lines of sources.list.
func (a Archive) debs(suite string) []string {
	lines := []string{"deb " + a.Main + " " + suite + " main"}
	if suite == "forky" { // testing: no updates beside it
		return lines
	}
	lines = append(lines, "deb "+a.Main+" "+suite+"-updates main")
	if a.Security != "" {
		lines = append(lines, "deb "+a.Security+" "+suite+"-security main")
	}
	return lines
}

// sources is the file debian.sources for an image of a suite.
func (a Archive) sources(suite string) string {
	const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
	suites := suite
	if suite != "forky" {
		suites += " " + suite + "-updates"
	}
	s := fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n", a.Main, suites, keyring)
	if suite != "forky" && a.Security != "" {
		s += fmt.Sprintf("\nTypes: deb\nURIs: %s\nSuites: %s-security\nComponents: main\nSigned-By: %s\n", a.Security, suite, keyring)
	}
	return s
}

// mmdebstrap runs it with the folder work for what it leaves behind if it is killed.
func mmdebstrap(ctx context.Context, work string, args ...string) error {
	if err := os.Chmod(work, 0o755); err != nil { // apt downloads as a user without rights
		return err
	}
	cmd := exec.CommandContext(ctx, "mmdebstrap", args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+work)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it cleans up
	cmd.WaitDelay = 10 * time.Second
	_, err := output(cmd)
	return err
}

func command(ctx context.Context, program string, args ...string) (string, error) {
	return output(exec.CommandContext(ctx, program, args...))
}

// output runs a program and gives its output; an error holds the end of what it said.
func output(cmd *exec.Cmd) (string, error) {
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, lastLines(said.String(), 5))
	}
	return out.String(), nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
