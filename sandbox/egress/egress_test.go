package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/server/play"
)

// A net is a little Internet: names with addresses, and servers behind addresses. It fails the test if somebody
// connects to an address that no server of it has.
type testNet struct {
	t *testing.T

	mu      sync.Mutex
	names   map[string][][]string // name → answers, one for each lookup; the last stays
	servers map[string]string     // address:port → where the server really listens
	dialled []string
}

func newTestNet(t *testing.T) *testNet {
	return &testNet{t: t, names: map[string][][]string{}, servers: map[string]string{}}
}

func (n *testNet) name(host string, answers ...[]string) { n.names[host] = answers }

func (n *testNet) server(address string, s *httptest.Server) {
	n.servers[address] = s.Listener.Addr().String()
}

func (n *testNet) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	answers := n.names[host]
	if len(answers) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if len(answers) > 1 {
		n.names[host] = answers[1:]
	}
	var addrs []netip.Addr
	for _, a := range answers[0] {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs, nil
}

func (n *testNet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	real, ok := n.servers[address]
	n.dialled = append(n.dialled, address)
	n.mu.Unlock()
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
	}
	return (&net.Dialer{}).DialContext(ctx, network, real)
}

// out starts an egress on a network and gives a client that goes through it.
func (n *testNet) out(cfg Config) (*Egress, *http.Client, string) {
	n.t.Helper()
	cfg.Resolver, cfg.Dial = n, n.dial
	cfg.Log = slog.New(slog.NewTextHandler(n.t.Output(), nil))
	e, err := New(cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- e.Serve(ctx, "domain", l) }()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(e.CA())
	transport := &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: l.Addr().String()}),
		TLSClientConfig: &tls.Config{RootCAs: roots},
	}
	n.t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		if err := <-served; err != nil {
			n.t.Errorf("Serve: %v", err)
		}
	})
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return e, client, l.Addr().String()
}

func get(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, err.Error()
	}
	return res.StatusCode, string(body)
}

const public = "93.184.216.34"

func site(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/headers":
			fmt.Fprint(w, r.Host, r.Header)
		case "/redirect":
			http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
		case "/big":
			io.Copy(w, io.LimitReader(zeros{}, 10<<20))
		case "/echo":
			io.Copy(w, r.Body)
		default:
			fmt.Fprint(w, "hello from ", r.URL.Path)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

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

// Serve ends when its context does, whatever goes on.
func TestServeEnds(t *testing.T) {
	n := newTestNet(t)
	hang := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(hang) })
	n.name("slow.example", []string{public})
	n.server(public+":80", slow)
	n.server(public+":443", slow)
	e, err := New(Config{Resolver: n, Dial: n.dial, Log: slog.New(slog.DiscardHandler), Inside: map[string]http.Handler{"here": slow.Config.Handler}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- e.Serve(ctx, "d", l) }()
	for _, request := range []string{
		"GET http://slow.example/ HTTP/1.1\r\nHost: slow.example\r\n\r\n",
		"CONNECT slow.example:443 HTTP/1.1\r\nHost: slow.example:443\r\n\r\n",
		"CONNECT here:443 HTTP/1.1\r\nHost: here:443\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, request)
		if strings.HasPrefix(request, "CONNECT") {
			if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(line, "200") {
				t.Fatal(line, err)
			}
		}
	}
	stop()
	select {
	case err := <-served:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Serve goes on")
	}
	if len(e.Requests("d", time.Time{})) > 0 {
		t.Error("the requests of a builder that is gone are kept")
	}
}
