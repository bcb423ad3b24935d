package egress

import (
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTunnel(t *testing.T) {
	n := newTestNet(t)
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	t.Cleanup(secure.Close)
	n.name("example.com", []string{"2606:4700::1", public}) // as the test server's certificate says
	n.server(public+":443", secure)
	e, client, _ := n.out(Config{})
	client.Transport.(*http.Transport).TLSClientConfig = secure.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	long := strings.Repeat("0123456789", 100_000)
	res, err := client.Post("https://example.com/", "text/plain", strings.NewReader(long))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != long {
		t.Errorf("%v: got %d bytes of %d", err, len(body), len(long))
	}
	res.Body.Close()
	entry := e.Requests("domain", time.Time{})[0]
	if entry.Method != "CONNECT" || entry.URL != "example.com:443" || !entry.Allowed || entry.Rule != "public" {
		t.Errorf("a tunnel in use is written down as %+v", entry)
	}
	client.CloseIdleConnections()
	for range 200 {
		if entry = e.Requests("domain", time.Time{})[0]; entry.Status != 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if entry.Status != 200 || entry.Bytes < 2_000_000 {
		t.Errorf("a tunnel that ended is written down as %+v", entry)
	}
}

func TestInside(t *testing.T) {
	n := newTestNet(t)
	inside := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Method, " ", r.Host, " ", r.URL.String(), " ", r.RequestURI)
	})
	e, client, _ := n.out(Config{Inside: map[string]http.Handler{"registry.internal": inside}})
	for _, scheme := range []string{"http", "https"} {
		code, body := get(t, client, scheme+"://registry.internal/v2/?ns=docker.io")
		if code != 200 || body != "GET registry.internal /v2/?ns=docker.io /v2/?ns=docker.io" {
			t.Errorf("%s: %d %s", scheme, code, body)
		}
	}
	for _, r := range e.Requests("domain", time.Time{}) {
		if r.Rule != "inside" || !r.Allowed {
			t.Errorf("written down as %+v", r)
		}
	}
	if code, _ := get(t, client, "http://sub.registry.internal/"); code != 502 {
		t.Errorf("a name below: %d", code)
	}
}

func TestStandIn(t *testing.T) {
	here := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "the stand-in at ", r.URL.Path) })
	cfg := Config{StandIns: []StandIn{{Hosts: []string{"example.com", "files.example.com"}, Handler: here}}}
	t.Run("unreachable", func(t *testing.T) {
		n := newTestNet(t)
		e, client, _ := n.out(cfg)
		for _, host := range []string{"example.com", "files.example.com"} {
			if code, body := get(t, client, "https://"+host+"/simple/"); code != 200 || body != "the stand-in at /simple/" {
				t.Errorf("%s: %d %s", host, code, body)
			}
		}
		if r := e.Requests("domain", time.Time{})[0]; r.Rule != "stand-in for example.com" {
			t.Errorf("written down as %+v", r)
		}
	})
	t.Run("someone else in its place", func(t *testing.T) {
		n := newTestNet(t)
		wrong := httptest.NewTLSServer(http.NotFoundHandler()) // whose certificate nobody vouches for
		t.Cleanup(wrong.Close)
		n.name("example.com", []string{public})
		n.server(public+":443", wrong)
		_, client, _ := n.out(cfg)
		if _, body := get(t, client, "https://example.com/simple/"); body != "the stand-in at /simple/" {
			t.Error(body)
		}
	})
	t.Run("reachable", func(t *testing.T) {
		n := newTestNet(t)
		real := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the real one") }))
		t.Cleanup(real.Close)
		n.name("example.com", []string{public})
		n.server(public+":443", real)
		cfg := cfg
		cfg.Roots = x509.NewCertPool()
		cfg.Roots.AddCert(real.Certificate())
		_, client, _ := n.out(cfg)
		client.Transport.(*http.Transport).TLSClientConfig.RootCAs = cfg.Roots
		if _, body := get(t, client, "https://example.com/simple/"); body != "the real one" {
			t.Error(body)
		}
	})
}

func TestMachinesProxy(t *testing.T) {
	n := newTestNet(t)
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "secure") }))
	t.Cleanup(secure.Close)
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.Host+" "+r.Header.Get("Proxy-Authorization"))
		if r.Method != http.MethodConnect {
			fmt.Fprint(w, "through the proxy")
			return
		}
		conn, buf, _ := http.NewResponseController(w).Hijack()
		defer conn.Close()
		server, err := net.Dial("tcp", secure.Listener.Addr().String())
		if err != nil {
			return
		}
		defer server.Close()
		io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		go io.Copy(server, buf)
		io.Copy(conn, server)
	}))
	t.Cleanup(proxy.Close)
	n.server("proxy.internal:3128", proxy)
	n.name("inner.example", []string{"10.0.0.1"})
	_, client, _ := n.out(Config{Proxy: &url.URL{Scheme: "http", Host: "proxy.internal:3128", User: url.UserPassword("u", "p")}})
	client.Transport.(*http.Transport).TLSClientConfig = secure.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	if code, body := get(t, client, "http://unknown.example/"); code != 200 || body != "through the proxy" {
		t.Error(code, body)
	}
	if code, body := get(t, client, "https://example.com/"); code != 200 || body != "secure" {
		t.Error(code, body)
	}
	for _, url := range []string{"http://inner.example/", "http://10.0.0.1/"} {
		if code, _ := get(t, client, url); code != 403 {
			t.Errorf("%s: %d", url, code)
		}
	}
	want := []string{"GET unknown.example Basic dTpw", "CONNECT example.com:443 Basic dTpw"}
	if !slices.Equal(asked, want) {
		t.Errorf("the proxy was asked %q", asked)
	}
}
