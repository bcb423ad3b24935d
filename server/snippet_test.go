package server_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"slipway/server"
	"slipway/server/example"
	"slipway/server/play"
)

type saved struct{ ID, Revision, URL string }

func decode[T any](t *testing.T, r *httptest.ResponseRecorder, status int) (v T) {
	t.Helper()
	if r.Code != status {
		t.Fatalf("status %d, want %d: %s", r.Code, status, r.Body)
	}
	if err := json.Unmarshal(r.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v: %s", err, r.Body)
	}
	return v
}

func TestSnippetsOverTheAPI(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	body := `{"title": "Hello", "files": {"Dockerfile": "FROM debian:bookworm-slim\n", "run.sh": {"text": "#!/bin/sh\n", "executable": true}, "logo": {"base64": "AP8="}}}`
	one := decode[saved](t, ask(s, "POST", "/api/v1/snippets", body, bearer(alice)...), 201)
	path := "/api/v1/snippets/" + one.ID

	r := ask(s, "GET", path, "")
	got := decode[struct {
		Title, Revision string
		Files           map[string]any
	}](t, r, 200)
	if r.Header().Get("ETag") != `"`+one.Revision+`"` || got.Title != "Hello" || got.Revision != one.Revision {
		t.Errorf("%v %+v", r.Header(), got)
	}
	want := map[string]any{
		"Dockerfile": "FROM debian:bookworm-slim\n",
		"run.sh":     map[string]any{"text": "#!/bin/sh\n", "executable": true},
		"logo":       map[string]any{"base64": "AP8="},
	}
	if a, _ := json.Marshal(got.Files); !equalJSON(got.Files, want) {
		t.Errorf("files %s", a)
	}
	if r := ask(s, "GET", path, "", "If-None-Match", `"`+one.Revision+`"`); r.Code != 304 {
		t.Errorf("unchanged: %d", r.Code)
	}

	next := `{"files": {"Dockerfile": "FROM debian:trixie-slim\n"}}`
	if r := ask(s, "PUT", path, next, bearer(alice)...); r.Code != 428 {
		t.Errorf("without If-Match: %d", r.Code)
	}
	if r := ask(s, "PUT", path, next, append(bearer(alice), "If-Match", `"nothing"`)...); r.Code != 412 || !strings.Contains(r.Body.String(), one.Revision) {
		t.Errorf("stale: %d %s", r.Code, r.Body)
	}
	if r := ask(s, "PUT", path, next, append(bearer(bob), "If-Match", `"`+one.Revision+`"`)...); r.Code != 403 || !strings.Contains(r.Body.String(), "forked_from") {
		t.Errorf("someone else: %d %s", r.Code, r.Body)
	}
	if r := ask(s, "PUT", path, next, "If-Match", `"`+one.Revision+`"`); r.Code != 403 {
		t.Errorf("nobody: %d", r.Code)
	}
	two := decode[saved](t, ask(s, "PUT", path, next, append(bearer(alice), "If-Match", `"`+one.Revision+`"`)...), 200)
	if two.ID != one.ID || two.Revision == one.Revision || w.snippets[one.ID].Title != "Hello" {
		t.Errorf("%+v %+v", two, w.snippets[one.ID])
	}

	fork := decode[saved](t, ask(s, "POST", "/api/v1/snippets", strings.Replace(next, "{", `{"forked_from": "`+one.ID+`", `, 1), bearer(bob)...), 201)
	if sn := w.snippets[fork.ID]; sn.ForkedFrom != one.ID || sn.Owner != play.VisitorID(bob) {
		t.Errorf("%+v", sn)
	}
	if r := ask(s, "POST", "/api/v1/snippets", `{"forked_from": "0123456789", "files": {"a": ""}}`); r.Code != 404 {
		t.Errorf("a fork of nothing: %d", r.Code)
	}
}

