package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slipway/server"
	"slipway/server/play"
)

// TestReadersThatGoLeaveNothing: broken and slow clients, and the end of the server, end every reader of a log.
func TestReadersThatGoLeaveNothing(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	s.Linger(time.Millisecond)
	web := httptest.NewServer(s)
	defer web.Close()
	job := w.built(w.snippet("x", "Dockerfile", hello), helloLog()[:6]...)
	reading := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.tails
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for start := time.Now(); !ok(); time.Sleep(time.Millisecond) {
			if time.Since(start) > 10*time.Second {
				t.Fatal(what)
			}
		}
	}
	for _, path := range []string{"/b/" + job.ID + "/live", "/api/v1/builds/" + job.ID + "/events"} {
		readEvents(t, web.URL+path, 0, func(sse) bool { return false }) // leaves after the first event
		until("a reader stays behind after "+path, func() bool { return reading() == 0 })
	}
	// One read of the log serves all viewers of a page.
	var viewers sync.WaitGroup
	var seeing atomic.Int32
	for range 20 {
		viewers.Go(func() {
			first := sync.OnceFunc(func() { seeing.Add(1) })
			readEvents(t, web.URL+"/b/"+job.ID+"/live", 0, func(e sse) bool { first(); return e.name != "end" })
		})
	}
	until("not all see something", func() bool { return seeing.Load() == 20 })
	if n := reading(); n != 1 {
		t.Errorf("%d readers of one log", n)
	}
	s.Close() // lets the viewers go
	viewers.Wait()
	if n := reading(); n != 0 {
		t.Errorf("%d readers after the end", n)
	}
	for _, path := range []string{"/b/" + job.ID + "/live", "/api/v1/builds/" + job.ID + "/events"} {
		if r := ask(s, "GET", path, ""); r.Code == 500 || strings.Contains(r.Body.String(), "event: end") {
			t.Errorf("after the end, %s: %d %s", path, r.Code, r.Body)
		}
	}
}

// A stuck client takes its first bytes and then nothing until it is released.
type stuck struct {
	*httptest.ResponseRecorder
	full, release chan struct{}
	once          sync.Once
}

func (c *stuck) Write(b []byte) (int, error) {
	c.once.Do(func() {
		close(c.full)
		<-c.release
	})
	return c.ResponseRecorder.Write(b)
}

func TestSlowViewersAreLetGo(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	job := w.built(w.snippet("x", "Dockerfile", hello), helloLog()[:5]...)
	client := &stuck{ResponseRecorder: httptest.NewRecorder(), full: make(chan struct{}), release: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ServeHTTP(client, newRequest("GET", "/b/"+job.ID+"/live", nil))
	}()
	<-client.full
	line := strings.Repeat("x", 5000) + "\n"
	for range 100 {
		for range 30 {
			w.append(job.ID, play.Output{Vertex: "sha256:02", Stream: 1, Data: line})
		}
	}
	w.append(job.ID, helloLog()[9:]...)
	// Others are not held up, and see it all.
	web := httptest.NewServer(s)
	defer web.Close()
	if s := follow(t, web.URL+"/b/"+job.ID, func() int64 { return 0 }); len(rows(s)) != 3000 {
		t.Errorf("another viewer has %d rows", len(rows(s)))
	}
	close(client.release)
	<-done
	if body := client.Body.String(); strings.Contains(body, "event: end") || len(body) > 6<<20 {
		t.Errorf("a viewer who took nothing was sent %d bytes and the end", len(body))
	}
}

func TestTooManyStreams(t *testing.T) {
	w := newWorld(t)
	s := w.server(func(c *server.Config) { c.Rates.Streams = 1 })
	web := httptest.NewServer(s)
	defer web.Close()
	job := w.built(w.snippet("x", "Dockerfile", hello), helloLog()[:5]...)
	res, err := http.Get(web.URL + "/b/" + job.ID + "/live")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	second, err := http.Get(web.URL + "/b/" + job.ID + "/live")
	if err != nil {
		t.Fatal(err)
	}
	second.Body.Close()
	if second.StatusCode != 429 || second.Header.Get("Retry-After") == "" {
		t.Errorf("%s %v", second.Status, second.Header)
	}
}

func TestALogThatBreaksOffIsNoEnd(t *testing.T) {
	w := newWorld(t)
	s := w.server(func(c *server.Config) { c.Logger = discard })
	web := httptest.NewServer(s)
	defer web.Close()
	job := w.built(w.snippet("x", "Dockerfile", hello), helloLog()[:6]...)
	time.AfterFunc(100*time.Millisecond, func() {
		w.mu.Lock()
		w.broken = fmt.Errorf("the log is gone")
		w.mu.Unlock()
		w.append(job.ID, helloLog()[6])
	})
	readEvents(t, web.URL+"/b/"+job.ID+"/live", 0, func(e sse) bool {
		if e.name == "end" {
			t.Error("the page was told that the build has ended")
		}
		return true
	})
	w.mu.Lock()
	w.broken = nil
	w.mu.Unlock()
	w.append(job.ID, helloLog()[7:]...)
	if s := follow(t, web.URL+"/b/"+job.ID, func() int64 { return 0 }); !strings.Contains(s["L2"], "goodbye") {
		t.Errorf("after it came back: %q", s["L2"])
	}
}

// TestALogOfAnotherText: a plan that does not fit the file breaks nothing, live or stored.
func TestALogOfAnotherText(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	web := httptest.NewServer(s)
	defer web.Close()
	plan := helloPlan()
	for n := 4; n < 9; n++ {
		plan.Steps = append(plan.Steps, play.Step{N: n, Stage: 7, Instruction: "RUN", Text: "RUN what", Vertices: []string{"sha256:09"}, Inputs: []int{99}})
	}
	plan.Steps[0].N = 100
	facts := helloLog()
	facts[2] = plan
	facts = append(facts[:10:10], play.Vertex{Digest: "sha256:09", Name: "what", Started: ms(1)}, play.Finished{Outcome: play.Failed, Step: 77, Message: "It failed."})
	job := w.built(w.snippet("x", "Dockerfile", hello), facts[:3]...)
	done := make(chan screen)
	go func() { done <- follow(t, web.URL+"/b/"+job.ID, func() int64 { return 0 }) }()
	for _, f := range facts[3:] {
		w.append(job.ID, f)
		time.Sleep(60 * time.Millisecond)
	}
	if s := <-done; !strings.Contains(s["status"], "It failed.") {
		t.Errorf("status %q", s["status"])
	}
	for _, path := range []string{"/b/" + job.ID, "/b/" + job.ID + ".txt", "/api/v1/builds/" + job.ID + "/steps", "/api/v1/builds/" + job.ID} {
		if r := ask(s, "GET", path, ""); r.Code != 200 {
			t.Errorf("%s: %d %s", path, r.Code, r.Body)
		}
	}
}
