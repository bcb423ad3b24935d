// Package gallery holds every page in every state as values, for tests and for looking at. No program uses it.
package gallery

import (
	"context"
	"io"
	"time"

	"slipway/server/play"
	"slipway/web"
)

// Page is one page in one state.
type Page struct {
	Name   string // what it shows, as a file name
	Path   string // under which it would be served
	Render func(ctx context.Context, w io.Writer) error
}

// Nonce is what the pages that need a nonce carry.
const Nonce = "gallery-nonce"

// epoch is when everything in the gallery was created.
var epoch = time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)

// Pages are all of them.
func Pages() []Page {
	var out []Page
	add := func(name, path string, p interface {
		Render(context.Context, io.Writer) error
	}) {
		out = append(out, Page{name, path, p.Render})
	}
	layout := func(path string) web.Layout {
		return web.Layout{BaseURL: "http://localhost:8080", Path: path, Nonce: Nonce}
	}

	editor := web.EditorPage{
		Layout: layout("/"), Action: "/", Title: "FastAPI, non-root", Owner: true,
		Revision: Service(), Checked: true, Findings: Findings(), Steps: TextSteps(), Stages: Stages(), Examples: Examples(), Limits: play.DefaultLimits(),
	}
	add("editor", "/", editor)

	empty := editor
	empty.Title, empty.Revision, empty.Findings, empty.Steps, empty.Stages = "", play.Revision{}, nil, nil, nil
	add("editor-empty", "/", empty)

	built := editor
	built.Layout, built.Action = layout("/s/k3bzq8f0wd"), "/s/k3bzq8f0wd"
	built.Snippet = play.Snippet{ID: "k3bzq8f0wd", Title: built.Title, Revision: built.Revision.ID}
	ok := Finished()
	built.Build, built.Steps = &ok, nil
	add("editor-built", "/s/k3bzq8f0wd", built)

	old := built
	old.Old = true
	add("editor-old", "/s/k3bzq8f0wd/"+built.Revision.ID, old)

	foreign := built
	foreign.Owner = false
	foreign.Options = play.BuildRequest{Target: "run", BuildArgs: map[string]string{"VERSION": "1.2"}, Platform: "linux/amd64", NoCache: true, Network: play.NetworkOff}
	add("editor-foreign", "/s/k3bzq8f0wd", foreign)

	refused := editor
	refused.Error = play.Errorf(play.Limited, "There are 212 files; at most 200 are allowed.").In(play.Place{File: "data/200.json"})
	add("editor-refused", "/", refused)

	odd := editor
	odd.Revision, odd.Findings, odd.Steps, odd.Checked = Odd(), nil, nil, true
	add("editor-odd-files", "/", odd)

	snippet := built.Snippet
	for _, b := range []struct {
		name  string
		build web.Build
	}{
		{"build-queued", Queued()},
		{"build-running", Running()},
		{"build-ok", Finished()},
		{"build-failed", Failed()},
		{"build-limit", Ended(play.Finished{Outcome: play.LimitHit, Message: "The build took longer than 10 min, which is the limit.", Step: 6})},
		{"build-cancelled", Ended(play.Finished{Outcome: play.Cancelled, Message: "Someone cancelled it."})},
		{"build-broken", Ended(play.Finished{Outcome: play.Broken, Message: "The builder stopped answering.", Hint: "Build again; nothing of yours is the cause."})},
		{"build-long", Long()},
		{"build-unknown", web.Build{Job: job(play.JobQueued)}},
	} {
		add(b.name, "/b/"+b.build.Job.ID, web.BuildPage{Layout: layout("/b/" + b.build.Job.ID), Build: b.build, Snippet: &snippet, Revision: Service()})
	}
	add("build-without-source", "/b/x", web.BuildPage{Layout: layout("/b/x"), Build: Finished()})
	hostile := Hostile()
	add("build-hostile", "/b/x", hostile)

	add("examples", "/examples", web.ExamplesPage{Layout: layout("/examples"), Examples: Examples()})
	add("examples-none", "/examples", web.ExamplesPage{Layout: layout("/examples")})
	add("rules", "/rules", web.RulesPage{Layout: layout("/rules"), Rules: Rules()})
	add("rules-none", "/rules", web.RulesPage{Layout: layout("/rules")})
	add("rule", "/rules/JSONArgsRecommended", web.RulePage{Layout: layout("/rules/JSONArgsRecommended"), Rule: Rules()[1]})
	add("rule-hostile", "/rules/x", web.RulePage{Layout: layout("/rules/x"), Rule: web.Rule{ID: Evil, Title: Evil, Explain: Evil, Bad: Evil, Good: Evil, Upstream: "javascript:alert(1)"}})
	add("api", "/api", web.APIPage{Layout: layout("/api"), Spec: "/api/v1/openapi.json", Calls: Calls()})
	for _, e := range []struct {
		name   string
		status int
		err    *play.Error
	}{
		{"error-invalid", 422, play.Errorf(play.Invalid, "The file name %q is absolute; names are relative to the build context.", "/etc/passwd")},
		{"error-not-found", 404, play.Errorf(play.NotFound, "There is no build of this name.")},
		{"error-denied", 403, play.Errorf(play.Denied, "Only its owner may change this snippet.")},
		{"error-conflict", 409, play.Errorf(play.Conflict, "The snippet was changed in another window.")},
		{"error-limited", 429, play.Errorf(play.Limited, "You have two builds running; wait until one of them ends.")},
		{"error-unavailable", 503, play.Errorf(play.Unavailable, "The builder is not reachable.")},
		{"error-internal", 500, nil},
	} {
		page := web.ErrorPage{Layout: layout("/x"), Status: e.status, Err: e.err, RequestID: "q7w8x9"}
		if e.status == 429 {
			page.Retry = 30 * time.Second
		}
		add(e.name, "/x", page)
	}
	return out
}