func equalJSON(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

func TestRevisionsInEveryFormat(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	sn := w.snippet("x", "Dockerfile", hello, "a/b", "no newline")
	get := func(ext string) *httptest.ResponseRecorder {
		t.Helper()
		r := ask(s, "GET", "/api/v1/revisions/"+sn.Revision+ext, "")
		if r.Code != 200 || !strings.Contains(r.Header().Get("Cache-Control"), "immutable") || r.Header().Get("ETag") == "" {
			t.Fatalf("%s: %d %v", ext, r.Code, r.Header())
		}
		if again := ask(s, "GET", "/api/v1/revisions/"+sn.Revision+ext, "", "If-None-Match", r.Header().Get("ETag")); again.Code != 304 {
			t.Errorf("%s: unchanged: %d", ext, again.Code)
		}
		return r
	}
	for _, ext := range []string{"", ".json"} {
		if b := get(ext).Body.String(); !strings.Contains(b, `"a/b":"no newline"`) {
			t.Errorf("%q: %s", ext, b)
		}
	}
	if b := get(".txtar").Body.String(); !strings.Contains(b, "-- a/b [no final newline] --\nno newline\n") {
		t.Error(b)
	}
	b := get(".zip").Body.Bytes()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil || len(z.File) != 2 {
		t.Errorf("%v", err)
	}
	if h, err := tar.NewReader(get(".tar").Body).Next(); err != nil || h.Name != "./Dockerfile" {
		t.Errorf("%v %v", h, err)
	}
	for _, bad := range []string{sn.Revision + ".rar", sn.Revision + ".", "nothing", "0123456789", "..%2f..%2fetc"} {
		if r := ask(s, "GET", "/api/v1/revisions/"+bad, ""); r.Code != 404 {
			t.Errorf("%s: %d %s", bad, r.Code, r.Body)
		}
	}
}

// post sends the editor's form: fields as name, value; a name with "@" in front is an uploaded file.
func post(s *server.Server, path string, headers []string, fields ...string) *httptest.ResponseRecorder {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		if name, ok := strings.CutPrefix(fields[i], "@"); ok {
			f, _ := w.CreateFormFile("upload", name)
			io.WriteString(f, fields[i+1])
			continue
		}
		w.WriteField(fields[i], fields[i+1])
	}
	w.Close()
	r := newRequest("POST", path, &b)
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return serve(s, r)
}

