package builder_test

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/buildkit/client/llb"

	"slipway/sandbox/builder"
)

// patience bounds what a test waits for; nothing is expected to take so long.
const patience = 20 * time.Second

func TestStep(t *testing.T) {
	c := config(t, t.TempDir())
	e := newEgress(t)
	c.Egress = e.serve
	b := get(t, open(t, c), "a")
	out, errs, err := build(t, b, shell(`
		echo uid=$(id -u)
		echo web=$(wget -q -O- http://example.test/)
		echo denied=$(wget -q -O- http://denied.test/ 2>&1)
		echo processes=$(ulimit -u)
		echo oom=$(cat /proc/self/oom_score_adj)
		echo caps=$(grep CapBnd /proc/self/status)
		echo traces=$(env | grep -c -e OTEL -e TRACE; ls /dev | grep -c otel)
		echo links=$(ls /sys/class/net)
		echo host=$(hostname)
		grep -c . /proc/kallsyms || echo masked`))
	if err != nil {
		t.Fatalf("%v: %s", err, errs)
	}
	for _, want := range []string{
		"uid=0\n", "web=hello from outside\n", "403 Forbidden", "processes=384\n", "oom=1000\n",
		"caps=CapBnd: 00000000800405fb\n", // Docker's default without MKNOD, NET_RAW, AUDIT_WRITE
		"traces=0 0\n", "links=eth0 lo\n", "host=buildkitsandbox\n", "\nmasked\n",
		"- GET http://example.test/ -> 200",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if !slices.Contains(e.requests(), "a GET http://example.test/") {
		t.Errorf("the egress saw only %q", e.requests())
	}
}

// All kinds of mounts that a step can have pass the runtime.
func TestMounts(t *testing.T) {
	c := config(t, t.TempDir())
	b := get(t, open(t, c), "a")
	image := llb.Image("docker.io/library/busybox:latest")
	files := llb.Scratch().File(llb.Mkdir("/dir", 0o755).Mkfile("/dir/file", 0o644, []byte("bound\n")))
	step := image.Run(
		llb.Args([]string{"/bin/sh", "-c", "cat /bound/file; echo kept > /cache/file; echo hello > /scratch/file; mount | grep /scratch; exit $(ls /secret | grep -c .)"}),
		llb.AddMount("/bound", files, llb.SourcePath("/dir"), llb.Readonly),
		llb.AddMount("/cache", llb.Scratch(), llb.AsPersistentCacheDir("cache", llb.CacheMountShared)),
		llb.AddMount("/scratch", llb.Scratch(), llb.Tmpfs()),
		llb.AddSecret("/secret", llb.SecretID("none"), llb.SecretOptional),
	)
	out, errs, err := build(t, b, step.Root())
	if err != nil || !strings.Contains(out, "bound\n") || !strings.Contains(out, "size=262144k") {
		t.Errorf("%v: %s%s", err, out, errs)
	}
	next := image.Run(llb.Args([]string{"/bin/cat", "/cache/file"}), llb.AddMount("/cache", llb.Scratch(), llb.AsPersistentCacheDir("cache", llb.CacheMountShared)))
	if out, errs, err := build(t, b, next.Root()); err != nil || !strings.Contains(out, "kept\n") {
		t.Errorf("the cache: %v: %s%s", err, out, errs)
	}
}

// The daemon itself has no way to the machine's loopback.
func TestDaemonCannotReachTheMachine(t *testing.T) {
	machine := httptest.NewServer(nil)
	defer machine.Close()
	b := get(t, open(t, config(t, t.TempDir())), "a")
	_, errs, err := build(t, b, llb.HTTP(machine.URL+"/secret"))
	if err == nil || !strings.Contains(errs, "connection refused") {
		t.Errorf("ADD %s: %v: %s", machine.URL, err, errs)
	}
	_, errs, err = build(t, b, llb.HTTP("http://10.0.0.1/secret"))
	if err == nil || !strings.Contains(errs, "403") {
		t.Errorf("ADD of a private address: %v: %s", err, errs)
	}
}

func TestOutsideItIsNobody(t *testing.T) {
	c := config(t, t.TempDir())
	p := open(t, c)
	a, b := get(t, p, "a"), get(t, p, "b")
	seen := map[uint32]bool{}
	for _, b := range []*builder.Builder{a, b} {
		hang(t, b)
		out, _, err := run(t, b, nil, "list", "/", "/opt/builder/bin", "/root")
		if err == nil {
			t.Error("/root of the machine is in sight")
		}
		if strings.Contains(out, ".old") || strings.Contains(out, "git") {
			t.Errorf("the builder's root holds:\n%s", out)
		}
	}
	for _, pid := range inside(t, c) {
		info, err := os.Stat("/proc/" + pid)
		if err != nil {
			continue // it has ended
		}
		seen[info.Sys().(*syscall.Stat_t).Uid] = true
	}
	if !seen[c.UIDBase] || !seen[c.UIDBase+65536] {
		t.Errorf("processes of two builders run as %v, wanted %d and %d among them", seen, c.UIDBase, c.UIDBase+65536)
	}
}

func TestAgent(t *testing.T) {
	b := get(t, open(t, config(t, t.TempDir())), "a")
	in := strings.Repeat("0123456789", 100_000)
	out, errs, err := run(t, b, strings.NewReader(in), "echo")
	if err != nil || out != in || !strings.HasPrefix(errs, "0 ") {
		t.Errorf("echo: %v, %d bytes of %d, %q", err, len(out), len(in), errs)
	}
	var exit *builder.ExitError
	if _, _, err = run(t, b, nil, "exit"); !errors.As(err, &exit) || exit.Code != 7 {
		t.Errorf("exit: %v", err)
	}
	p := hang(t, b)
	p.Kill()
	if err := p.Wait(); !errors.As(err, &exit) || exit.Signal != int(syscall.SIGKILL) {
		t.Errorf("killed: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p, err = b.Start(ctx, "agent", "hang")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := p.Wait(); !errors.As(err, &exit) || exit.Signal != int(syscall.SIGKILL) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := b.Start(ctx, "agent", "echo"); !errors.Is(err, context.Canceled) {
		t.Errorf("start with a context that has ended: %v", err)
	}
}

func TestGet(t *testing.T) {
	c := config(t, t.TempDir())
	c.Idle = time.Millisecond
	p := open(t, c)
	var all sync.WaitGroup
	got := make([]*builder.Builder, 8)
	for i := range got {
		all.Go(func() { got[i], _ = p.Get(t.Context(), "a") })
	}
	all.Wait()
	if got[0] == nil || slices.ContainsFunc(got, func(b *builder.Builder) bool { return b != got[0] }) {
		t.Fatalf("one trust domain has the builders %v", got)
	}
	for _, b := range got {
		b.Release(false)
	}
	ended(t, got[0])
	if err := got[0].Err(); err != nil {
		t.Errorf("thrown away: %v", err)
	}
	b := get(t, p, "a")
	if b == got[0] {
		t.Error("a dead builder was handed out")
	}
	p.Discard("a")
	ended(t, b)
	if _, err := b.Start(t.Context(), "agent", "echo"); !errors.Is(err, builder.ErrEnded) {
		t.Errorf("start in a dead builder: %v", err)
	}
}

// A builder that dies tells why, and takes everything in it along.
func TestDeath(t *testing.T) {
	c := config(t, t.TempDir())
	p := open(t, c)
	b := get(t, p, "a")
	agent := hang(t, b)
	for _, pid := range inside(t, c) {
		if command(pid) == "child" {
			kill(t, pid)
		}
	}
	ended(t, b)
	var end *builder.EndError
	if err := b.Err(); !errors.As(err, &end) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("after kill -9: %v", err)
	}
	if err := agent.Wait(); !errors.Is(err, builder.ErrEnded) {
		t.Errorf("the agent of a dead builder: %v", err)
	}
	if left := inside(t, c); len(left) > 0 {
		t.Errorf("processes %v outlived their builder", left)
	}

	b = get(t, p, "a")
	for _, pid := range inside(t, c) {
		if command(pid) == "buildkitd" {
			kill(t, pid)
		}
	}
	ended(t, b)
	if err := b.Err(); !errors.As(err, &end) || !strings.Contains(err.Error(), "the build daemon ended") {
		t.Errorf("after kill -9 of buildkitd: %v", err)
	}
}

func TestStartFails(t *testing.T) {
	c := config(t, t.TempDir())
	c.Buildkitd = "/bin/false"
	before := leftovers(t, c)
	p := open(t, c)
	_, err := p.Get(t.Context(), "a")
	if err == nil || !strings.Contains(err.Error(), "the build daemon ended: exit code 1") {
		t.Errorf("Get: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	compare(t, before, leftovers(t, c))
	if _, err := p.Get(t.Context(), "a"); !errors.Is(err, builder.ErrClosed) {
		t.Errorf("Get from a closed pool: %v", err)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	c := config(t, t.TempDir())
	before := leftovers(t, c)
	p, err := builder.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	hang(t, b)
	if _, errs, err := build(t, b, shell("echo hello")); err != nil {
		t.Fatalf("%v: %s", err, errs)
	}
	during := leftovers(t, c)
	if during.mounts != before.mounts {
		t.Errorf("a builder shows in the machine's mount table: %d mounts, were %d", during.mounts, before.mounts)
	}
	if during.processes == 0 || during.loops == 0 || during.cgroups == 0 {
		t.Errorf("nothing is counted of a running builder: %+v", during)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	compare(t, before, leftovers(t, c))
}

func TestDirIsForOneServer(t *testing.T) {
	c := config(t, t.TempDir())
	open(t, c)
	if _, err := builder.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second pool: %v", err)
	}
}

func TestTemplate(t *testing.T) {
	c := config(t, t.TempDir())
	c.Template = "one"
	e := newEgress(t)
	c.Egress = e.serve
	p := open(t, c)
	if p.Prepared() {
		t.Error("a new pool has a template")
	}
	warm := func(_ context.Context, b *builder.Builder) error {
		_, errs, err := build(t, b, shell("echo warm"))
		if err != nil {
			return errors.New(errs)
		}
		return nil
	}
	if err := p.Prepare(t.Context(), warm); err != nil {
		t.Fatal(err)
	}
	fetched := len(e.blobs())
	if fetched == 0 {
		t.Fatal("nothing was fetched to make the template")
	}
	if err := p.Prepare(t.Context(), func(context.Context, *builder.Builder) error { return errors.New("made twice") }); err != nil {
		t.Error(err)
	}
	for _, domain := range []string{"a", "b"} { // of different uid ranges
		b := get(t, p, domain)
		out, errs, err := build(t, b, shell("ls -ln / | grep bin; echo hello > /bin/mine"))
		if err != nil || !strings.Contains(out, " 0        0 ") {
			t.Errorf("%s: %v: %s%s", domain, err, out, errs)
		}
	}
	if now := len(e.blobs()); now != fetched {
		t.Errorf("the template holds no image: %d blobs were fetched for it and %d after it", fetched, now-fetched)
	}

	// It outlives the pool, and goes with its name.
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if p := open(t, c); !p.Prepared() {
		t.Error("the template is gone after a restart")
	} else if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	c.Template = "two"
	if p := open(t, c); p.Prepared() {
		t.Error("one template answers for another")
	}
}

// Without XFS there is no pool: templates are copied, and somebody is told.
func TestWithoutPool(t *testing.T) {
	c := config(t, t.TempDir())
	c.Template = "one"
	before := leftovers(t, c)
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		t.Fatal(err)
	}
	programs := t.TempDir()
	if err := os.Symlink(mkfs, filepath.Join(programs, "mkfs.ext4")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", programs) // no mkfs.xfs
	p := open(t, c)
	if bounds := strings.Join(p.Bounds(), "\n"); !strings.Contains(bounds, "no XFS") {
		t.Errorf("bounds: %q", bounds)
	}
	err = p.Prepare(t.Context(), func(_ context.Context, b *builder.Builder) error {
		_, _, err := run(t, b, strings.NewReader("hello"), "keep", "/var/lib/buildkit/mine")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	out, errs, err := run(t, get(t, p, "a"), nil, "list", "/var/lib/buildkit")
	if err != nil || !strings.Contains(out, "/mine\n") {
		t.Errorf("a copy of the template: %v: %s%s", err, out, errs)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	compare(t, before, leftovers(t, c))
}

func TestPrepareFails(t *testing.T) {
	c := config(t, t.TempDir())
	c.Template = "one"
	before := leftovers(t, c)
	p := open(t, c)
	if err := p.Prepare(t.Context(), func(context.Context, *builder.Builder) error { return os.ErrInvalid }); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("Prepare: %v", err)
	}
	if p.Prepared() {
		t.Error("a failed preparation left a template")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	compare(t, before, leftovers(t, c))
}

// A server that is killed leaves no process, and the next one no trace of it.
func TestSweep(t *testing.T) {
	c := config(t, t.TempDir())
	before := leftovers(t, c)
	server := startServer(t, c)
	if during := leftovers(t, c); during.processes == 0 {
		t.Fatalf("the server has no builder: %+v", during)
	}
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	server.Wait()
	b := get(t, open(t, c), "a")
	if _, errs, err := build(t, b, shell("echo hello")); err != nil {
		t.Errorf("after the sweep: %v: %s", err, errs)
	}
	runs, err := filepath.Glob(filepath.Join(c.Dir, "run", "*"))
	if err != nil || len(runs) != 1 {
		t.Errorf("run files: %v, %v", runs, err)
	}
	if now := leftovers(t, c); now.cgroups != before.cgroups+bounds(t) {
		t.Errorf("cgroups: %d, were %d, and one builder has %d", now.cgroups, before.cgroups, bounds(t))
	}
}

// hang starts an agent that does nothing, and waits until it does.
func hang(t *testing.T, b *builder.Builder) *builder.Process {
	t.Helper()
	p, err := b.Start(t.Context(), "agent", "hang")
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("hanging\n"))
	if _, err := p.Stdout.Read(line); err != nil || !bytes.Equal(line, []byte("hanging\n")) {
		t.Fatalf("%q, %v", line, err)
	}
	return p
}

// ended waits for a builder's end.
func ended(t *testing.T, b *builder.Builder) {
	t.Helper()
	select {
	case <-b.Done():
	case <-time.After(patience):
		t.Fatal("the builder doesn't end")
	}
}
