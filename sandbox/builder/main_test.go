package builder_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"golang.org/x/sync/errgroup"

	"slipway/sandbox/builder"
	ociruntime "slipway/sandbox/runtime"
)

// TestMain lets the test binary be the program that the sandbox starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "child":
			os.Exit(builder.Child(os.Args[2:]))
		case "runtime":
			os.Exit(ociruntime.Main(os.Args[2:]))
		case "agent":
			os.Exit(agent(os.Args[2:]))
		case "server":
			os.Exit(server(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

// agent is what tests run inside a builder.
func agent(args []string) int {
	var err error
	switch args[0] {
	case "solve":
		err = solve(context.Background(), os.Stdin, os.Stdout)
	case "echo":
		_, err = io.Copy(os.Stdout, os.Stdin)
		fmt.Fprintln(os.Stderr, os.Getuid(), os.Getpid())
	case "exit":
		return 7
	case "hang":
		fmt.Println("hanging")
		time.Sleep(time.Hour)
	case "eat": // memory, without end
		var all [][]byte
		for {
			b := make([]byte, 16<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			all = append(all, b)
			runtime.KeepAlive(all)
		}
	case "list":
		err = list(args[1:])
	case "keep":
		var data []byte
		if data, err = io.ReadAll(os.Stdin); err == nil {
			err = os.WriteFile(args[1], data, 0o644)
		}
	case "fill":
		err = fill(args[1])
	default:
		err = fmt.Errorf("no agent %q", args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// solve builds the definition from r and writes what its steps print to w.
func solve(ctx context.Context, r io.Reader, w io.Writer) error {
	def, err := llb.ReadFrom(r)
	if err != nil {
		return err
	}
	c, err := client.New(ctx, "unix://"+builder.Socket)
	if err != nil {
		return err
	}
	defer c.Close()
	group, ctx := errgroup.WithContext(ctx)
	statuses := make(chan *client.SolveStatus)
	group.Go(func() error {
		_, err := c.Solve(ctx, def, client.SolveOpt{}, statuses)
		return err
	})
	group.Go(func() error {
		for status := range statuses {
			for _, l := range status.Logs {
				w.Write(l.Data)
			}
		}
		return nil
	})
	return group.Wait()
}

// list prints the names in folders of the builder's root.
func list(dirs []string) error {
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			fmt.Println(dir + "/" + e.Name())
		}
	}
	return nil
}

// fill writes a file until the filesystem is full, then removes it.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer os.Remove(path)
	defer f.Close()
	n, err := io.Copy(f, zeroes{})
	fmt.Println(n)
	if err == nil {
		return errors.New("the disk has no end")
	}
	return err
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { return len(p), nil }
