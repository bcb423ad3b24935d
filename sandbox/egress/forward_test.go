package egress

import (
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/server/play"
)

func TestForward(t *testing.T) {
	n := newTestNet(t)
	n.name("site.example", []string{public})
	n.server(public+":80", site(t))
	e, client, _ := n.out(Config{})
	since := time.Now()

	if code, body := get(t, client, "http://site.example/a?b=c"); code != 200 || body != "hello from /a" {
		t.Fatal(code, body)
	}
	if _, body := get(t, client, "http://Site.Example./headers"); !strings.HasPrefix(body, "Site.Example.") || strings.Contains(body, "Forwarded") || strings.Contains(body, "Proxy") {
		t.Errorf("the server got %s", body)
	}
	if code, _ := get(t, client, "http://site.example/redirect"); code != 302 {
		t.Errorf("a redirect came as %d", code)
	}
	res, err := client.Post("http://site.example/echo", "text/plain", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	echo, _ := io.ReadAll(res.Body)
	if string(echo) != "hello" {
		t.Errorf("posted hello, got %q", echo)
	}

	got := e.Requests("domain", since)
	want := []play.Requested{
		{Method: "GET", URL: "http://site.example/a?b=c", Status: 200, Allowed: true, Rule: "public", Bytes: 13},
		{Method: "GET", URL: "http://Site.Example./headers", Status: 200, Allowed: true, Rule: "public"},
		{Method: "GET", URL: "http://site.example/redirect", Status: 302, Allowed: true, Rule: "public"},
		{Method: "POST", URL: "http://site.example/echo", Status: 200, Allowed: true, Rule: "public", Bytes: 10},
	}
	for i := range got {
		if i == 1 || i == 2 {
			got[i].Bytes = 0
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("written down: %+v", got)
	}
	if more := e.Requests("domain", time.Now()); len(more) != 0 {
		t.Errorf("requests of the future: %v", more)
	}
	if other := e.Requests("other", since); len(other) != 0 {
		t.Errorf("requests of another domain: %v", other)
	}
}

func TestRefused(t *testing.T) {
	n := newTestNet(t)
	n.name("site.example", []string{public})
	n.name("inner.example", []string{"10.1.2.3"})
	n.name("half.example", []string{public, "127.0.0.1"})
	n.name("mapped.example", []string{"::ffff:127.0.0.1"})
	n.server(public+":80", site(t))
	e, client, _ := n.out(Config{})
	for _, c := range []struct{ url, says, rule string }{
		{"http://inner.example/", "10.1.2.3 is a private address", "not public"},
		{"http://half.example/", "127.0.0.1 is a loopback address", "not public"},
		{"http://mapped.example/", "127.0.0.1 is a loopback address", "not public"},
		{"http://127.0.0.1/", "127.0.0.1 is a loopback address", "not public"},
		{"http://169.254.169.254/latest/meta-data", "link-local", "not public"},
		{"http://[::1]/", "::1 is a loopback address", "not public"},
		{"http://[fd00::1]/", "private", "not public"},
		{"http://2130706433/", "not a plain host name", "name"},
		{"http://0x7f.1/", "not a plain host name", "name"},
		{"http://site.example:8080/", "Port 8080", "port"},
		{"http://site.example:22/", "Port 22", "port"},
	} {
		code, body := get(t, client, c.url)
		if code != 403 || !strings.Contains(body, c.says) || !strings.Contains(body, "Slipway's egress: ") {
			t.Errorf("%s: %d %s", c.url, code, body)
		}
		all := e.Requests("domain", time.Time{})
		if last := all[len(all)-1]; last.Allowed || last.Rule != c.rule || last.URL != c.url || last.Status != 403 {
			t.Errorf("%s: written down as %+v", c.url, last)
		}
		if !strings.HasPrefix(c.url, "http://site") {
			_, body = get(t, client, strings.Replace(c.url, "http:", "https:", 1))
			if !strings.Contains(body, c.says) {
				t.Errorf("%s by TLS: %s", c.url, body)
			}
		}
	}
	if code, body := get(t, client, "http://nobody.example/"); code != 502 || !strings.Contains(body, "nobody.example has no address") {
		t.Errorf("a name without address: %d %s", code, body)
	}
	if len(n.dialled) > 0 {
		t.Errorf("connected to %v", n.dialled)
	}
}

// What the machine asks for on behalf of builders goes no further than they may themselves.
func TestTransport(t *testing.T) {
	n := newTestNet(t)
	n.name("site.example", []string{public})
	n.name("turn.example", []string{public}, []string{"127.0.0.1"})
	n.server(public+":80", site(t))
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "secure") }))
	defer secure.Close()
	n.server(public+":443", secure)
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	n.name("example.com", []string{public}) // for which the test server's certificate is
	e, _, _ := n.out(Config{Roots: roots})
	transport := e.Transport()
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for url, want := range map[string]string{
		"http://site.example/x": "hello from /x", "https://example.com/": "secure",
		"http://127.0.0.1/":            "127.0.0.1 is a loopback address",
		"http://site.example/redirect": "169.254.169.254 is a link-local address",
		"http://site.example:5000/":    "Port 5000",
		"https://10.0.0.1/":            "10.0.0.1 is a private address",
	} {
		if _, body := get(t, client, url); !strings.Contains(body, want) {
			t.Errorf("%s: %q, want %q", url, body, want)
		}
	}
	for range 3 {
		get(t, client, "http://turn.example/")
		transport.CloseIdleConnections()
	}
	for _, address := range n.dialled {
		if !strings.HasPrefix(address, public+":") {
			t.Errorf("connected to %s", address)
		}
	}
}

