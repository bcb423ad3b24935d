package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"slipway/server/example"
)

const (
	readers = 32              // connections that ask at the same time, each again once it has its answer
	reading = 5 * time.Second // of each kind
)

// share measures the page of a finished build, as many people open it at once.
func (b *bench) share(ctx context.Context) error {
	e, err := example.Starter()
	if err != nil {
		return err
	}
	id, _, err := b.site.build(ctx, orderOf(e.Files, false))
	if err != nil {
		return err
	}
	res, err := b.site.request(ctx, http.MethodGet, "/b/"+id, "text/html", nil)
	if err != nil {
		return err
	}
	res.Body.Close()
	plain, err := b.load(ctx, "/healthz", "", http.StatusOK)
	if err != nil {
		return err
	}
	for _, kind := range []struct {
		what, headers string
		status        int
	}{
		{"share page", "Accept-Encoding: gzip\r\n", http.StatusOK},
		{"share page, ETag known", "Accept-Encoding: gzip\r\nIf-None-Match: " + res.Header.Get("ETag") + "\r\n", http.StatusNotModified},
	} {
		page, err := b.load(ctx, "/b/"+id, kind.headers, kind.status)
		if err != nil {
			return err
		}
		b.add(row{
			what: kind.what, measured: fmt.Sprintf("%s, %v", perSecond(page), page), baseline: fmt.Sprintf("/healthz %s", perSecond(plain)),
			ratio: float64(len(page)) / float64(len(plain)), bar: "≥ 2000/s, p99 < 50 ms",
			met: rate(page) >= 2000 && page.p99() < 50*time.Millisecond,
		})
	}
	b.note("share page: %d connections, each asking again once it has its answer, for %v; server and generator share this machine's cores; "+
		"ratio of requests, so more is better", readers, reading)
	return nil
}

func rate(s sample) float64 { return float64(len(s)) / reading.Seconds() }

func perSecond(s sample) string { return fmt.Sprintf("%.0f/s", rate(s)) }

// load asks for a path again and again.
func (b *bench) load(ctx context.Context, path, headers string, status int) (sample, error) {
	at, err := url.Parse(b.site.base)
	if err != nil {
		return nil, err
	}
	request := []byte(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, at.Host, headers))
	ctx, done := context.WithTimeout(ctx, reading)
	defer done()
	var all sync.WaitGroup
	var mu sync.Mutex
	var took sample
	var failed error
	for range readers {
		all.Go(func() {
			mine, err := ask(ctx, at.Host, request, status)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			if err != nil {
				failed = err
			}
		})
	}
	all.Wait()
	return took, failed
}

// ask sends a request over one connection until ctx ends.
func ask(ctx context.Context, host string, request []byte, status int) (sample, error) {
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 32<<10)
	var s sample
	for ctx.Err() == nil {
		err := s.measure(func() error {
			if _, err := conn.Write(request); err != nil {
				return err
			}
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				return err
			}
			if res.StatusCode != status {
				return fmt.Errorf("status %d, want %d", res.StatusCode, status)
			}
			_, err = io.Copy(io.Discard, res.Body)
			return err
		})
		if err != nil {
			return s, err
		}
	}
	return s, nil
}
