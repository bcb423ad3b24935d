package server_test

import (
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"time"

	"slipway/server"
	"slipway/server/play"
)

func TestSharedPage(t *testing.T) {
	now := epoch
	w := newWorld(t)
	s := w.server(func(c *server.Config) { c.Now = func() time.Time { return now } })
	sn := w.snippet(play.VisitorID(alice), "Dockerfile", hello)
	path := "/b/" + w.built(sn, helloLog()...).ID

	plain := ask(s, "GET", path, "")
	tag := plain.Header().Get("ETag")
	if plain.Code != 200 || tag == "" || plain.Header().Get("Cache-Control") != "no-cache" || plain.Header().Get("Vary") != "Accept-Encoding" || plain.Header().Get("Set-Cookie") != "" {
		t.Fatalf("%d %v", plain.Code, plain.Header())
	}
	// The owner and a stranger get the same bytes: there is nothing left to cancel.
	if owner := ask(s, "GET", path, "", bearer(alice)...); owner.Body.String() != plain.Body.String() {
		t.Error("the page depends on who asks")
	}
	zipped := ask(s, "GET", path, "", "Accept-Encoding", "br, gzip")
	z, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(z); string(b) != plain.Body.String() || zipped.Header().Get("Content-Encoding") != "gzip" || zipped.Header().Get("ETag") != tag {
		t.Errorf("%v", zipped.Header())
	}
	for _, match := range []string{tag, `"x", ` + tag} {
		if r := ask(s, "GET", path, "", "If-None-Match", match); r.Code != 304 || r.Body.Len() > 0 || r.Header().Get("ETag") != tag {
			t.Errorf("%s: %d %v", match, r.Code, r.Header())
		}
	}
	if r := ask(s, "GET", path, "", "If-None-Match", `"x"`); r.Code != 200 {
		t.Errorf("%d", r.Code)
	}

	// Another server, or this one after it forgot everything, draws the same.
	if other := ask(w.server(), "GET", path, ""); other.Body.String() != plain.Body.String() {
		t.Error("the page depends on the server")
	}
	// The build stays, but the title may change.
	w.Rename(t.Context(), sn.ID, "Another title", now)
	now = now.Add(2 * time.Minute)
	if r := ask(s, "GET", path, "", "If-None-Match", tag); r.Code != 200 || !strings.Contains(r.Body.String(), "Another title") {
		t.Errorf("%d: the old title stays", r.Code)
	}
}

func TestARunningBuildIsNotShared(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	sn := w.snippet(play.VisitorID(alice), "Dockerfile", hello)
	job := w.built(sn, helloLog()[:6]...)
	mine, other := ask(s, "GET", "/b/"+job.ID, "", bearer(alice)...), ask(s, "GET", "/b/"+job.ID, "")
	if !strings.Contains(mine.Body.String(), `id="cancel"`) || strings.Contains(other.Body.String(), `id="cancel"`) {
		t.Error("only the owner can cancel")
	}
	if mine.Header().Get("ETag") != "" || !strings.Contains(mine.Body.String(), "data-live=") {
		t.Errorf("%v", mine.Header())
	}
	for _, path := range []string{"/b/" + job.ID + "/cancel", "/api/v1/builds/" + job.ID + "/cancel"} {
		if r := ask(s, "POST", path, "", bearer(bob)...); r.Code != 403 {
			t.Errorf("someone else cancels: %d", r.Code)
		}
		if r := ask(s, "POST", path, ""); r.Code != 403 {
			t.Errorf("nobody cancels: %d", r.Code)
		}
	}
	if r := ask(s, "POST", "/api/v1/builds/"+job.ID+"/cancel", "", bearer(alice)...); r.Code != 204 {
		t.Errorf("%d %s", r.Code, r.Body)
	}
	got := decode[struct{ Status, Outcome, Message string }](t, ask(s, "GET", "/api/v1/builds/"+job.ID, ""), 200)
	if got.Status != "finished" || got.Outcome != "cancelled" || got.Message == "" {
		t.Errorf("%+v", got)
	}
}

func TestSummary(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	sn := w.snippet("x", "Dockerfile", hello)
	type summary struct {
		Status, Outcome, Revision string
		Steps, Cached, Ahead      int
		Image                     struct {
			Ref, Digest string
			Size        int64
		}
	}
	done := decode[summary](t, ask(s, "GET", "/api/v1/builds/"+w.built(sn, helloLog()...).ID, ""), 200)
	if done.Outcome != "ok" || done.Steps != 3 || done.Cached != 1 || done.Image.Ref != "slipway.test/builds/x" || done.Image.Size != 1000 || done.Revision != sn.Revision {
		t.Errorf("%+v", done)
	}
	queued := decode[summary](t, ask(s, "GET", "/api/v1/builds/"+w.built(sn, helloLog()[0]).ID, ""), 200)
	if queued.Status != "queued" || queued.Ahead != 1 || queued.Outcome != "" {
		t.Errorf("%+v", queued)
	}
}