func TestEditorWithoutScript(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	fields := []string{"title", " My title ", "path.0", "Dockerfile", "content.0", "FROM debian:bookworm-slim\r\nCOPY a b\r\n", "path.1", "a", "content.1", "x\r\ny", "eol.1", "crlf",
		"path.2", "", "content.2", "", "path.3", "logo", "base64.3", "AP8=", "path.4", "run", "content.4", "#!", "exec.4", "1", "path.5", "gone", "content.5", "x", "delete.5", "1"}
	r := post(s, "/", nil, append(fields, "action", "save")...)
	if r.Code != 303 || r.Header().Get("Set-Cookie") == "" {
		t.Fatalf("%d %v %s", r.Code, r.Header(), r.Body)
	}
	id := strings.TrimPrefix(r.Header().Get("Location"), "/s/")
	sn := w.snippets[id]
	rev := w.revisions[sn.Revision]
	want := []play.File{
		{Path: "Dockerfile", Mode: 0o644, Content: []byte("FROM debian:bookworm-slim\nCOPY a b\n")},
		{Path: "a", Mode: 0o644, Content: []byte("x\r\ny")},
		{Path: "logo", Mode: 0o644, Content: []byte{0, 0xff}},
		{Path: "run", Mode: 0o755, Content: []byte("#!")},
	}
	if sn.Title != "My title" || !equalJSON(rev.Files, want) {
		t.Errorf("%+v\n%q", sn, rev.Files)
	}
	cookie, _, _ := strings.Cut(r.Header().Get("Set-Cookie"), ";")
	mine := []string{"Cookie", cookie}

	change := []string{"path.0", "Dockerfile", "content.0", hello, "base", sn.Revision, "title", "Other"}
	if r := post(s, "/s/"+id, mine, append(change, "action", "save")...); r.Code != 303 || r.Header().Get("Location") != "/s/"+id || len(w.versions[id]) != 2 || w.snippets[id].Title != "Other" {
		t.Errorf("%d %s %v", r.Code, r.Header().Get("Location"), w.versions[id])
	}
	// The base is stale now, so another text is refused, and drawn again as it was typed.
	change[3] = "FROM typed-text\n"
	if r := post(s, "/s/"+id, mine, append(change, "action", "save")...); r.Code != 409 || !strings.Contains(r.Body.String(), "FROM typed-text") || !strings.Contains(r.Body.String(), "the latest is") {
		t.Errorf("%d %s", r.Code, r.Body)
	}
	// For others saving makes a copy of their own.
	r = post(s, "/s/"+id, nil, append(change, "action", "save")...)
	fork := strings.TrimPrefix(r.Header().Get("Location"), "/s/")
	if r.Code != 303 || fork == id || w.snippets[fork].ForkedFrom != id {
		t.Errorf("%d %s", r.Code, r.Header().Get("Location"))
	}

	// A copy of an old revision says what it was made of, also when it is one's own.
	r = post(s, "/", mine, append(change, "action", "save", "forked_from", id)...)
	copied := strings.TrimPrefix(r.Header().Get("Location"), "/s/")
	if r.Code != 303 || copied == id || w.snippets[copied].ForkedFrom != id {
		t.Errorf("%d %s", r.Code, r.Header().Get("Location"))
	}
	if r := post(s, "/", mine, append(change, "action", "save", "forked_from", "nosuchsnippet")...); r.Code != 404 {
		t.Errorf("%d", r.Code)
	}

	r = post(s, "/s/"+id, mine, "path.0", "Dockerfile", "content.0", hello, "base", w.snippets[id].Revision, "action", "build", "target", "base", "args", "A=1\r\nB=x=y\r\n", "network", "off", "no_cache", "1", "platform", "linux/amd64")
	job, ok := w.jobs[strings.TrimPrefix(r.Header().Get("Location"), "/b/")]
	if r.Code != 303 || !ok {
		t.Fatalf("%d %s %s", r.Code, r.Header().Get("Location"), r.Body)
	}
	req := play.BuildRequest{Revision: w.snippets[id].Revision, Target: "base", BuildArgs: map[string]string{"A": "1", "B": "x=y"}, Platform: "linux/amd64", NoCache: true, Network: "off"}
	if !equalJSON(job.Build, req) || job.Snippet != id {
		t.Errorf("%+v", job)
	}
}

func TestEditorActionsThatSaveNothing(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	var z bytes.Buffer
	zw := zip.NewWriter(&z)
	f, _ := zw.Create("app/src/main.py")
	io.WriteString(f, "print('unpacked')\n")
	f, _ = zw.Create("app/notes.md")
	io.WriteString(f, "new notes\n")
	zw.Close()
	typed := []string{"path.0", "Dockerfile", "content.0", "from Debian AS Typed\n", "path.1", "notes.md", "content.1", "old notes\n"}
	tests := map[string]struct {
		fields []string
		status int
		holds  []string
	}{
		"lint":    {[]string{"action", "lint"}, 200, []string{"from Debian AS Typed", "/rules/StageNameCasing"}},
		"enter":   {nil, 200, []string{"/rules/StageNameCasing"}},
		"add":     {[]string{"action", "add"}, 200, []string{`name="path.2"`, "old notes"}},
		"upload":  {[]string{"action", "upload", "@up.zip", z.String(), "@C:\\docs\\plain.txt", "plain text\n"}, 200, []string{"src/main.py", "unpacked", "new notes", "plain.txt", "plain text"}},
		"damaged": {[]string{"action", "upload", "@up.zip", z.String()[:100]}, 422, []string{"damaged", "from Debian AS Typed"}},
		"args":    {[]string{"action", "build", "args", "nonsense"}, 422, []string{"NAME=value", "nonsense", "from Debian AS Typed"}},
		"bad":     {[]string{"action", "build", "target", "none"}, 422, []string{"none", "from Debian AS Typed"}},
		"path":    {[]string{"action", "save", "path.2", "../up", "content.2", "typed too"}, 422, []string{"../up", "typed too", "from Debian AS Typed"}},
		"base64":  {[]string{"action", "save", "path.2", "logo", "base64.2", "!!"}, 422, []string{"damaged", "from Debian AS Typed"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := post(s, "/", nil, append(slices.Clone(typed), test.fields...)...)
			if r.Code != test.status {
				t.Errorf("status %d, want %d", r.Code, test.status)
			}
			for _, want := range test.holds {
				if !strings.Contains(r.Body.String(), want) {
					t.Errorf("%q is not in %s", want, r.Body)
				}
			}
		})
	}
	if len(w.snippets) != 0 || len(w.jobs) != 0 {
		t.Errorf("%v %v", w.snippets, w.jobs)
	}
}

