package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"slipway/server/play"
)

const secretCause = "the password is hunter2"

func TestEveryKindInEveryForm(t *testing.T) {
	statuses := map[play.Kind]int{
		play.Invalid: 422, play.NotFound: 404, play.Denied: 403, play.Conflict: 409, play.Limited: 429,
		play.Unavailable: 503, play.Internal: 500,
	}
	at := play.Place{File: "Dockerfile", Range: play.Range{Start: play.Position{Line: 3, Column: 5}, End: play.Position{Line: 3, Column: 9}}}
	for kind, status := range statuses {
		w := newWorld(t)
		s := w.server()
		w.broken = fmt.Errorf("read: %w", play.Errorf(kind, "It went <wrong>.").In(at).Because(errors.New(secretCause)))
		forms := map[string]struct{ path, accept, mediaType, holds string }{
			"browser":     {"/s/0123456789", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html", "It went &lt;wrong&gt;."},
			"curl":        {"/s/0123456789", "*/*", "text/html", "Dockerfile:3:5"},
			"plain text":  {"/s/0123456789", "text/plain", "text/plain", "Dockerfile:3:5: It went <wrong>.\n"},
			"JSON":        {"/s/0123456789", "application/json", "application/problem+json", `"detail":"It went`},
			"API":         {"/api/v1/snippets/0123456789", "*/*", "application/problem+json", `"place":{"file":"Dockerfile","range":{"start":{"line":3,"column":5}`},
			"our script":  {"/s/0123456789", "*/*", "application/problem+json", `"detail":"It went`},
			"API browser": {"/api/v1/snippets/0123456789", "text/html", "application/problem+json", `"kind":"` + string(kind) + `"`},
		}
		for name, form := range forms {
			t.Run(string(kind)+"/"+name, func(t *testing.T) {
				headers := []string{"Accept", form.accept}
				if name == "our script" {
					headers = append(headers, "X-Slipway", "1")
				}
				r := ask(s, "GET", form.path, "", headers...)
				if r.Code != status {
					t.Errorf("status %d, want %d", r.Code, status)
				}
				if got := r.Header().Get("Content-Type"); !strings.HasPrefix(got, form.mediaType) {
					t.Errorf("Content-Type %q, want %q", got, form.mediaType)
				}
				body := r.Body.String()
				if !strings.Contains(body, form.holds) {
					t.Errorf("%q is not in %s", form.holds, body)
				}
				if strings.Contains(body, secretCause) {
					t.Errorf("the cause is shown: %s", body)
				}
				checkHeaders(t, r.Header())
			})
		}
	}
}

// TestUnknownErrorsStayInside: an error without words for people never shows its own.
func TestUnknownErrorsStayInside(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	w.broken = errors.New(secretCause)
	for _, path := range []string{"/s/0123456789", "/api/v1/snippets/0123456789"} {
		r := ask(s, "GET", path, "")
		if r.Code != 500 || strings.Contains(r.Body.String(), "hunter2") || !strings.Contains(r.Body.String(), r.Header().Get("X-Request-Id")) {
			t.Errorf("%d %s", r.Code, r.Body)
		}
	}
}

func TestProblemsOfTheRouterAndTheSchema(t *testing.T) {
	s := newWorld(t).server()
	tests := map[string]struct {
		method, path, body, mediaType string
		status                        int
		kind                          play.Kind
		holds                         string
	}{
		"no such call":     {"GET", "/api/v1/nothing", "", "", 404, play.NotFound, "nothing at this address"},
		"no such method":   {"DELETE", "/api/v1/snippets/0123456789", "", "", 405, play.Invalid, "method"},
		"not JSON":         {"POST", "/api/v1/lint", "FROM x", "application/json", 400, play.Invalid, "can't be read"},
		"no JSON type":     {"POST", "/api/v1/lint", `{"files":{}}`, "text/plain", 415, play.Invalid, "application/json"},
		"form type":        {"POST", "/api/v1/lint", `{"files":{}}`, "application/x-www-form-urlencoded", 415, play.Invalid, "application/json"},
		"no body":          {"POST", "/api/v1/lint", "", "application/json", 400, play.Invalid, "can't be read"},
		"not UTF-8":        {"POST", "/api/v1/lint", "{\"files\":{\"Dockerfile\":\"FROM \xff\"}}", "application/json", 400, play.Invalid, "\"detail\":\"The request can't be read: it is not valid UTF-8"},
		"text and base64":  {"POST", "/api/v1/lint", `{"files": {"Dockerfile": {"text": "FROM x", "base64": "eA=="}}}`, "application/json", 422, play.Invalid, "not both"},
		"file is a number": {"POST", "/api/v1/lint", `{"files": {"Dockerfile": 1}}`, "application/json", 422, play.Invalid, "a file is its text"},
		"no files":         {"POST", "/api/v1/lint", `{}`, "application/json", 422, play.Invalid, "files"},
		"files are a list": {"POST", "/api/v1/lint", `{"files": []}`, "application/json", 422, play.Invalid, "files"},
		"bad base64":       {"POST", "/api/v1/lint", `{"files": {"Dockerfile": {"base64": "!"}}}`, "application/json", 422, play.Invalid, "in base64"},
		"unknown field":    {"POST", "/api/v1/lint", `{"files": {}, "fles": 1}`, "application/json", 422, play.Invalid, "fles"},
		"too deep":         {"POST", "/api/v1/lint", strings.Repeat("[", 20000), "application/json", 400, play.Invalid, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := ask(s, test.method, test.path, test.body, "Content-Type", test.mediaType)
			var p struct {
				Type, Title, Detail string
				Status              int
				Kind                play.Kind
				Request             string `json:"request_id"`
			}
			if err := json.Unmarshal(r.Body.Bytes(), &p); err != nil {
				t.Fatalf("%v: %s", err, r.Body)
			}
			if r.Code != test.status || p.Status != test.status || p.Kind != test.kind || p.Title != http.StatusText(test.status) {
				t.Errorf("%d %+v", r.Code, p)
			}
			if p.Request == "" || !strings.Contains(r.Body.String(), test.holds) || r.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s", r.Header().Get("Content-Type"), r.Body)
			}
		})
	}
}

