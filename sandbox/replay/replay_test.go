package replay

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"slipway/server/play"
)

func all(t testing.TB) []Scenario {
	t.Helper()
	scenarios, err := Scenarios()
	if err != nil {
		t.Fatal(err)
	}
	return scenarios
}

// The corpus is whole: every log has the form that the laws demand, and survives being written and read.
func TestCorpus(t *testing.T) {
	for _, s := range all(t) {
		t.Run(s.Name, func(t *testing.T) {
			for i, e := range s.Events {
				if e.Seq != int64(i+1) {
					t.Errorf("event %d has the number %d", i+1, e.Seq)
				}
				if i > 0 && e.At < s.Events[i-1].At {
					t.Errorf("event %d goes back in time", e.Seq)
				}
				_, last := e.Fact.(play.Finished)
				if last != (i == len(s.Events)-1) {
					t.Errorf("event %d: %s", e.Seq, e.Fact.Kind())
				}
				if _, unknown := e.Fact.(play.Unknown); unknown {
					t.Errorf("event %d is of the unknown kind %s", e.Seq, e.Fact.Kind())
				}
			}
			if s.Comment == "" || len(s.Events) < 2 {
				t.Error("no comment, or no events")
			}
			text, err := s.Format()
			if err != nil {
				t.Fatal(err)
			}
			again, err := Parse(s.Name, text)
			if err != nil {
				t.Fatal(err)
			}
			twice, err := again.Format()
			if err != nil || string(twice) != string(text) {
				t.Errorf("written and read it is another: %v", err)
			}
		})
	}
}

func TestBuild(t *testing.T) {
	player := Builder{Scenarios: all(t)}
	for _, s := range player.Scenarios {
		job := play.Build{Job: "mine", Attempt: 3, Request: s.Request, Revision: s.Revision, Created: time.Now()}
		again, err := Record(t.Context(), s, job, player.Build)
		if err != nil {
			t.Fatal(err)
		}
		if len(again.Events) != len(s.Events) {
			t.Errorf("%s: %d events were played as %d", s.Name, len(s.Events), len(again.Events))
		}
		for _, e := range again.Events {
			if f, ok := e.Fact.(play.Started); ok && f.Attempt != 3 {
				t.Errorf("%s: attempt %d", s.Name, f.Attempt)
			}
			if f, ok := e.Fact.(play.Exported); ok && f.Image != "builds/mine" {
				t.Errorf("%s: image %s", s.Name, f.Image)
			}
		}
		other := job
		other.Request.NoCache = true
		end, err := player.Build(t.Context(), other, func(play.Fact) error { return nil })
		if err != nil || end.Outcome != play.Failed || end.Message == "" {
			t.Errorf("what was not recorded ended as %+v, %v", end, err)
		}
	}
}

func TestBuildEndsEarly(t *testing.T) {
	player := Builder{Scenarios: all(t), Speed: 1e-3}
	s := player.Scenarios[0]
	job := play.Build{Request: s.Request, Revision: s.Revision}
	for cause, outcome := range map[error]play.Outcome{play.ErrCancelled: play.Cancelled, play.ErrStopping: ""} {
		ctx, cancel := context.WithCancelCause(t.Context())
		end, err := player.Build(ctx, job, func(f play.Fact) error {
			cancel(cause)
			return nil
		})
		if end.Outcome != outcome || (err == nil) != (outcome != "") || err != nil && !errors.Is(err, cause) {
			t.Errorf("%v: %+v, %v", cause, end, err)
		}
	}
	refused := errors.New("refused")
	if _, err := player.Build(t.Context(), job, func(play.Fact) error { return refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
}

// Whatever the context holds, a scenario is read as it was written; only our own names are refused.
func TestFormat(t *testing.T) {
	for name, file := range map[string]play.File{
		"plain":       {Path: "Dockerfile", Content: []byte("FROM scratch\n")},
		"no line end": {Path: "a", Content: []byte("x")},
		"marker":      {Path: "a", Content: []byte("x\n-- b --\ny\n")},
		"not text":    {Path: "a", Content: []byte("\xff\x00\n")},
		"executable":  {Path: "a", Mode: 0o755, Content: []byte("x\n")},
	} {
		s := Scenario{
			Name: name, Comment: "It is.", Revision: revision(t, file), Want: map[string]string{"view.txt": "x\n"},
			Events: []play.Event{{Seq: 1, Fact: play.Finished{Outcome: play.OK}}},
		}
		text, err := s.Format()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(name, text)
		if err != nil || again.Revision.ID != s.Revision.ID || again.Comment != s.Comment || again.Want["view.txt"] != "x\n" || !slices.Equal(again.Events, s.Events) {
			t.Errorf("%s: %+v, %v", name, again, err)
		}
	}
	for _, path := range []string{headFile, eventsFile, wantDir + "a"} {
		if _, err := (Scenario{Revision: revision(t, play.File{Path: path})}).Format(); err == nil {
			t.Errorf("%s was taken for a file of the context", path)
		}
	}
}

func revision(t *testing.T, files ...play.File) play.Revision {
	t.Helper()
	r, err := play.NewRevision(files, play.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return r
}
