package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

const (
	dialWithin    = 10 * time.Second
	resolveWithin = 5 * time.Second
)

// addresses finds the addresses of a target, all of which may be reached, and the rule that allows them. One that may
// not be reached refuses them all: an honest host has no such address.
func (e *Egress) addresses(ctx context.Context, t target) ([]netip.Addr, string, error) {
	if err := e.judgePort(t); err != nil {
		return nil, "", err
	}
	addrs := []netip.Addr{t.addr}
	if !t.addr.IsValid() {
		var err error
		if addrs, err = e.resolve(ctx, t.host); err != nil {
			return nil, "", err
		}
	}
	own := ownAddresses()
	rule := ""
	for _, a := range addrs {
		r, err := e.judgeAddress(a, own)
		if err != nil {
			return nil, "", err
		}
		rule = r
	}
	return addrs, rule, nil
}

func (e *Egress) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, done := context.WithTimeout(ctx, resolveWithin)
	defer done()
	addrs, err := e.cfg.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(addrs) == 0 {
		return nil, &unresolved{host: host, err: err}
	}
	return addrs, nil
}

// unresolved is a name without an address.
type unresolved struct {
	host string
	err  error
}

func (u *unresolved) Error() string {
	var dns *net.DNSError
	if errors.As(u.err, &dns) && (dns.IsTimeout || dns.IsTemporary) {
		return "no name server told the address of " + u.host
	}
	return u.host + " has no address that this machine knows"
}

func (u *unresolved) Unwrap() error { return u.err }

// judge says by which rule a target may be reached. Behind a proxy a name that this machine can't resolve is the proxy's to
// resolve.
func (e *Egress) judge(ctx context.Context, t target) (rule string, err error) {
	_, rule, err = e.addresses(ctx, t)
	var none *unresolved
	if e.cfg.Proxy != nil && errors.As(err, &none) {
		return "public, by the proxy", nil
	}
	return rule, err
}

// dialHTTP connects for the transport of plain requests.
func (o *outlet) dialHTTP(ctx context.Context, _, address string) (net.Conn, error) {
	t, err := parseTarget(address, 80)
	if err != nil {
		return nil, err
	}
	conn, rule, err := o.dial(ctx, t)
	if err == nil {
		o.rules.Store(t.String(), rule)
	}
	return conn, err
}

// Transport carries what this machine asks for on behalf of builders, such as base images of other registries: to
// where a builder may go itself and nowhere else. It writes nothing down.
func (e *Egress) Transport() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			t, err := parseTarget(address, 443)
			if err != nil {
				return nil, err
			}
			conn, _, err := e.dial(ctx, t)
			return conn, err
		},
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{RootCAs: e.cfg.Roots},
		TLSHandshakeTimeout:   dialWithin,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       time.Minute,
		ResponseHeaderTimeout: e.cfg.Limits.Idle,
	}
}

// dial judges a target and connects to one of the addresses that were judged.
func (e *Egress) dial(ctx context.Context, t target) (net.Conn, string, error) {
	if e.cfg.Proxy != nil {
		rule, err := e.judge(ctx, t)
		if err != nil {
			return nil, "", err
		}
		conn, err := e.dialProxy(ctx, t)
		return conn, rule, err
	}
	addrs, rule, err := e.addresses(ctx, t)
	if err != nil {
		return nil, "", err
	}
	var failures []error
	for _, a := range addrs {
		one, done := context.WithTimeout(ctx, dialWithin)
		conn, err := e.cfg.Dial(one, "tcp", net.JoinHostPort(a.Unmap().String(), strconv.Itoa(int(t.port))))
		done()
		if err == nil {
			return conn, rule, nil
		}
		failures = append(failures, err)
	}
	return nil, "", errors.Join(failures...)
}

// dialProxy connects to a target through the machine's own proxy.
func (e *Egress) dialProxy(ctx context.Context, t target) (net.Conn, error) {
	address := e.cfg.Proxy.Host
	if e.cfg.Proxy.Port() == "" {
		address = net.JoinHostPort(e.cfg.Proxy.Hostname(), "80")
	}
	conn, err := e.cfg.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	header := ""
	if user := e.cfg.Proxy.User; user != nil {
		password, _ := user.Password()
		header = "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
	}
	if _, err := fmt.Fprintf(conn, "CONNECT %[1]s HTTP/1.1\r\nHost: %[1]s\r\n%[2]s\r\n", t, header); err != nil {
		conn.Close()
		return nil, err
	}
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("the proxy of this machine answered: %s", res.Status)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &buffered{Conn: conn, in: in}, nil
}

// A buffered connection has been read ahead.
type buffered struct {
	net.Conn
	in *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.in.Read(p) }

// cause is the plain reason of an error, for people.
func cause(err error) string {
	var none *unresolved
	var timeout net.Error
	var op *net.OpError
	switch {
	case errors.As(err, &none):
		return none.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it did not answer in time"
	case errors.As(err, &op) && op.Err != nil:
		return op.Err.Error()
	}
	return err.Error()
}
