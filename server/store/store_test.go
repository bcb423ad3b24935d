package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/server/play"
	"slipway/server/store"
)

// Both databases must pass the same suite.

func TestSQLite(t *testing.T) {
	suite(t, "sqlite:"+filepath.Join(t.TempDir(), "sub folder", "a?b#c.db"))
}

func TestPostgres(t *testing.T) {
	suite(t, startPostgres(t))
}

func suite(t *testing.T, dsn string) {
	ctx := t.Context()
	s := open(t, dsn)
	var wg sync.WaitGroup
	for range 3 { // several nodes start at once
		wg.Go(func() {
			if err := s.Migrate(ctx); err != nil {
				t.Errorf("migrate: %v", err)
			}
		})
	}
	wg.Wait()
	for _, c := range []struct {
		name string
		test func(*testing.T, *store.Store)
	}{
		{"a revision comes back as it went in", revisionRoundTrip},
		{"a revision is kept once", revisionOnce},
		{"another revision with the same id is refused", revisionCollision},
		{"revisions that share files come at once", revisionsAtOnce},
		{"a snippet lives", snippetLife},
		{"a snippet is never overwritten", snippetConflict},
		{"one of many writers wins", snippetRace},
		{"titles are checked", snippetTitles},
		{"a job only moves forward", jobLife},
		{"a viewer has only so many jobs", jobLimit},
		{"the limit holds under a rush", jobRush},
		{"a log comes back as it went in", logRoundTrip},
		{"old logs go, jobs stay", logRetention},
		{"what is not there is not found", notFound},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, s) })
	}
	t.Run("all is there after a restart", func(t *testing.T) {
		want := play.Snippet{ID: id(t, 1), Title: "Kept", Created: noon, Updated: noon}
		rev := revision(t, text("Dockerfile", "FROM busybox\n"))
		if err := s.CreateSnippet(ctx, want, rev); err != nil {
			t.Fatal(err)
		}
		again := open(t, dsn)
		if err := again.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		want.Revision = rev.ID
		if got, err := again.Snippet(ctx, want.ID); err != nil || got != want {
			t.Errorf("after reopening: %+v, %v; want %+v", got, err, want)
		}
	})
}

func open(t *testing.T, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)