func TestLargeBodies(t *testing.T) {
	s := newWorld(t).server()
	large := `{"files": {"Dockerfile": "` + strings.Repeat("x", 12<<20) + `"}}`
	for _, path := range []string{"/api/v1/lint", "/api/v1/builds", "/api/v1/snippets", "/steps", "/api/v1/unpack", "/"} {
		for _, mediaType := range []string{"application/json", "multipart/form-data; boundary=x"} {
			r := ask(s, "POST", path, large, "Content-Type", mediaType)
			if r.Code != 413 {
				t.Errorf("%s %s: %d %s", path, mediaType, r.Code, r.Body)
			}
		}
		// Without a length the body is counted as it comes.
		req := newRequest("POST", path, struct{ *strings.Reader }{strings.NewReader(large)})
		req.ContentLength = -1
		req.Header.Set("Content-Type", "application/json")
		if path == "/" || path == "/api/v1/unpack" {
			continue // not JSON
		}
		if r := serve(s, req); r.Code != 413 {
			t.Errorf("%s, no length: %d %s", path, r.Code, r.Body)
		}
	}
}

func TestHandlersThatPanicAnswer(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	w.snippets = nil // the next write panics
	r := ask(s, "POST", "/api/v1/snippets", `{"files": {"Dockerfile": "FROM x"}}`)
	if r.Code != 500 || r.Header().Get("Content-Type") != "application/problem+json" || strings.Contains(r.Body.String(), "nil map") {
		t.Errorf("%d %s", r.Code, r.Body)
	}
}
