package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"slipway/server"
	"slipway/server/play"
)

// TestEveryRoute asks for every route once, as a browser or curl would, and fails if one is not in the list.
func TestEveryRoute(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	mine := play.VisitorID(alice)
	sn := w.snippet(mine, "Dockerfile", hello)
	done := w.built(sn, helloLog()...)
	running := w.built(sn, helloLog()[:6]...)
	files := `{"files": {"Dockerfile": "FROM debian:bookworm-slim\nRUN echo hi\n"}}`
	tests := []struct {
		route, path, body string
		status            int
		mediaType, holds  string
	}{
		{"GET /", "/", "", 200, "text/html", "pip install"},
		{"POST /", "/", "", 422, "text/html", "multipart/form-data"},
		{"GET /new", "/new", "", 200, "text/html", "FROM debian:bookworm-slim"},
		{"GET /examples", "/examples", "", 200, "text/html", "FastAPI 3: multi-stage"},
		{"GET /s/:snippet", "/s/" + sn.ID, "", 200, "text/html", "RUN echo hello"},
		{"POST /s/:snippet", "/s/" + sn.ID, "", 422, "text/html", "multipart/form-data"},
		{"GET /s/:snippet/:revision", "/s/" + sn.ID + "/" + sn.Revision, "", 200, "text/html", "RUN echo hello"},
		{"POST /steps", "/steps", files, 200, "text/html", `id="step-2"`},
		{"GET /b/:build", "/b/" + done.ID, "", 200, "text/html", "goodbye"},
		{"GET /b/:build", "/b/" + running.ID, "", 200, "text/html", "RUN echo hello"},
		{"GET /b/:build", "/b/" + done.ID + ".txt", "", 200, "text/plain", "goodbye"},
		{"GET /b/:build/live", "/b/" + done.ID + "/live?after=12", "", 200, "text/event-stream", "event: end"},
		{"GET /b/:build/log.txt", "/b/" + done.ID + "/log.txt", "", 200, "text/plain", "hello\nand goodbye\n"},
		{"POST /b/:build/cancel", "/b/" + running.ID + "/cancel", "", 303, "", ""},
		{"GET /rules", "/rules", "", 200, "text/html", "StageNameCasing"},
		{"GET /rules/:rule", "/rules/StageNameCasing", "", 200, "text/html", "StageNameCasing"},
		{"GET /api", "/api", "", 200, "text/html", "/api/v1/builds"},
		{"GET /healthz", "/healthz", "", 200, "text/plain", "ok"},
		{"GET /readyz", "/readyz", "", 200, "application/json", `"ready":true`},
		{"GET /robots.txt", "/robots.txt", "", 200, "text/plain", "Disallow"},
		{"GET /static/*", "/static/nothing.js", "", 404, "", ""},
		{"any /v2/*", "/v2/builds/x/manifests/latest", "", 200, "", "registry /v2/builds/x/manifests/latest"},
		{"POST /api/v1/snippets", "/api/v1/snippets", files, 201, "application/json", `"url":"http://slipway.test/s/`},
		{"GET /api/v1/snippets/:id", "/api/v1/snippets/" + sn.ID, "", 200, "application/json", `"files":{"Dockerfile":"FROM`},
		{"PUT /api/v1/snippets/:id", "/api/v1/snippets/" + sn.ID, files, 428, "application/problem+json", "If-Match"},
		{"GET /api/v1/revisions/:revision", "/api/v1/revisions/" + sn.Revision, "", 200, "application/json", "RUN echo hello"},
		{"POST /api/v1/lint", "/api/v1/lint", files, 200, "application/json", `{"diagnostics":[]}`},
		{"POST /api/v1/explain", "/api/v1/explain", files, 200, "application/json", `{"steps":[{"n":1`},
		{"POST /api/v1/builds", "/api/v1/builds", files, 202, "application/json", `"events_url":"http://slipway.test/api/v1/builds/`},
		{"GET /api/v1/builds/:id", "/api/v1/builds/" + done.ID, "", 200, "application/json", `"outcome":"ok"`},
		{"GET /api/v1/builds/:id/events", "/api/v1/builds/" + done.ID + "/events", "", 200, "text/event-stream", "id: 12\n"},
		{"GET /api/v1/builds/:id/steps", "/api/v1/builds/" + done.ID + "/steps", "", 200, "application/json", `"status":"ran"`},
		{"GET /api/v1/builds/:id/log.txt", "/api/v1/builds/" + done.ID + "/log.txt", "", 200, "text/plain", "goodbye"},
		{"POST /api/v1/builds/:id/cancel", "/api/v1/builds/" + done.ID + "/cancel", "", 204, "", ""},
		{"GET /api/v1/rules", "/api/v1/rules", "", 200, "application/json", "StageNameCasing"},
		{"POST /api/v1/unpack", "/api/v1/unpack", "", 422, "application/problem+json", "multipart/form-data"},
		{"GET /api/v1/openapi.json", "/api/v1/openapi.json", "", 200, "application/openapi+json", `"openapi":"3.1.0"`},
	}
	known, seen := map[string]bool{}, map[string]bool{}
	for _, route := range s.Routes() {
		known[route] = true
	}
	for _, test := range tests {
		t.Run(test.route, func(t *testing.T) {
			method, _, _ := strings.Cut(test.route, " ")
			if method == "any" {
				method = "GET"
			}
			seen[test.route] = true
			r := ask(s, method, test.path, test.body, bearer(alice)...)
			if r.Code != test.status {
				t.Fatalf("status %d, want %d: %s", r.Code, test.status, r.Body)
			}
			if got := r.Header().Get("Content-Type"); !strings.HasPrefix(got, test.mediaType) {
				t.Errorf("Content-Type %q, want %q", got, test.mediaType)
			}
			if body := r.Body.String(); !strings.Contains(body, test.holds) {
				t.Errorf("%q is not in\n%s", test.holds, body)
			}
			checkHeaders(t, r.Header())
			if head := strings.Replace(test.route, "GET ", "HEAD ", 1); method == "GET" && known[head] {
				seen[head] = true
				if h := ask(s, "HEAD", test.path, "", bearer(alice)...); h.Code != r.Code {
					t.Errorf("HEAD answers with %d", h.Code)
				}
			}
		})
	}
	for route := range known {
		if strings.Contains(route, "/openapi") {
			continue // huma adds five forms of the same
		}
		if !seen[route] && !strings.HasSuffix(route, " /v2/*") {
			t.Errorf("%s is not tested", route)
		}
	}
}

