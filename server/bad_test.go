package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"slipway/server"
	"slipway/server/play"
)

// badInput is what a stranger may send, and the place that the answer must name: "" if there is none.
var badInput = []struct {
	name   string
	files  map[string]any // nil: only a Dockerfile of this text
	text   string
	build  string // more fields of the request
	status int
	place  string
	says   string
}{
	{name: "empty file", text: "", status: 422, place: "Dockerfile", says: "FROM"},
	{name: "only comments", text: "# nothing\n\n", status: 422, place: "Dockerfile", says: "FROM"},
	{name: "no FROM", text: "RUN true\n", status: 422, place: "Dockerfile:1:1", says: "FROM"},
	{name: "unknown instruction", text: "FROM scratch\nRNU true\n", status: 422, place: "Dockerfile:2:1", says: "RNU"},
	{name: "unterminated heredoc", text: "FROM scratch\nRUN <<EOF\ntrue\n", status: 422, place: "Dockerfile:2:", says: "EOF"},
	{name: "6,000 lines", text: "FROM scratch\n" + strings.Repeat("LABEL a=b\n", 6000), status: 413, place: "Dockerfile", says: "lines"},
	{name: "too many instructions", text: "FROM scratch\n" + strings.Repeat("LABEL a=b\n", 400), status: 413, place: "Dockerfile", says: "instructions"},
	{name: "1 MiB line", text: "FROM scratch\nLABEL a=" + strings.Repeat("x", 1<<20-40) + "\n", status: 413, place: "Dockerfile"},
	{name: "line longer than the parser takes", text: "FROM scratch\nLABEL a=" + strings.Repeat("x", 70_000) + "\n", status: 413, place: "Dockerfile:2:"},
	{name: "memory bomb", text: "FROM scratch\nENV A=aaaaaaaaaaaaaaaa\n" + strings.Repeat("ENV A=$A$A\n", 22), status: 413, place: "Dockerfile:", says: "variables"},
	{name: "NUL", text: "FROM scratch\nLABEL a=\x00\n", status: 422, place: "Dockerfile:2:9", says: "NUL"},
	{name: "foreign syntax", text: "# syntax=evil.test/frontend:1\nFROM scratch\n", status: 422, place: "Dockerfile:1:", says: "evil.test/frontend:1"},
	{name: "foreign syntax in JSON", text: "{\"syntax\": \"evil.test/frontend\"}\nFROM scratch\n", status: 422, place: "Dockerfile:1:"},
	{name: "foreign syntax after a BOM", text: "\ufeff#syntax = evil.test/x\nFROM scratch\n", status: 422, place: "Dockerfile:1:"},
	{name: "no stage of that name", text: "FROM scratch AS a\n", build: `"target": "b"`, status: 422, says: "b"},
	{name: "a platform of another world", text: "FROM scratch\n", build: `"platform": "windows/amd64"`, status: 422, says: "windows"},
	{name: "an argument that BuildKit interprets", text: "FROM scratch\n", build: `"build_args": {"BUILDKIT_SYNTAX": "x"}`, status: 422, says: "BUILDKIT_SYNTAX"},
	{name: "network of another kind", text: "FROM scratch\n", build: `"network": "host"`, status: 422, says: "host"},
	{name: "no such Dockerfile", text: "FROM scratch\n", build: `"dockerfile": "x/Dockerfile"`, status: 422, place: "x/Dockerfile"},
	{name: "a Dockerfile above the context", text: "FROM scratch\n", build: `"dockerfile": "../Dockerfile"`, status: 422},
	{name: "snippet and revision of nobody", text: "FROM scratch\n", build: `"snippet": "0123456789"`, status: 404},

	{name: "no files", files: map[string]any{}, status: 422, says: "no files"},
	{name: "not UTF-8", files: map[string]any{"Dockerfile": map[string]string{"base64": base64.StdEncoding.EncodeToString([]byte("FROM a\xff\n"))}}, status: 422, place: "Dockerfile:1:7", says: "UTF-8"},
	{name: "traversal", files: map[string]any{"Dockerfile": "FROM x", "../../etc/passwd": "x"}, status: 422, says: "../../etc/passwd"},
	{name: "hidden traversal", files: map[string]any{"a/../../x": "x"}, status: 422, says: "a/../../x"},
	{name: "absolute", files: map[string]any{"/etc/passwd": "x"}, status: 422, says: "/etc/passwd"},
	{name: "backslash", files: map[string]any{`a\b`: "x"}, status: 422, says: "backslash"},
	{name: "control character", files: map[string]any{"a\nb": "x"}, status: 422, says: "control"},
	{name: "empty name", files: map[string]any{"": "x"}, status: 422, says: "no name"},
	{name: "case", files: map[string]any{"Dockerfile": "FROM x", "dockerfile": "FROM y"}, status: 422, place: "ockerfile", says: "case"},
	{name: "file and folder at once", files: map[string]any{"a": "x", "a/b": "y"}, status: 422, place: "a"},
	{name: "too many files", files: many(201), status: 413, says: "200"},
	{name: "a large file", files: map[string]any{"a": strings.Repeat("x", 1<<20+1)}, status: 413, place: "a", says: "1048576"},
	{name: "large together", files: large(6), status: 413, says: "5242880"},
	{name: "a long name", files: map[string]any{strings.Repeat("x", 256): "x"}, status: 422, says: "255"},
	{name: "a deep name", files: map[string]any{strings.Repeat("x/", 20) + "x": "x"}, status: 422, says: "16"},
}

