package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/server"
	"slipway/server/play"
)

// The viewers of BenchmarkViewers are another process, so that the server's memory can be told from theirs.
const viewersEnv = "SLIPWAY_BENCH_VIEWERS" // "ADDRESS PATH COUNT"

func TestMain(m *testing.M) {
	if spec := os.Getenv(viewersEnv); spec != "" {
		watch(spec)
		return
	}
	os.Exit(m.Run())
}

// seen is what the viewers report.
type seen struct {
	P50, P99, Max float64 // lag in milliseconds
	Lines         int     // that all of them got
	Ended         int     // viewers who saw the end
}

var sentAt = regexp.MustCompile(`sent=(\d+)`)

// watch opens viewers, says "ready" once all are connected, reads until the end and reports how late lines came.
func watch(spec string) {
	var addr, path string
	var count int
	fmt.Sscan(spec, &addr, &path, &count)
	var mu sync.Mutex
	var lags []float64
	var s seen
	var connected, done sync.WaitGroup
	connected.Add(count)
	for range count {
		done.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: slipway.test\r\n\r\n", path)
			r := bufio.NewReaderSize(conn, 4096)
			var mine []float64
			for first := true; ; {
				line, err := r.ReadSlice('\n')
				if err == io.EOF {
					break
				}
				if first {
					connected.Done()
					first = false
				}
				now := time.Now().UnixNano()
				for _, m := range sentAt.FindAllSubmatch(line, -1) {
					at, _ := strconv.ParseInt(string(m[1]), 10, 64)
					mine = append(mine, float64(now-at)/1e6)
				}
				if strings.HasPrefix(string(line), "event: end") {
					mu.Lock()
					s.Ended++
					mu.Unlock()
					break
				}
			}
			mu.Lock()
			lags = append(lags, mine...)
			mu.Unlock()
		})
	}
	connected.Wait()
	fmt.Println("ready")
	done.Wait()
	slices.Sort(lags)
	s.Lines = len(lags)
	if len(lags) > 0 {
		s.P50, s.P99, s.Max = lags[len(lags)/2], lags[len(lags)*99/100], lags[len(lags)-1]
	}
	json.NewEncoder(os.Stdout).Encode(s)
}

// BenchmarkViewers has 2,000 people look on while a build prints 20 lines a second, and reports how late the
// lines come (p99-ms) and what a viewer costs the server (KB/viewer). Each iteration is five seconds of build.
func BenchmarkViewers(b *testing.B) {
	const viewers, lines = 2000, 100
	w := newWorld(b)
	s := w.server(func(c *server.Config) { c.Rates.Streams, c.Now = 2*viewers, time.Now })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	defer func() { cancel(); <-served }()
	sn := w.snippet("x", "Dockerfile", hello)
	for b.Loop() {
		job := w.built(sn, helloLog()[:5]...)
		before := memory()
		watching := exec.Command(os.Args[0])
		watching.Env = append(os.Environ(), fmt.Sprintf("%s=%s /b/%s/live %d", viewersEnv, l.Addr(), job.ID, viewers))
		watching.Stderr = os.Stderr
		out, err := watching.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := watching.Start(); err != nil {
			b.Fatal(err)
		}
		report := bufio.NewReader(out)
		if line, err := report.ReadString('\n'); line != "ready\n" {
			b.Fatal(line, err)
		}
		for range lines {
			w.append(job.ID, play.Output{Vertex: "sha256:02", Stream: 1, Data: fmt.Sprintf("some output of a build, sent=%d\n", time.Now().UnixNano())})
			time.Sleep(50 * time.Millisecond)
		}
		cost := memory() - before
		w.append(job.ID, helloLog()[9:]...)
		var got seen
		if err := json.NewDecoder(report).Decode(&got); err != nil {
			b.Fatal(err)
		}
		if err := watching.Wait(); err != nil {
			b.Fatal(err)
		}
		if got.Ended != viewers || got.Lines < viewers*lines {
			b.Fatalf("something is lost: %+v", got)
		}
		b.ReportMetric(got.P50, "p50-ms")
		b.ReportMetric(got.P99, "p99-ms")
		b.ReportMetric(got.Max, "max-ms")
		b.ReportMetric(float64(cost)/1024/viewers, "KB/viewer")
	}
}

// memory is what the process uses for values and stacks.
func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// BenchmarkSharedPage asks for the page of a finished build over HTTP, as many at a time as there are cores.
func BenchmarkSharedPage(b *testing.B) {
	w := newWorld(b)
	s := w.server()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	defer func() { cancel(); <-served }()
	url := "http://" + l.Addr().String() + "/b/" + w.built(w.snippet("x", "Dockerfile", hello), helloLog()...).ID
	var mu sync.Mutex
	var took []float64
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		client := &http.Client{Transport: &http.Transport{}}
		var mine []float64
		for pb.Next() {
			start := time.Now()
			req, _ := http.NewRequest("GET", url, nil)
			req.Header.Set("Accept-Encoding", "gzip")
			res, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.StatusCode != 200 {
				b.Error(res.Status)
				return
			}
			mine = append(mine, float64(time.Since(start).Microseconds())/1000)
		}
		mu.Lock()
		took = append(took, mine...)
		mu.Unlock()
	})
	slices.Sort(took)
	b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(took[len(took)*99/100], "p99-ms")
}