// TestABuildThatDoesNotStartLosesNothing: what was typed is saved and shown with the reason.
func TestABuildThatDoesNotStartLosesNothing(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	w.submitErr = play.Errorf(play.Limited, "Two of your builds run already; wait for one of them.")
	r := post(s, "/", nil, "path.0", "Dockerfile", "content.0", hello, "action", "build")
	if r.Code != 429 || !strings.Contains(r.Body.String(), "wait for one of them") || !strings.Contains(r.Body.String(), "RUN echo hello") || len(w.snippets) != 1 {
		t.Errorf("%d %s", r.Code, r.Body)
	}
	for id := range w.snippets {
		if !strings.Contains(r.Body.String(), `action="/s/`+id+`"`) {
			t.Error("the next post would make a second snippet")
		}
	}
}

func TestOldRevisionsStay(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	sn := w.snippet(play.VisitorID(alice), "Dockerfile", hello)
	other := w.snippet("x", "Dockerfile", "FROM other\n")
	next := decode[saved](t, ask(s, "PUT", "/api/v1/snippets/"+sn.ID, `{"files": {"Dockerfile": "FROM debian:trixie-slim\n"}}`, append(bearer(alice), "If-Match", "*")...), 200)
	old := ask(s, "GET", "/s/"+sn.ID+"/"+sn.Revision, "")
	if old.Code != 200 || !strings.Contains(old.Body.String(), "RUN echo hello") || !strings.Contains(old.Body.String(), "Go to the latest") {
		t.Errorf("%d %s", old.Code, old.Body)
	}
	latest := ask(s, "GET", "/s/"+sn.ID+"/"+next.Revision, "")
	if latest.Code != 200 || strings.Contains(latest.Body.String(), "Go to the latest") {
		t.Errorf("%d %s", latest.Code, latest.Body)
	}
	if r := ask(s, "GET", "/s/"+sn.ID+"/"+other.Revision, ""); r.Code != 404 {
		t.Errorf("a revision of another snippet: %d", r.Code)
	}
}

func TestExamplesCanBeOpenedAndForked(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	if err := example.Seed(t.Context(), w, epoch); err != nil {
		t.Fatal(err)
	}
	all, err := example.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		r := ask(s, "GET", "/s/"+e.ID, "")
		if r.Code != 200 || !strings.Contains(r.Body.String(), "make your own copy") && !strings.Contains(r.Body.String(), "fork") && !strings.Contains(r.Body.String(), "copy") {
			t.Errorf("%s: %d", e.Name, r.Code)
		}
	}
	r := post(s, "/s/"+all[0].ID, nil, "path.0", "Dockerfile", "content.0", "FROM scratch\n", "base", "x", "action", "save")
	if r.Code != 303 || r.Header().Get("Location") == "/s/"+all[0].ID {
		t.Errorf("%d %s", r.Code, r.Header().Get("Location"))
	}
}

func TestUnpack(t *testing.T) {
	s := newWorld(t).server()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	tw.WriteHeader(&tar.Header{Name: "./Dockerfile", Mode: 0o644, Size: 6})
	io.WriteString(tw, "FROM x")
	tw.Close()
	r := post(s, "/api/v1/unpack", nil, "@context.tar", b.String(), "@more.txt", "more")
	got := decode[struct{ Files map[string]string }](t, r, 200)
	if got.Files["Dockerfile"] != "FROM x" || got.Files["more.txt"] != "more" {
		t.Errorf("%v", got)
	}
	r = post(s, "/api/v1/unpack", nil, "@context.zip", "PK\x03\x04nonsense")
	if r.Code != 422 || !strings.Contains(r.Body.String(), "damaged") {
		t.Errorf("%d %s", r.Code, r.Body)
	}
}
