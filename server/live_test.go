package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/server/play"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// sse is one server-sent event.
type sse struct{ name, id, data string }

// readEvents reads whole events and gives them to each, until it says stop, the stream ends, or about cut bytes
// have come (0: no cut), as a connection that breaks off would.
func readEvents(t testing.TB, url string, cut int64, each func(sse) (more bool)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Content-Encoding") != "" {
		t.Errorf("%s: %s %v", url, res.Status, res.Header)
		return
	}
	body := io.Reader(res.Body)
	if cut > 0 {
		body = io.LimitReader(body, cut)
	}
	lines := bufio.NewReader(body)
	var e sse
	var data []string
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "":
			if len(data) > 0 {
				e.data = strings.Join(data, "\n")
				if !each(e) {
					return
				}
			}
			e, data = sse{}, nil
		case "event":
			e.name = value
		case "id":
			e.id = value
		case "data":
			data = append(data, value)
		}
	}
}

// A screen is what a page shows after the events of a live stream: the HTML of every element with an id.
type screen map[string]string

// apply does what the page's script does with an event.
func (s screen) apply(t testing.TB, e sse) {
	t.Helper()
	nodes, err := html.ParseFragment(strings.NewReader(e.data), &html.Node{Type: html.ElementNode, Data: "body", DataAtom: atom.Body})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		id := attr(n, "id")
		if n.Type != html.ElementNode {
			if strings.TrimSpace(n.Data) != "" {
				t.Errorf("%s: text %q outside of an element", e.name, n.Data)
			}
			continue
		}
		if id == "" {
			t.Errorf("%s: an element without an id: %s", e.name, render(n))
		}
		if id != "steps" {
			s[id] = render(n)
			continue
		}
		var list []string
		for li := range n.ChildNodes() {
			if id := attr(li, "id"); id != "" {
				s[id] = render(li)
				list = append(list, id)
			}
		}
		s["steps"] = strings.Join(list, " ")
	}
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func render(n *html.Node) string {
	var b strings.Builder
	html.Render(&b, n)
	return b.String()
}

// follow reads a live stream to its end as a page would, coming back after every break.
func follow(t testing.TB, base string, cut func() int64) screen {
	t.Helper()
	s, after, ended := screen{}, "0", false
	for tries := 0; !ended; tries++ {
		if tries > 2000 {
			t.Error("no end")
			return s
		}
		readEvents(t, base+"/live?after="+after, cut(), func(e sse) bool {
			if e.name == "end" {
				ended = true
				return false
			}
			s.apply(t, e)
			after = e.id
			return true
		})
		if t.Failed() {
			return s
		}
	}
	return s
}

// longLog is a build that prints a lot, in pieces that end anywhere.
func longLog(rnd *rand.Rand, pieces int) []play.Fact {
	facts := helloLog()[:5]
	texts := []string{"a", "line\n", "\rprogress", "\x1b[31mred\x1b[0m", "\n", "wide 漢字 ", "<script>\n", "\x1b[A", "50%\r", "\r\n"}
	for range pieces {
		var b strings.Builder
		for range rnd.IntN(20) + 1 {
			b.WriteString(texts[rnd.IntN(len(texts))])
		}
		facts = append(facts, play.Output{Vertex: "sha256:02", Stream: 1 + rnd.IntN(2), Data: b.String()})
		if rnd.IntN(20) == 0 {
			facts = append(facts, play.Progress{Vertex: "sha256:01", ID: "layer", Current: int64(rnd.IntN(1000)), Total: 1000})
		}
		if rnd.IntN(200) == 0 {
			facts = append(facts, helloPlan())
		}
	}
	return append(facts, helloLog()[8:]...)
}

// TestLiveIsReplay: whoever joins late, drops out or comes back ends with the same page as who saw it all.
func TestLiveIsReplay(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	w := newWorld(t)
	s := w.server()
	web := httptest.NewServer(s)
	defer web.Close()
	sn := w.snippet("x", "Dockerfile", hello)
	job := w.built(sn)
	url := web.URL + "/b/" + job.ID
	facts := longLog(rnd, 600)

	cuts := make([]*rand.Rand, 8)
	screens := make([]screen, len(cuts))
	var readers sync.WaitGroup
	for i := range cuts {
		cuts[i] = rand.New(rand.NewPCG(3, uint64(i)))
		readers.Go(func() {
			time.Sleep(time.Duration(i) * 20 * time.Millisecond)
			screens[i] = follow(t, url, func() int64 {
				if i == 0 {
					return 0
				}
				return 500 << cuts[i].Int64N(13) // up to 2 MB: more than a page holds
			})
		})
	}
	for len(facts) > 0 {
		n := min(len(facts), 1+rnd.IntN(12))
		w.append(job.ID, facts[:n]...)
		facts = facts[n:]
		time.Sleep(time.Duration(rnd.IntN(8)) * time.Millisecond)
	}
	readers.Wait()
	late := follow(t, url, func() int64 { return 0 })
	if len(late) < 100 || late["status"] == "" || late["step-2"] == "" || late["L1"] == "" {
		t.Fatalf("the page is not whole: %d elements", len(late))
	}
	for i, got := range append(screens, late) {
		if diff := differs(screens[0], got); diff != "" {
			t.Errorf("reader %d: %s", i, diff)
		}
	}
	// The page itself shows the same rows.
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, _ := io.ReadAll(res.Body)
	if n := strings.Count(string(page), `id="L`); n != len(rows(late)) {
		t.Errorf("the page has %d rows, the stream %d", n, len(rows(late)))
	}
}

