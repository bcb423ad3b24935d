package eventlog

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"
	"time"

	"slipway/server/play"
)

// child writes one log for ever, and prints every event that a reader of it sees.
func child(dir string) {
	b, err := Connect(context.Background(), Config{Dir: dir, Log: quiet})
	if err != nil {
		panic(err)
	}
	l, err := Open(context.Background(), b, &archive{})
	if err != nil {
		panic(err)
	}
	job := play.VisitorID("crash")
	go func() {
		w, _, err := Take(context.Background(), b, job, defaults())
		for n := 0; err == nil; n++ {
			err = w.Append(context.Background(), time.Duration(n), line("%d", n))
			time.Sleep(100 * time.Microsecond)
		}
		panic(err)
	}()
	for e, err := range l.Tail(context.Background(), job, 0) {
		if err != nil {
			panic(err)
		}
		line, err := json.Marshal(e)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(line))
	}
}

// Law 8: what a reader saw is in the log, also when the process dies the moment after.
func TestNothingSeenIsLost(t *testing.T) {
	dir := t.TempDir()
	job := play.VisitorID("crash")
	var seen []play.Event
	for round := range 3 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), "EVENTLOG_TEST_CHILD="+dir)
		c.Stderr = os.Stderr
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := c.StdoutPipe()
		must(t, err)
		must(t, c.Start())
		var got []play.Event
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var e play.Event
			must(t, json.Unmarshal(lines.Bytes(), &e))
			got = append(got, e)
			if len(got) == len(seen)+500 {
				must(t, c.Process.Kill())
			}
		}
		c.Wait()
		if len(got) < len(seen)+500 || len(seen) > 0 && !reflect.DeepEqual(got[:len(seen)], seen) {
			t.Fatalf("round %d: after the restart %d events were read, or not the %d of before", round, len(got), len(seen))
		}
		seen = got
	}
	l, err := Open(t.Context(), newBus(t, dir), &archive{})
	must(t, err)
	defer l.Close()
	must(t, Finish(t.Context(), l.bus, job, defaults(), time.Hour, play.Finished{Outcome: play.Broken}))
	events := readAll(t, l, job, 0)
	lawful(t, events)
	if len(events) <= len(seen) || !reflect.DeepEqual(events[:len(seen)], seen) {
		t.Errorf("in the end there are %d events, or not the %d that were seen", len(events), len(seen))
	}
}

// A worker's key may write logs, and neither read them nor change the streams.
func TestWorkerMayOnlyWrite(t *testing.T) {
	dir := t.TempDir()
	b, err := Connect(t.Context(), Config{Dir: dir, Listen: "127.0.0.1:0", Grant: WriterMay(), Log: quiet})
	must(t, err)
	defer b.Close()
	l, err := Open(t.Context(), b, &archive{})
	must(t, err)
	defer l.Close()

	url := "nats://" + b.Addr().String()
	if nobody, err := Connect(t.Context(), Config{URL: url, Log: quiet}); err == nil {
		nobody.Close()
		t.Error("a connection without a key was let in")
	}
	worker, err := Connect(t.Context(), Config{URL: url, Creds: filepath.Join(dir, "worker.nk"), Worker: true, Log: quiet})
	must(t, err)
	defer worker.Close()
	job := name(t, 0)
	w, _, err := Take(t.Context(), worker, job, defaults())
	must(t, err)
	must(t, w.Append(t.Context(), 0, line("from afar"), play.Finished{Outcome: play.OK}))
	must(t, w.Close(t.Context()))
	lawful(t, readAll(t, l, job, 0))

	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := worker.Stream.Stream(ctx, streamName); err == nil {
		t.Error("a worker may look at the stream")
	}
	if _, err := worker.Stream.OrderedConsumer(ctx, streamName, fromStart(job)); err == nil {
		t.Error("a worker may read a log")
	}
	if sub, err := worker.Conn.SubscribeSync(subjects + ">"); err == nil {
		must(t, Finish(t.Context(), b, name(t, 1), defaults(), 0, play.Finished{Outcome: play.OK}))
		if msg, err := sub.NextMsg(300 * time.Millisecond); err == nil {
			t.Errorf("a worker overheard %s", msg.Subject)
		}
	}
}
