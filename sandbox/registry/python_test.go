package registry_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/sandbox/registry"
	"slipway/sandbox/registry/catalog"
)

func TestPython(t *testing.T) {
	dir := t.TempDir()
	c := catalog.Open(dir)
	p := registry.NewPython(c)
	ask := func(path, accept string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept", accept)
		got := httptest.NewRecorder()
		p.ServeHTTP(got, r)
		return got
	}
	if hosts, err := p.Hosts(); err != nil || hosts != nil {
		t.Errorf("hosts of no index: %v %v", hosts, err)
	}
	if got := ask("/simple/", ""); got.Code != 404 {
		t.Errorf("no index: %d", got.Code)
	}
	if err := os.Mkdir(c.Python(), 0o755); err != nil {
		t.Fatal(err)
	}
	index := catalog.PythonIndex{
		Hosts: []string{"index.example", "files.example"}, Suite: "forky", Note: "Slipway's own <index>.",
		Wheels: []catalog.Wheel{{
			Project: "typing-extensions", Version: "4.1", File: "typing_extensions-4.1-py3-none-any.whl", Size: 3,
			SHA256: "aa", MetadataSHA256: "bb", RequiresPython: ">=3.9",
		}},
	}
	raw, _ := json.Marshal(index)
	for file, content := range map[string]string{"index.json": string(raw), index.Wheels[0].File: "zip", index.Wheels[0].File + ".metadata": "Name: x"} {
		if err := os.WriteFile(filepath.Join(c.Python(), file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if hosts, err := p.Hosts(); err != nil || !slices.Equal(hosts, index.Hosts) {
		t.Errorf("hosts: %v %v", hosts, err)
	}
	for _, c := range []struct {
		path, accept, says string
		code               int
	}{
		{"/simple/", "text/html", `<a href="/simple/typing-extensions/">`, 200},
		{"/simple/", "application/vnd.pypi.simple.v1+json", `{"name":"typing-extensions"}`, 200},
		{"/simple/Typing.Extensions/", "text/html", `href="/simple/files/typing_extensions-4.1-py3-none-any.whl#sha256=aa" data-requires-python="&gt;=3.9" data-core-metadata="sha256=bb"`, 200},
		{"/simple/typing-extensions/", "text/html", "Slipway&#39;s own &lt;index&gt;.", 200},
		{"/simple/typing_extensions/", "application/vnd.pypi.simple.v1+json, */*;q=0.1", `"requires-python":"\u003e=3.9"`, 200},
		{"/simple/files/typing_extensions-4.1-py3-none-any.whl", "", "zip", 200},
		{"/simple/files/typing_extensions-4.1-py3-none-any.whl.metadata", "", "Name: x", 200},
		{"/simple/files/index.json", "", "", 404},
		{"/simple/files/../index.json", "", "", 404},
		{"/simple/typing-extension/", "", "Near to it: typing-extensions", 404},
		{"/pypi/x/json", "", "only /simple/", 404},
	} {
		got := ask(c.path, c.accept)
		if got.Code != c.code || !strings.Contains(got.Body.String(), c.says) {
			t.Errorf("%s: %d %s", c.path, got.Code, got.Body)
		}
	}
}
