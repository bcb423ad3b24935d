package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"slipway/server"
	"slipway/server/dockerfile"
	"slipway/server/explain"
	"slipway/server/guard"
	"slipway/server/lint"
	"slipway/server/play"
)

// benchText is a Dockerfile of n lines as people write them: stages, continuation lines, a few findings.
func benchText(n int) string {
	var b strings.Builder
	b.WriteString("# syntax=docker/dockerfile:1\nARG VERSION=3.14\n")
	for stage := 0; strings.Count(b.String(), "\n") < n; stage++ {
		fmt.Fprintf(&b, `FROM python:${VERSION}-slim AS stage-%d
ENV PYTHONUNBUFFERED=1 APP_HOME=/srv/app
WORKDIR $APP_HOME
RUN apt-get update && \
    apt-get install -y --no-install-recommends curl && \
    rm -rf /var/lib/apt/lists/*

# what changes least first
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install -r requirements.txt
COPY . .
ARG API_TOKEN
USER 1000
EXPOSE 8000/TCP
CMD uvicorn main:app --port 8000
`, stage)
	}
	lines := strings.SplitAfter(b.String(), "\n")
	return strings.Join(lines[:n], "")
}

// lint measures the linter.
func (b *bench) lint(ctx context.Context) error {
	inside := func(text string) error {
		_, err := lint.Lint(ctx, lint.Input{File: "Dockerfile", Source: text})
		return err
	}
	return b.texts(ctx, "lint", inside, new([]play.Diagnostic), func(s sample) (string, bool) {
		return "p50 < 1 ms, p99 < 5 ms", s.median() < time.Millisecond && s.p99() < 5*time.Millisecond
	})
}

// explain measures the explanation.
func (b *bench) explain(ctx context.Context) error {
	inside := func(text string) error {
		explain.Steps(dockerfile.Parse([]byte(text)), explain.Options{File: "Dockerfile"})
		return nil
	}
	b.note("explanation through the guard: with the findings of the linter, as the server asks for it")
	return b.texts(ctx, "explain", inside, new([]explain.Step), func(s sample) (string, bool) {
		return "p99 < 5 ms", s.p99() < 5*time.Millisecond
	})
}

// texts measures what is done to a text: in this process, through a guarded one as the server does it, and how the
// time grows with the text.
func (b *bench) texts(ctx context.Context, method string, inside func(text string) error, out any, judge func(sample) (bar string, met bool)) error {
	const times = 3000
	short50 := benchText(50)
	parsed, err := repeat(times, func() error { dockerfile.Parse([]byte(short50)); return nil })
	if err != nil {
		return err
	}
	here, err := repeat(times, func() error { return inside(short50) })
	if err != nil {
		return err
	}
	bar, met := judge(here)
	b.add(row{
		what: method + ", 50 lines", measured: here.String(), baseline: "reading it " + short(parsed.median()),
		ratio: ratio(here.median(), parsed.median()), bar: bar, met: met,
	})

	guarded, err := b.guarded(ctx, times, method, short50, out)
	if err != nil {
		return err
	}
	bar, met = judge(guarded)
	b.add(row{
		what: method + ", 50 lines, through the guard", measured: guarded.String(), baseline: "in process " + short(here.median()),
		ratio: ratio(guarded.median(), here.median()), bar: bar, met: met,
	})

	long := benchText(5000)
	large, err := repeat(20, func() error { return inside(long) })
	if err != nil {
		return err
	}
	expected := 100 * here.median()
	b.add(row{
		what: method + ", 5,000 lines", measured: short(large.median()), baseline: "100 × 50 lines " + short(expected),
		ratio: ratio(large.median(), expected), bar: "linear: ≤ 1.5 ×", met: ratio(large.median(), expected) <= 1.5,
	})
	return nil
}

func repeat(times int, do func() error) (sample, error) {
	var s sample
	for range times {
		if err := s.measure(do); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// guarded measures a call of the guard, with children as the server starts them.
func (b *bench) guarded(ctx context.Context, times int, method, text string, out any) (sample, error) {
	ctx, stop := context.WithCancel(ctx)
	g := guard.New([]string{b.bin("slipway"), "guard", b.catalogDir()}, guard.DefaultOptions())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	in := server.Text{Files: []play.File{{Path: "Dockerfile", Content: []byte(text)}}}
	s, err := repeat(times, func() error { return g.Call(ctx, method, in, out) })
	stop()
	return s, errors.Join(err, <-ended)
}
