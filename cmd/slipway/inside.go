package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"slipway/sandbox/builder"
	"slipway/sandbox/buildkit"
	"slipway/sandbox/registry/catalog"
	"slipway/sandbox/runtime"
	"slipway/server/guard"
)

// inside are the commands that the program starts itself as: the processes of a builder, and the one that reads
// strangers' text. People don't call them.
var inside = map[string]func(args []string) int{
	"child":   builder.Child,
	"runtime": runtime.Main,
	"agent":   agent,
	"guard":   guarded,
}

func agent([]string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	in := buildkit.Inside{Daemon: "unix://" + builder.Socket, CA: runtime.CA, Teach: runtime.Teach, State: builder.State}
	return buildkit.Agent(ctx, in, os.Stdin, os.Stdout)
}

// guarded answers for the texts of the server that started it. Its argument is the catalogue's folder.
func guarded(args []string) int {
	t := texts{catalog: catalog.Open(args[0])}
	return guard.Serve(map[string]guard.Handler{
		"lint":    guard.Handle(t.lint),
		"explain": guard.Handle(t.explain),
		"plan":    guard.Handle(t.plan),
	})
}
