package eventlog

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slipway/server/play"
)

// BenchmarkViewers measures how far readers of one live job are behind its writer, which prints 200 lines a second,
// and what each of them costs. The budget for 2,000 on two cores: 250 ms for 99 of 100 events, 30 KB each.
func BenchmarkViewers(b *testing.B) {
	for _, viewers := range []int{1, 200, 2000} {
		b.Run(strconv.Itoa(viewers), func(b *testing.B) {
			for n := range b.N {
				watch(b, name(b, n*10000+viewers), viewers)
			}
		})
	}
}

func watch(b *testing.B, job string, viewers int) {
	l, _ := newLog(b)
	w := take(b, l, job, defaults())
	const events = 600
	start := time.Now()
	lags := make([][]time.Duration, viewers)
	for i := range lags {
		lags[i] = make([]time.Duration, 0, events)
	}
	before := memory()
	var readers sync.WaitGroup
	var ready atomic.Int64
	for i := range viewers {
		readers.Go(func() {
			for e, err := range l.Tail(b.Context(), job, 0) {
				if err != nil {
					b.Error(err)
					return
				}
				switch f := e.Fact.(type) {
				case play.Queued:
					ready.Add(1)
				case play.Output:
					at, _, _ := strings.Cut(f.Data, " ")
					ns, _ := strconv.ParseInt(at, 10, 64)
					lags[i] = append(lags[i], time.Since(start)-time.Duration(ns))
				}
			}
		})
	}
	must(b, w.Append(b.Context(), 0, play.Queued{}))
	for ready.Load() < int64(viewers) {
		time.Sleep(time.Millisecond)
	}
	cost := float64(memory()-before) / float64(viewers)
	for range events {
		now := time.Since(start)
		must(b, w.Append(b.Context(), now, line("%d %s\n", now.Nanoseconds(), strings.Repeat("x", 80))))
		time.Sleep(5*time.Millisecond - (time.Since(start) - now))
	}
	must(b, w.Append(b.Context(), time.Hour, play.Finished{Outcome: play.OK}))
	must(b, w.Close(b.Context()))
	readers.Wait()
	all := slices.Concat(lags...)
	slices.Sort(all)
	if len(all) != viewers*events {
		b.Fatalf("%d lines were seen, want %d", len(all), viewers*events)
	}
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(cost, "B/viewer")
}

// memory is what is in use after a collection, stacks included.
func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// BenchmarkAppend measures a writer that is never idle, and the fsync of each of its messages.
func BenchmarkAppend(b *testing.B) {
	l, _ := newLog(b)
	g := defaults()
	g.Limits.Events, g.Limits.OutputBytes, g.Limits.OutputLines = 1<<40, 1<<40, 1<<40
	w := take(b, l, name(b, b.N), g)
	out := line("%s\n", strings.Repeat("x", 80))
	for n := 0; b.Loop(); n++ {
		must(b, w.Append(b.Context(), time.Duration(n), out))
	}
	must(b, w.Close(b.Context()))
}

// BenchmarkReplay measures reading a finished log of 20,000 lines from the stream.
func BenchmarkReplay(b *testing.B) {
	l, _ := newLog(b)
	job := name(b, b.N)
	g := defaults()
	g.Limits.Events = 30_000
	w := take(b, l, job, g)
	for n := range 20_000 {
		must(b, w.Append(b.Context(), 0, line("%s\n", fmt.Sprint(n))))
	}
	must(b, w.Append(b.Context(), 0, play.Finished{Outcome: play.OK}))
	must(b, w.Close(b.Context()))
	for b.Loop() {
		if n := len(readAll(b, l, job, 0)); n != 20_001 {
			b.Fatal(n)
		}
	}
}
