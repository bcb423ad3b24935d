package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	benchViewers = 2000
	lookOn       = 10 * time.Second // with all of them there
)

// viewers measures how late 2,000 people see what a real build prints, and what each costs the server.
func (b *bench) viewers(ctx context.Context) (err error) {
	var build struct {
		ID  string
		Key string `json:"edit_key"`
	}
	// It writes the time 50 times a second until it is cancelled.
	o := order{NoCache: true, Files: map[string]string{
		"Dockerfile": "FROM python:3.14-slim\nCOPY write.py /\nRUN python3 -u /write.py\n",
		"write.py":   "import time\nwhile True:\n    print(f'a line of output, sent={time.time_ns()};')\n    time.sleep(0.02)\n",
	}}
	if err := b.site.call(ctx, http.MethodPost, "/api/v1/builds", o, &build); err != nil {
		return err
	}
	defer func() {
		if e := b.site.cancel(build.ID, build.Key); err == nil {
			err = e
		}
	}()
	one, _, err := b.lookOn(ctx, build.ID, 1)
	if err != nil {
		return err
	}
	all, cost, err := b.lookOn(ctx, build.ID, benchViewers)
	if err != nil {
		return err
	}
	b.add(row{
		what: fmt.Sprintf("lag of %d viewers", benchViewers), measured: all.String(), baseline: "one viewer " + one.String(),
		ratio: ratio(all.p99(), one.p99()), bar: "p99 < 250 ms", met: all.p99() < 250*time.Millisecond,
	})
	b.add(row{
		what: "memory of a viewer", measured: kilobytes(cost.used / benchViewers), baseline: "resident " + kilobytes(cost.resident/benchViewers),
		bar: "≤ 30 KB", met: cost.used/benchViewers <= 30_000,
	})
	b.note("viewers: page streams over loopback from the real server, while a real build writes 50 lines a second; lag from the write in the "+
		"container to the line in the viewer's hands, for %v; server, build and viewers share this machine's cores", lookOn)
	b.note("memory of a viewer: growth of the server's heap in use and stacks, after a collection; resident: of its process")
	return nil
}

func kilobytes(n int64) string { return fmt.Sprintf("%.1f KB", float64(n)/1e3) }

// cancel ends a build. It does so also when all else is being given up.
func (s *site) cancel(id, key string) error {
	req, err := http.NewRequest(http.MethodPost, s.base+"/api/v1/builds/"+id+"/cancel", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("cancel build %s: %s", id, res.Status)
	}
	return nil
}

// A crowd are viewers of one build, each with a connection of its own, as pages have it.
type crowd struct {
	watching atomic.Int64 // have seen a line
	count    atomic.Bool  // lags are noted

	mu   sync.Mutex
	lags sample
	err  error // why one saw no more
}

// lookOn lets a number of viewers come, measures while all are there, and lets them go.
func (b *bench) lookOn(ctx context.Context, build string, viewers int64) (sample, memory, error) {
	before, err := b.site.memory(ctx)
	if err != nil {
		return nil, memory{}, err
	}
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	var c crowd
	var gone sync.WaitGroup
	defer gone.Wait()
	for range viewers {
		gone.Go(func() {
			if err := c.view(ctx, b.site.base, build); err != nil && ctx.Err() == nil {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.err = err
			}
		})
	}
	for deadline := time.Now().Add(time.Minute); c.watching.Load() < viewers; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			leave()
			gone.Wait()
			return nil, memory{}, fmt.Errorf("%d of %d viewers saw nothing within a minute: %w", viewers-c.watching.Load(), viewers, c.err)
		}
	}
	time.Sleep(time.Second) // what it took to come is not what it takes to look on
	c.count.Store(true)
	time.Sleep(lookOn)
	c.count.Store(false)
	after, err := b.site.memory(ctx)
	leave()
	gone.Wait()
	if err != nil || c.err != nil {
		return nil, memory{}, fmt.Errorf("the viewers: %w", errors.Join(err, c.err))
	}
	return c.lags, memory{after.used - before.used, after.resident - before.resident}, nil
}

// view looks on until ctx ends.
func (c *crowd) view(ctx context.Context, base, build string) error {
	at, err := url.Parse(base)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_, err = fmt.Fprintf(conn, "GET /b/%s/live HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: %s\r\n\r\n", build, at.Host, someAddress())
	if err != nil {
		return err
	}
	var mine sample
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.lags = append(c.lags, mine...)
	}()
	// A line of the stream can be long: all that there was when the viewer came.
	in := bufio.NewReaderSize(conn, 4096)
	for watching := false; ; {
		line, err := in.ReadSlice(';')
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return err
		}
		i := bytes.LastIndex(line, []byte("sent="))
		if i < 0 {
			continue
		}
		sent, err := strconv.ParseInt(string(line[i+len("sent="):len(line)-1]), 10, 64)
		if err != nil {
			continue // the mark stands across two reads
		}
		if !watching {
			c.watching.Add(1)
			watching = true
		}
		if c.count.Load() {
			mine = append(mine, time.Duration(time.Now().UnixNano()-sent))
		}
	}
}

// memory is what a server uses, in bytes.
type memory struct {
	used     int64 // by values and stacks
	resident int64 // by the process
}

// memory collects the server's garbage and says what it uses then.
func (s *site) memory(ctx context.Context) (m memory, err error) {
	if err := get(ctx, s.debug+"/debug/pprof/heap?gc=1", nil); err != nil {
		return m, err
	}
	var vars struct {
		Memstats struct{ HeapInuse, StackInuse int64 } `json:"memstats"`
	}
	if err := get(ctx, s.debug+"/debug/vars", &vars); err != nil {
		return m, err
	}
	m.used = vars.Memstats.HeapInuse + vars.Memstats.StackInuse
	m.resident, err = resident(s.cmd.Process.Pid)
	return m, err
}

// get reads JSON into out, if that is not nil.
func get(ctx context.Context, url string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, res.Status)
	}
	if out == nil {
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	return json.NewDecoder(res.Body).Decode(out)
}