// A name that means a public host when it is judged and a private one after never leads to the private one.
func TestRebinding(t *testing.T) {
	n := newTestNet(t)
	n.server(public+":80", site(t))
	n.name("turn.example", []string{public}, []string{"127.0.0.1"})
	_, client, _ := n.out(Config{})
	client.Transport.(*http.Transport).DisableKeepAlives = true
	for range 5 {
		get(t, client, "http://turn.example/")
		get(t, client, "https://turn.example/")
	}
	for _, address := range n.dialled {
		if !strings.HasPrefix(address, public+":") {
			t.Errorf("connected to %s", address)
		}
	}
	if len(n.dialled) == 0 {
		t.Error("connected to nobody")
	}
}

func TestExceptions(t *testing.T) {
	n := newTestNet(t)
	n.name("mirror.example", []string{"203.0.113.80"})
	n.name("other.example", []string{"203.0.113.81"})
	n.server("203.0.113.80:80", site(t))
	e, client, _ := n.out(Config{Allow: []netip.Prefix{netip.MustParsePrefix("203.0.113.80/32")}})
	if code, body := get(t, client, "http://mirror.example/"); code != 200 {
		t.Error(code, body)
	}
	if code, _ := get(t, client, "http://other.example/"); code != 403 {
		t.Errorf("its neighbour: %d", code)
	}
	if got := e.Requests("domain", time.Time{}); got[0].Rule != "allowed by the operator" {
		t.Errorf("written down as %+v", got[0])
	}
}

func TestLimits(t *testing.T) {
	n := newTestNet(t)
	n.name("site.example", []string{public})
	n.server(public+":80", site(t))
	limits := DefaultLimits()
	limits.Bytes, limits.Burst, limits.PerSecond = 1<<20, 3, 0.001
	e, client, _ := n.out(Config{Limits: limits})
	res, err := client.Get("http://site.example/big")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.Copy(io.Discard, res.Body)
	res.Body.Close()
	if err == nil || got > 1<<20 {
		t.Errorf("of an answer with too many bytes came %d, %v", got, err)
	}
	if code, body := get(t, client, "http://site.example/"); code != 200 {
		t.Error(code, body)
	}
	get(t, client, "http://site.example/")
	if code, body := get(t, client, "http://site.example/"); code != 429 || !strings.Contains(body, "too fast") {
		t.Errorf("one request too many: %d %s", code, body)
	}
	if all := e.Requests("domain", time.Time{}); all[len(all)-1].Allowed {
		t.Errorf("written down as %+v", all[len(all)-1])
	}
}