func checkHeaders(t *testing.T, h http.Header) {
	t.Helper()
	for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy", "Permissions-Policy", "X-Request-Id"} {
		if h.Get(name) == "" {
			t.Errorf("no header %s", name)
		}
	}
	csp := h.Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("Content-Security-Policy: %s", csp)
	}
	if isPage := strings.HasPrefix(h.Get("Content-Type"), "text/html"); isPage != strings.Contains(csp, "script-src 'self';") {
		t.Errorf("page %t, Content-Security-Policy: %s", isPage, csp)
	}
}

func TestOpenAPI(t *testing.T) {
	s := newWorld(t).server()
	var doc struct {
		Paths map[string]map[string]struct {
			Summary   string
			Responses map[string]any
		}
	}
	body := ask(s, "GET", "/api/v1/openapi.json", "").Body.String()
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(body, "$schema") {
		t.Error("bodies carry $schema")
	}
	page := ask(s, "GET", "/api", "").Body.String()
	var documented []string
	for path, methods := range doc.Paths {
		for method, op := range methods {
			documented = append(documented, strings.ToUpper(method)+" "+path)
			if op.Summary == "" || op.Responses["default"] == nil {
				t.Errorf("%s %s: incomplete: %+v", method, path, op)
			}
			if !strings.Contains(page, "/api/v1"+path) {
				t.Errorf("%s is not on the page about the API", path)
			}
		}
	}
	for _, route := range s.Routes() {
		method, path, _ := strings.Cut(route, " /api/v1")
		if path == "" || strings.Contains(path, "openapi") {
			continue
		}
		for _, param := range []string{"id", "revision"} {
			path = strings.ReplaceAll(path, ":"+param, "{"+param+"}")
		}
		if !slices.Contains(documented, method+" "+path) {
			t.Errorf("%s %s is not described", method, path)
		}
	}
}

func TestHEADIsGETWithoutABody(t *testing.T) {
	w := newWorld(t)
	web := httptest.NewServer(w.server())
	defer web.Close()
	sn := w.snippet("x", "Dockerfile", hello)
	job := w.built(sn, helloLog()...)
	for path, status := range map[string]int{
		"/": 200, "/b/" + job.ID: 200, "/b/" + job.ID + ".txt": 200, "/nothing": 404, "/api/v1/revisions/" + sn.Revision: 200,
		"/b/" + job.ID + "/live": 405, "/api/v1/builds/" + job.ID + "/events": 405,
	} {
		res, err := http.Head(web.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != status {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

func TestReadiness(t *testing.T) {
	w := newWorld(t)
	s := w.server(func(c *server.Config) {
		c.Checks = append(c.Checks, server.Check{Name: "catalogue", Ready: func(context.Context) error { return errors.New("python:3.14-slim is missing") }})
	})
	r := ask(s, "GET", "/readyz", "")
	if r.Code != 503 || !strings.Contains(r.Body.String(), `{"name":"catalogue","ok":false,"message":"python:3.14-slim is missing"}`) {
		t.Errorf("%d %s", r.Code, r.Body)
	}
	if r := ask(s, "GET", "/healthz", ""); r.Code != 200 {
		t.Errorf("%d", r.Code)
	}
}
