package lint_test

import (
	"context"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"slipway/server/guard"
	"slipway/server/lint"
	"slipway/server/play"
)

// TestMain is the guarded child as well.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "child" {
		os.Exit(guard.Serve(map[string]guard.Handler{"lint": guard.Handle(lint.Lint)}))
	}
	os.Exit(m.Run())
}

// guarded gives a linter that runs in a child with so much time for each text.
func guarded(t *testing.T, timeout time.Duration) func(src string) ([]play.Diagnostic, error) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := guard.DefaultOptions()
	o.Timeout = timeout
	g := guard.New([]string{exe, "child"}, o)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return func(src string) ([]play.Diagnostic, error) {
		var found []play.Diagnostic
		err := g.Call(t.Context(), "lint", lint.Input{File: "Dockerfile", Source: src}, &found)
		return found, err
	}
}

// TestBombs: what the preflight would refuse, let through on purpose, costs a child and not the server.
func TestBombs(t *testing.T) {
	call := guarded(t, time.Second)
	for name, src := range map[string]string{
		"doubling":  "FROM scratch\nENV A=aaaaaaaaaaaaaaaa\n" + strings.Repeat("ENV A=$A$A\n", 40),
		"replacing": "FROM scratch\nENV A=" + strings.Repeat("a", 60_000) + "\nENV B=${A//a/" + strings.Repeat("b", 60_000) + "}\n",
		"ports":     "FROM scratch\n" + strings.Repeat("EXPOSE "+strings.Repeat("1-65535 ", 8000)+"\n", 4),
		"stages":    "FROM scratch AS s\n" + strings.Repeat("FROM s AS s\nENV A=1\n", 20_000),
	} {
		before := heap()
		_, err := call(src)
		if play.KindOf(err) != play.Limited {
			t.Errorf("%s: %v", name, err)
		}
		if grown := int64(heap()) - int64(before); grown > 8<<20 {
			t.Errorf("%s: the parent's heap grew by %d bytes", name, grown)
		}
		if found, err := call("FROM scratch\nWORKDIR a\n"); err != nil || len(found) != 1 || found[0].Rule != "WorkdirRelativePath" {
			t.Errorf("after %s: %v, %v", name, found, err)
		}
	}
}

// TestDeepAndMany: what looks dangerous and isn't gets an answer.
func TestDeepAndMany(t *testing.T) {
	call := guarded(t, time.Minute)
	for name, src := range map[string]string{
		"nested variables": "FROM scratch\nENV A=" + strings.Repeat("${A:-", 5000) + strings.Repeat("}", 5000),
		"nested triggers":  "FROM scratch\n" + strings.Repeat("ONBUILD ", 8000) + "RUN x\n",
		"nested arrays":    "FROM scratch\nRUN " + strings.Repeat("[", 30_000),
		"open heredocs":    "FROM scratch\n" + strings.Repeat("RUN <<EOF\n", 5000),
		"many heredocs":    "FROM scratch\nRUN " + strings.Repeat("<<EOF ", 5000) + "\n",
		"errors":           "FROM scratch\n" + strings.Repeat("ENV\n", 5000),
		"continuations":    "FROM scratch\nRUN a" + strings.Repeat(" \\\n\n", 5000),
	} {
		if _, err := call(src); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