func revision(t *testing.T, files ...play.File) play.Revision {
	t.Helper()
	rev, err := play.NewRevision(files, play.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func text(path, content string) play.File { return play.File{Path: path, Content: []byte(content)} }

// id makes an id that only this test uses.
func id(t *testing.T, n int) string {
	return play.VisitorID(fmt.Sprint(t.Name(), n))
}

func revisionRoundTrip(t *testing.T, s *store.Store) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	rev := revision(t,
		text("Dockerfile", "FROM busybox\n"), text("empty", ""), play.File{Path: "nil"},
		text("Z", "upper"), text("a", "lower"), text("ä/ü.txt", "same"), text("b/copy", "same"),
		play.File{Path: "run.sh", Mode: 0o755, Content: []byte("#!/bin/sh\n")}, play.File{Path: "bytes", Content: all})
	if err := s.AddRevision(t.Context(), rev, noon); err != nil {
		t.Fatal(err)
	}
	got, err := s.Revision(t.Context(), rev.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Files) != len(rev.Files) {
		t.Fatalf("%d files came back of %d", len(got.Files), len(rev.Files))
	}
	for i, want := range rev.Files {
		f := got.Files[i]
		if f.Path != want.Path || f.Mode != want.Mode || string(f.Content) != string(want.Content) {
			t.Errorf("file %d came back as %s %v (%d bytes), want %s %v (%d bytes)", i, f.Path, f.Mode, len(f.Content), want.Path, want.Mode, len(want.Content))
		}
	}
	if again := revision(t, got.Files...); again.ID != rev.ID {
		t.Errorf("what came back has the id %s, want %s", again.ID, rev.ID)
	}
}

func revisionOnce(t *testing.T, s *store.Store) {
	rev := revision(t, text("Dockerfile", "FROM scratch\n"), text("x", t.Name()))
	for range 2 {
		if err := s.AddRevision(t.Context(), rev, noon); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Revision(t.Context(), rev.ID); err != nil || len(got.Files) != 2 {
		t.Errorf("read back: %v, %v", got, err)
	}
}

func revisionCollision(t *testing.T, s *store.Store) {
	rev := revision(t, text("Dockerfile", "FROM scratch\n"), text("x", t.Name()))
	if err := s.AddRevision(t.Context(), rev, noon); err != nil {
		t.Fatal(err)
	}
	other := revision(t, text("Dockerfile", "FROM scratch\n"), text("x", t.Name()+"!"))
	other.ID = rev.ID
	if err := s.AddRevision(t.Context(), other, noon); play.KindOf(err) != play.Internal || !strings.Contains(err.Error(), rev.ID) {
		t.Errorf("a collision gave %v", err)
	}
	if got, err := s.Revision(t.Context(), rev.ID); err != nil || string(got.Files[1].Content) != t.Name() {
		t.Errorf("the first one was changed: %v, %v", got, err)
	}
}

func revisionsAtOnce(t *testing.T, s *store.Store) {
	var wg sync.WaitGroup
	for n := range 12 {
		wg.Go(func() {
			files := []play.File{text("n", fmt.Sprint(t.Name(), n/2))} // every revision comes twice
			for i := range 10 {
				files = append(files, text(fmt.Sprint("f", (i*7+n)%10), fmt.Sprint(t.Name(), "shared", i)))
			}
			if err := s.AddRevision(t.Context(), revision(t, files...), noon); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func snippetLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	first := revision(t, text("Dockerfile", "FROM busybox\n"), text("v", "1"))
	second := revision(t, text("Dockerfile", "FROM busybox\n"), text("v", "2"))
	want := play.Snippet{ID: id(t, 1), Title: "Hello, wörld", Owner: "me", ForkedFrom: "other", Created: noon, Updated: noon}
	if err := s.CreateSnippet(ctx, want, first); err != nil {
		t.Fatal(err)
	}
	want.Revision = first.ID
	check := func() {
		t.Helper()
		if got, err := s.Snippet(ctx, want.ID); err != nil || got != want {
			t.Fatalf("the snippet is %+v, %v\nwant %+v", got, err, want)
		}
	}
	check()
	for i, rev := range []play.Revision{second, first} { // and back again
		want.Updated = noon.Add(time.Duration(i+1) * time.Minute)
		got, err := s.Revise(ctx, want.ID, want.Revision, rev, want.Updated)
		want.Revision = rev.ID
		if err != nil || got != want {
			t.Fatalf("revised: %+v, %v; want %+v", got, err, want)
		}
		check()
	}
	if got, err := s.Revise(ctx, want.ID, second.ID, first, noon.Add(time.Hour)); err != nil || got != want {
		t.Errorf("the latest added again: %+v, %v; want %+v", got, err, want)
	}
	want.Title, want.Updated = "Renamed", noon.Add(2*time.Hour)
	if err := s.Rename(ctx, want.ID, want.Title, want.Updated); err != nil {
		t.Fatal(err)
	}
	check()
	versions, err := s.Versions(ctx, want.ID)
	if wantVersions := []play.Version{
		{N: 1, Revision: first.ID, Created: noon},
		{N: 2, Revision: second.ID, Created: noon.Add(time.Minute)},
		{N: 3, Revision: first.ID, Created: noon.Add(2 * time.Minute)},
	}; err != nil || !reflect.DeepEqual(versions, wantVersions) {
		t.Errorf("versions: %v, %v\nwant %v", versions, err, wantVersions)
	}
}

func snippetConflict(t *testing.T, s *store.Store) {
	ctx := t.Context()
	revs := make([]play.Revision, 3)
	for i := range revs {
		revs[i] = revision(t, text("Dockerfile", fmt.Sprint("FROM busybox\n#", i)))
	}
	sn := play.Snippet{ID: id(t, 1), Created: noon, Updated: noon}
	if err := s.CreateSnippet(ctx, sn, revs[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Revise(ctx, sn.ID, revs[0].ID, revs[1], noon); err != nil {
		t.Fatal(err)
	}
	_, err := s.Revise(ctx, sn.ID, revs[0].ID, revs[2], noon)
	var e *play.Error
	if !errors.As(err, &e) || e.Kind != play.Conflict || !strings.Contains(e.Msg, revs[0].ID) || !strings.Contains(e.Msg, revs[1].ID) {
		t.Errorf("an edit of an old revision gave %v; want a conflict that names %s and %s", err, revs[0].ID, revs[1].ID)
	}
	if versions, err := s.Versions(ctx, sn.ID); err != nil || len(versions) != 2 {
		t.Errorf("versions after the conflict: %v, %v", versions, err)
	}
}

func snippetRace(t *testing.T, s *store.Store) {
	ctx := t.Context()
	base := revision(t, text("Dockerfile", "FROM busybox\n# base of the race"))
	sn := play.Snippet{ID: id(t, 1), Created: noon, Updated: noon}
	if err := s.CreateSnippet(ctx, sn, base); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	won := make(chan string, 8)
	for n := range 8 {
		wg.Go(func() {
			rev := revision(t, text("Dockerfile", fmt.Sprint("FROM busybox\n# racer ", n)))
			_, err := s.Revise(ctx, sn.ID, base.ID, rev, noon)
			if err == nil {
				won <- rev.ID
			} else if play.KindOf(err) != play.Conflict {
				t.Errorf("racer %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	got, err := s.Snippet(ctx, sn.ID)
	if err != nil || len(won) != 1 || got.Revision != <-won {
		t.Errorf("%d won; the latest is %v, %v", len(won), got, err)
	}
}

func snippetTitles(t *testing.T, s *store.Store) {
	rev := revision(t, text("Dockerfile", "FROM busybox\n"))
	for title, kind := range map[string]play.Kind{"a\x00b": play.Invalid, "\xff": play.Invalid, strings.Repeat("ä", 201): play.Limited} {
		err := s.CreateSnippet(t.Context(), play.Snippet{ID: id(t, 1), Title: title}, rev)
		if play.KindOf(err) != kind {
			t.Errorf("title %.20q: %v, want %s", title, err, kind)
		}
		if err := s.Rename(t.Context(), id(t, 1), title, noon); play.KindOf(err) != kind {
			t.Errorf("renamed to %.20q: %v, want %s", title, err, kind)
		}
	}
}

func notFound(t *testing.T, s *store.Store) {
	ctx, no := t.Context(), "0000000000"
	rev := revision(t, text("Dockerfile", "FROM busybox\n"))
	for what, err := range map[string]error{
		"snippet":  second(s.Snippet(ctx, no)),
		"revision": second(s.Revision(ctx, no)),
		"job":      second(s.Job(ctx, no)),
		"revise":   second(s.Revise(ctx, no, no, rev, noon)),
		"rename":   s.Rename(ctx, no, "x", noon),
	} {
		if play.KindOf(err) != play.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	if log, err := s.Log(ctx, no); log != nil || err != nil {
		t.Errorf("the log of no job is %v, %v", log, err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestOpenFails(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, dsn := range []string{"postgres://nobody@127.0.0.1:1/none", "sqlite:/dev/null/x.db"} {
		if s, err := store.Open(ctx, dsn); err == nil {
			s.Close()
			t.Errorf("%s was opened", dsn)
		}
	}
}