func many(n int) map[string]any {
	files := map[string]any{"Dockerfile": "FROM scratch\n"}
	for i := range n {
		files[fmt.Sprint("f", i)] = ""
	}
	return files
}

func large(n int) map[string]any {
	files := map[string]any{"Dockerfile": "FROM scratch\n"}
	for i := range n {
		files[fmt.Sprint("f", i)] = strings.Repeat("x", 1<<20)
	}
	return files
}

func unbounded(c *server.Config) {
	c.Rates.Builds.Burst, c.Rates.Saves.Burst, c.Rates.Texts.Burst = 1<<20, 1<<20, 1<<20
}

func TestBadInputOverTheAPI(t *testing.T) {
	w := newWorld(t)
	s := w.server(unbounded)
	for _, test := range badInput {
		t.Run(test.name, func(t *testing.T) {
			files := test.files
			if files == nil {
				files = map[string]any{"Dockerfile": test.text}
			}
			b, err := json.Marshal(map[string]any{"files": files})
			if err != nil {
				t.Fatal(err)
			}
			body := string(b)
			if test.build != "" {
				body = strings.TrimSuffix(body, "}") + ", " + test.build + "}"
			}
			r := ask(s, "POST", "/api/v1/builds", body)
			var p struct {
				Detail string
				Place  *play.Place
			}
			if err := json.Unmarshal(r.Body.Bytes(), &p); err != nil {
				t.Fatalf("%v %s", err, r.Body)
			}
			if r.Code != test.status {
				t.Errorf("status %d, want %d: %s", r.Code, test.status, r.Body)
			}
			place := ""
			if p.Place != nil {
				place = p.Place.String()
			}
			if !strings.Contains(place, test.place) || test.place == "" != (place == "") && test.place != "" || !strings.Contains(r.Body.String(), test.says) {
				t.Errorf("at %q, want %q: %s", place, test.place, p.Detail)
			}
			if len(p.Detail) > 1000 {
				t.Errorf("the message has %d bytes", len(p.Detail))
			}
			// Analysing the same is refused, or answered: never a fault of ours.
			text := strings.TrimSuffix(string(b), "}") + "}"
			for _, path := range []string{"/api/v1/lint", "/api/v1/explain", "/steps"} {
				if r := ask(s, "POST", path, text); r.Code >= 500 {
					t.Errorf("%s: %d %s", path, r.Code, r.Body)
				}
			}
		})
	}
	if len(w.jobs) != 0 {
		t.Errorf("jobs were started: %v", w.order)
	}
}

