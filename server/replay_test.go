package server_test

import (
	"strings"
	"testing"

	"slipway/sandbox/replay"
	"slipway/server/play"
	"slipway/server/view"
)

// TestRecordedBuilds shows every recorded build in every way there is.
func TestRecordedBuilds(t *testing.T) {
	scenarios, err := replay.Scenarios()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	s := w.server()
	for _, sc := range scenarios {
		t.Run(sc.Name, func(t *testing.T) {
			req := sc.Request
			req.Revision = sc.Revision.ID
			w.AddRevision(t.Context(), sc.Revision, epoch)
			job, err := w.Submit(t.Context(), play.Viewer{ID: "x"}, req, "")
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range sc.Events {
				w.append(job.ID, e.Fact)
			}
			fold := view.Fold(w.logs[job.ID])
			finished := fold.Timeline().Finished
			page := ask(s, "GET", "/b/"+job.ID, "").Body.String()
			for _, line := range fold.Lines(0, 0) {
				if !strings.Contains(page, line.HTML) {
					t.Errorf("line %d is not on the page: %q", line.N, line.Text)
				}
			}
			type summary struct {
				Status, Outcome, Message string
				Place                    *play.Place
			}
			got := decode[summary](t, ask(s, "GET", "/api/v1/builds/"+job.ID, ""), 200)
			if got.Status != "finished" || got.Outcome != string(finished.Outcome) || got.Message != finished.Message || !equalJSON(got.Place, finished.At) {
				t.Errorf("%+v, want %+v", got, finished)
			}
			steps := decode[struct{ Steps []struct{ N int } }](t, ask(s, "GET", "/api/v1/builds/"+job.ID+"/steps", ""), 200)
			if seen := fold.Timeline().Steps; len(seen) > 0 && len(steps.Steps) != len(seen) {
				t.Errorf("%d steps are explained, %d were planned", len(steps.Steps), len(seen))
			}
			text := ask(s, "GET", "/b/"+job.ID+".txt", "")
			if text.Code != 200 || finished.Message != "" && !strings.Contains(text.Body.String(), finished.Message) {
				t.Errorf("as text: %d %s", text.Code, text.Body)
			}
			live := ask(s, "GET", "/b/"+job.ID+"/live", "").Body.String()
			if !strings.HasSuffix(live, "data: finished\n\n") {
				t.Error("the stream has no end")
			}
		})
	}
}
