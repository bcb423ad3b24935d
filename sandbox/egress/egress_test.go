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
	"strings"
	"sync"
	"testing"
	"time"
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
