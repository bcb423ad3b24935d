package example_test

import (
	"context"
	"encoding/json"
	"go/format"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/server/dockerfile"
	"slipway/server/example"
	"slipway/server/play"
)

func list(t *testing.T) []example.Example {
	t.Helper()
	all, err := example.All()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestExamplesAreWhole(t *testing.T) {
	entries, err := os.ReadDir("files")
	if err != nil {
		t.Fatal(err)
	}
	all := list(t)
	if len(all) != len(entries) {
		t.Errorf("%d examples are listed, %d files are there", len(all), len(entries))
	}
	ids := map[string]bool{}
	for _, e := range all {
		if e.Title == "" || e.Summary == "" || e.Group == "" || len(e.Learns) < 2 || !slices.Contains([]string{"beginner", "intermediate"}, e.Level) {
			t.Errorf("%s: incomplete: %+v", e.Name, e)
		}
		if !play.IsName(e.ID) || ids[e.ID] {
			t.Errorf("%s: id %q", e.Name, e.ID)
		}
		ids[e.ID] = true
		rev, err := play.NewRevision(e.Files, play.DefaultLimits())
		if err != nil {
			t.Errorf("%s: %v", e.Name, err)
			continue
		}
		src, ok := rev.File("Dockerfile")
		if !ok {
			t.Errorf("%s has no Dockerfile", e.Name)
			continue
		}
		if err := dockerfile.Preflight("Dockerfile", src.Content, nil, play.DefaultLimits()); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
		o := dockerfile.Parse(src.Content)
		if len(o.Problems) > 0 || len(o.Stages) == 0 {
			t.Errorf("%s: %v", e.Name, o.Problems)
		}
		for _, in := range o.Instructions {
			if in.Name == "FROM" && strings.HasSuffix(in.Args[0].Text, ":latest") {
				t.Errorf("%s: FROM %s changes from day to day", e.Name, in.Args[0].Text)
			}
		}
		for _, f := range rev.Files {
			check(t, e.Name, f)
		}
	}
}

// check reads a file as the program that is for it would.
func check(t *testing.T, name string, f play.File) {
	t.Helper()
	switch filepath.Ext(f.Path) {
	case ".json":
		if !json.Valid(f.Content) {
			t.Errorf("%s: %s is not JSON", name, f.Path)
		}
	case ".go":
		if got, err := format.Source(f.Content); err != nil || string(got) != string(f.Content) {
			t.Errorf("%s: %s is not formatted: %v", name, f.Path, err)
		}
	}
	if strings.Contains(string(f.Content), "\t") && filepath.Ext(f.Path) != ".go" {
		t.Errorf("%s: %s holds a tab", name, f.Path)
	}
}

func TestStarterIsAnExample(t *testing.T) {
	s, err := example.Starter()
	if err != nil || len(s.Files) == 0 {
		t.Fatal(s, err)
	}
}

// shelf keeps snippets in memory.
type shelf map[string][]play.Snippet

func (s shelf) CreateSnippet(_ context.Context, sn play.Snippet, rev play.Revision) error {
	if s[sn.ID] != nil {
		return play.Errorf(play.Conflict, "It is there.")
	}
	s[sn.ID] = []play.Snippet{sn}
	return nil
}

func (s shelf) Snippet(_ context.Context, id string) (play.Snippet, error) {
	if s[id] == nil {
		return play.Snippet{}, play.Errorf(play.NotFound, "It is not there.")
	}
	return s[id][len(s[id])-1], nil
}

func (s shelf) Revise(_ context.Context, id, base string, rev play.Revision, at time.Time) (play.Snippet, error) {
	sn := s[id][len(s[id])-1]
	if sn.Revision != base {
		return sn, play.Errorf(play.Conflict, "It was changed.")
	}
	sn.Revision = rev.ID
	s[id] = append(s[id], sn)
	return sn, nil
}

func TestSeedOnceAndAfterAChange(t *testing.T) {
	ctx, s, now := context.Background(), shelf{}, time.Unix(0, 0)
	for range 2 {
		if err := example.Seed(ctx, s, now); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range list(t) {
		if len(s[e.ID]) != 1 || s[e.ID][0].Owner != example.Owner {
			t.Errorf("%s: %+v", e.Name, s[e.ID])
		}
	}
	id := list(t)[0].ID
	s[id][0].Revision = "of-an-older-version"
	if err := example.Seed(ctx, s, now); err != nil {
		t.Fatal(err)
	}
	if len(s[id]) != 2 || s[id][1].Revision == s[id][0].Revision {
		t.Errorf("%+v", s[id])
	}
}