func TestBadInputInTheForm(t *testing.T) {
	w := newWorld(t)
	s := w.server(unbounded)
	for _, test := range badInput {
		if test.files != nil || test.build != "" {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			r := post(s, "/", nil, "action", "build", "title", "kept title", "path.0", "Dockerfile", "content.0", test.text+"\n# kept text", "path.1", "other", "content.1", "kept other")
			if r.Code != test.status || !strings.HasPrefix(r.Header().Get("Content-Type"), "text/html") {
				t.Fatalf("%d %v", r.Code, r.Header())
			}
			text := "# kept text"
			if strings.ContainsRune(test.text, 0) { // not a text: it comes back as it is, in base64
				text = base64.StdEncoding.EncodeToString([]byte(test.text + "\n# kept text"))
			}
			for _, want := range []string{"kept title", text, "kept other", test.says} {
				if !strings.Contains(r.Body.String(), want) {
					t.Errorf("%q is lost", want)
				}
			}
		})
	}
}

// TestOddButFine: what looks odd and is right builds.
func TestOddButFine(t *testing.T) {
	w := newWorld(t)
	s := w.server(unbounded)
	for name, text := range map[string]string{
		"CRLF":                 "FROM scratch\r\nLABEL a=b\r\n",
		"BOM":                  "\ufeffFROM scratch\n",
		"no final newline":     "FROM scratch",
		"official syntax":      "# syntax=docker/dockerfile:1\nFROM scratch\n",
		"escape":               "# escape=`\nFROM scratch\nLABEL a=b `\n c=d\n",
		"heredoc":              "FROM busybox\nRUN <<EOF\necho hi\nEOF\n",
		"a failing command":    "FROM busybox\nRUN false\n",
		"an unknown image":     "FROM nobody/nothing:1\n",
		"5,000 lines":          "FROM scratch\n" + strings.Repeat("# a comment\n", 4990),
		"words of all scripts": "FROM scratch\nLABEL name=\"漢字 ünïcödé 🚢\"\n",
	} {
		b, _ := json.Marshal(map[string]any{"files": map[string]string{"Dockerfile": text}})
		if r := ask(s, "POST", "/api/v1/builds", string(b)); r.Code != 202 {
			t.Errorf("%s: %d %s", name, r.Code, r.Body)
		}
	}
	null := `{"files": {"Dockerfile": "FROM scratch"}, "build_args": null, "target": "", "network": ""}`
	if r := ask(s, "POST", "/api/v1/builds", null); r.Code != 202 {
		t.Errorf("null for nothing: %d %s", r.Code, r.Body)
	}
}

// FuzzAPI: whatever is sent, the answer is not our fault, and JSON.
func FuzzAPI(f *testing.F) {
	w := newWorld(f)
	s := w.server(unbounded)
	sn := w.snippet(play.VisitorID(alice), "Dockerfile", hello)
	paths := []string{"/api/v1/lint", "/api/v1/explain", "/api/v1/builds", "/api/v1/snippets", "/api/v1/snippets/" + sn.ID, "/steps"}
	for _, test := range badInput {
		b, _ := json.Marshal(map[string]any{"files": map[string]any{"Dockerfile": test.text}})
		if len(b) < 4096 {
			f.Add(0, string(b))
		}
	}
	f.Add(2, `{"revision": "`+sn.Revision+`", "build_args": {"A": "1"}, "no_cache": true}`)
	f.Add(4, `{"title": null, "files": {"a": {"text": "x", "base64": "eA=="}}}`)
	f.Add(1, `{"files": {"Dockerfile": ["FROM"]}}`)
	f.Fuzz(func(t *testing.T, where int, body string) {
		path, method := paths[(where%len(paths)+len(paths))%len(paths)], "POST"
		headers := append(bearer(alice), "Content-Type", "application/json")
		if strings.HasPrefix(path, "/api/v1/snippets/") {
			method, headers = "PUT", append(headers, "If-Match", "*")
		}
		r := ask(s, method, path, body, headers...)
		if r.Code >= 500 {
			t.Fatalf("%s %s: %d %s", path, body, r.Code, r.Body)
		}
		if isPage := path == "/steps" && r.Code == 200; !isPage && path != "/steps" && !json.Valid(r.Body.Bytes()) {
			t.Fatalf("%s: no JSON: %s", path, r.Body)
		}
	})
}
