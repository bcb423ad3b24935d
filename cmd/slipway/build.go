package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"slipway/server/play"
	"slipway/server/view"
)

type buildCmd struct {
	Dir      string            `arg:"" type:"existingdir" help:"Folder with the Dockerfile and its context."`
	Server   string            `default:"http://127.0.0.1:8080" env:"SLIPWAY_SERVER" help:"Address of a running Slipway."`
	Key      string            `env:"SLIPWAY_EDIT_KEY" help:"Edit key, to build as yourself: who started a build may cancel it."`
	File     string            `short:"f" default:"Dockerfile" help:"Path of the Dockerfile in the folder."`
	Target   string            `help:"Stage to build."`
	BuildArg map[string]string `help:"Build argument, NAME=VALUE."`
	Platform string            `help:"Platform to build for."`
	NoCache  bool              `help:"Run every step."`
	Network  string            `enum:",on,off" default:"" help:"Whether steps reach the network."`
	JSON     bool              `help:"Print the events as JSON, one a line."`
}

// Run sends the folder, follows the build, and fails if the build does. An interrupt cancels the build.
func (c *buildCmd) Run(ctx context.Context) error {
	files, err := readDir(c.Dir, c.File, play.DefaultLimits())
	if err != nil {
		return err
	}
	var started struct {
		ID        string `json:"id"`
		URL       string `json:"url"`
		EventsURL string `json:"events_url"`
		EditKey   string `json:"edit_key"`
	}
	body := map[string]any{"files": encodeFiles(files), "dockerfile": c.File, "target": c.Target, "build_args": c.BuildArg,
		"platform": c.Platform, "no_cache": c.NoCache, "network": c.Network}
	if err := c.call(ctx, http.MethodPost, "/api/v1/builds", body, &started); err != nil {
		return err
	}
	if c.Key == "" {
		c.Key = started.EditKey
	}
	if !c.JSON {
		fmt.Fprintln(os.Stderr, started.URL)
	}
	finished, err := c.follow(ctx, started.EventsURL)
	if errors.Is(err, context.Canceled) {
		return c.cancel(started.ID)
	} else if err != nil {
		return err
	}
	if finished.Outcome != play.OK {
		return exitCode(1)
	}
	return nil
}

// follow prints the build's events as they come, and picks up where it was after a lost connection.
func (c *buildCmd) follow(ctx context.Context, events string) (play.Finished, error) {
	var job view.Job
	printer := view.NewText(os.Stdout)
	after, failures := int64(0), 0
	for {
		err := c.stream(ctx, fmt.Sprintf("%s?after=%d", events, after), func(line []byte, e play.Event) error {
			after, failures = e.Seq, 0
			if c.JSON {
				_, err := fmt.Printf("%s\n", line)
				job.Apply(e)
				return err
			}
			if job.Apply(e) {
				return printer.Write(&job)
			}
			return nil
		})
		if f := job.Timeline().Finished; f != nil {
			return *f, nil
		}
		if ctx.Err() != nil {
			return play.Finished{}, ctx.Err()
		}
		if failures++; failures > 10 {
			return play.Finished{}, fmt.Errorf("the build's events broke off: %w", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(failures) * 200 * time.Millisecond):
		}
	}
}

func (c *buildCmd) stream(ctx context.Context, path string, each func([]byte, play.Event) error) error {
	res, err := c.request(ctx, http.MethodGet, path, nil, "application/x-ndjson")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return io.ErrUnexpectedEOF
		} else if err != nil {
			return err
		}
		var e play.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		if err := each(bytes.TrimSpace(line), e); err != nil {
			return err
		}
		if _, ok := e.Fact.(play.Finished); ok {
			return nil
		}
	}
}

// cancel asks the server to end the build; a second interrupt ends the asking.
func (c *buildCmd) cancel(id string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, done := context.WithTimeout(ctx, 5*time.Second)
	defer done()
	if err := c.call(ctx, http.MethodPost, "/api/v1/builds/"+id+"/cancel", struct{}{}, nil); err != nil {
		return fmt.Errorf("the build goes on; it could not be cancelled: %w", err)
	}
	fmt.Fprintln(os.Stderr, "cancelled")
	return exitCode(130)
}

// call sends and reads JSON.
func (c *buildCmd) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	res, err := c.request(ctx, method, path, body, "application/json")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// request sends one request; an answer of 400 and above is an error with the server's own words.
func (c *buildCmd) request(ctx context.Context, method, path string, body []byte, accept string) (*http.Response, error) {
	base, err := url.Parse(c.Server)
	if err != nil {
		return nil, err
	}
	at, err := base.Parse(path)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, at.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.Key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= 400 {
		defer res.Body.Close()
		var problem struct{ Title, Detail string }
		text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		if json.Unmarshal(text, &problem) == nil && problem.Detail != "" {
			return nil, errors.New(problem.Detail)
		}
		return nil, fmt.Errorf("%s answered %s", at.Host, res.Status)
	}
	return res, nil
}
