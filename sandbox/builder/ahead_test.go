package builder_test

import (
	"strings"
	"testing"
	"time"
)

// A process waits in a builder for its work; each is used once, and one that is lost is no harm.
func TestAhead(t *testing.T) {
	c := config(t, t.TempDir())
	c.Ahead = []string{"agent", "echo"}
	before := leftovers(t, c)
	p := open(t, c)
	get(t, p, "a")
	first := await(t, func() string { return waiting(t, inside(t, c)) })

	b := get(t, p, "a")
	_, errs, err := run(t, b, strings.NewReader("x"), "echo")
	if err != nil {
		t.Fatal(err, errs)
	}
	if out, _, err := run(t, b, strings.NewReader("y"), "echo"); err != nil || out != "y" {
		t.Errorf("with none waiting: %q, %v", out, err)
	}
	if pid := waiting(t, inside(t, c)); pid != "" {
		t.Errorf("process %s waits, the first was %s", pid, first)
	}
	last := get(t, p, "a")
	last.Release(false)
	second := await(t, func() string { return waiting(t, inside(t, c)) })
	if second == first {
		t.Errorf("process %s is used twice", first)
	}

	kill(t, second)
	await(t, func() string {
		if waiting(t, inside(t, c)) == "" {
			return "gone"
		}
		return ""
	})
	time.Sleep(100 * time.Millisecond) // for the news of it
	if out, _, err := run(t, b, strings.NewReader("z"), "echo"); err != nil || out != "z" {
		t.Errorf("after the loss: %q, %v", out, err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	compare(t, before, leftovers(t, c))
}

// waiting finds the process that echoes, or "".
func waiting(t *testing.T, pids []string) string {
	t.Helper()
	for _, pid := range pids {
		if strings.Contains(arguments(pid), "\x00agent\x00echo\x00") {
			return pid
		}
	}
	return ""
}

// await waits until something can be told.
func await(t *testing.T, tell func() string) string {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if s := tell(); s != "" {
			return s
		}
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}

// A spent builder goes with its last user.
func TestSpent(t *testing.T) {
	p := open(t, config(t, t.TempDir()))
	a, err := p.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Get(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	a.Release(true)
	select {
	case <-a.Done():
		t.Error("it is gone while somebody uses it")
	case <-time.After(200 * time.Millisecond):
	}
	a.Release(false)
	if b := get(t, p, "a"); a == b {
		t.Error("the next user has the spent one")
	}
	ended(t, a)
	if err := a.Err(); err != nil {
		t.Error(err)
	}
}