func rows(s screen) []string {
	return slices.Collect(func(yield func(string) bool) {
		for id := range s {
			if strings.HasPrefix(id, "L") && !yield(id) {
				return
			}
		}
	})
}

func differs(want, got screen) string {
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if want[id] != got[id] {
			return fmt.Sprintf("%s is\n%s\nnot\n%s", id, got[id], want[id])
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d elements, not %d", len(got), len(want))
	}
	return ""
}

// TestEventsResumeExactly: every event comes once and in order, however often the connection breaks.
// What is stored may have been seen by someone: whoever asks later is shown no less, however slow the log is read.
func TestNobodyIsShownLess(t *testing.T) {
	w := newWorld(t)
	w.slow = 30 * time.Millisecond // more than a drawing waits for
	s := w.server()
	facts := []play.Fact{play.Queued{}}
	for range 8 {
		facts = append(facts, play.Output{Stream: 1, Data: "one more line\n"})
	}
	job := w.built(w.snippet("", "Dockerfile", "FROM x\n"), facts...)
	for want := 8; want < 10; want++ { // the second finds the first's reader
		r := ask(s, "GET", "/b/"+job.ID+"/log.txt", "")
		if n := strings.Count(r.Body.String(), "one more line"); n != want {
			t.Errorf("%d of %d lines: %s", n, want, r.Body)
		}
		w.append(job.ID, play.Output{Stream: 1, Data: "one more line\n"})
	}
}

func TestEventsResumeExactly(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	w := newWorld(t)
	s := w.server()
	web := httptest.NewServer(s)
	defer web.Close()
	job := w.built(w.snippet("x", "Dockerfile", hello))
	url := web.URL + "/api/v1/builds/" + job.ID + "/events"
	facts := longLog(rnd, 400)
	go func() {
		for _, f := range facts {
			w.append(job.ID, f)
			if rnd.IntN(10) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	var got []play.Event
	after := "0"
	cut := rand.New(rand.NewPCG(7, 8))
	for tries := 0; len(got) < len(facts) && tries < 2000 && !t.Failed(); tries++ {
		readEvents(t, url+"?after="+after, 200+cut.Int64N(20_000), func(e sse) bool {
			var event play.Event
			if err := json.Unmarshal([]byte(e.data), &event); err != nil || fmt.Sprint(event.Seq) != e.id || e.name != "" {
				t.Errorf("%v: %+v", err, e)
			}
			got, after = append(got, event), e.id
			return true
		})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !reflect.DeepEqual(jsonOf(got), jsonOf(w.logs[job.ID])) {
		t.Errorf("%d events came, %d were written", len(got), len(w.logs[job.ID]))
	}
}

func jsonOf(events []play.Event) string {
	b, _ := json.Marshal(events)
	return string(b)
}

func TestEventsAsLines(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	job := w.built(w.snippet("x", "Dockerfile", hello), helloLog()...)
	path := "/api/v1/builds/" + job.ID + "/events"
	r := ask(s, "GET", path, "", "Accept", "application/x-ndjson", "Last-Event-ID", "10")
	if got := r.Body.String(); r.Header().Get("Content-Type") != "application/x-ndjson" ||
		got != jsonLine(w.logs[job.ID][10])+jsonLine(w.logs[job.ID][11]) {
		t.Errorf("%s %s", r.Header().Get("Content-Type"), got)
	}
	for _, after := range []string{"-1", "x", "99999999999999999999"} {
		if r := ask(s, "GET", path+"?after="+after, ""); r.Code != 422 {
			t.Errorf("after %s: %d", after, r.Code)
		}
	}
}

func jsonLine(e play.Event) string {
	b, _ := json.Marshal(e)
	return string(b) + "\n"
}
