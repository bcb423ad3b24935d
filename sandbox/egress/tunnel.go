package egress

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// connect opens a tunnel, most often for TLS: to a host, or to a handler here.
func (o *outlet) connect(w http.ResponseWriter, r *http.Request) {
	entry := o.note(r)
	client, in, err := http.NewResponseController(w).Hijack()
	if err != nil {
		o.refuse(w, entry, err)
		return
	}
	defer client.Close()
	stop := context.AfterFunc(r.Context(), func() { client.Close() })
	defer stop()
	conn := &buffered{Conn: client, in: in.Reader}

	to, err := targetOf(r)
	if err != nil {
		o.refuseTunnel(conn, entry, err)
		return
	}
	if handler, rule := o.inside(r.Context(), to); handler != nil {
		entry.allow(rule)
		o.serveInside(r.Context(), conn, to, handler, entry)
		return
	}
	server, rule, err := o.dial(r.Context(), to)
	if err != nil {
		o.refuseTunnel(conn, entry, err)
		return
	}
	defer server.Close()
	entry.allow(rule)
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	entry.done(http.StatusOK, o.join(conn, server))
}

// refuseTunnel says why there is no tunnel in the status line: the client of a proxy shows little else.
func (o *outlet) refuseTunnel(conn net.Conn, entry *entry, err error) {
	no := o.refused(entry, err)
	fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		no.Status, oneLine(no.text()), len(no.text())+1, no.text()+"\n")
}

// oneLine makes of a text what may stand in a status line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, s)
}

// join copies between two connections until one ends, nothing moves for too long or too much has moved, and gives
// the number of bytes.
func (o *outlet) join(a, b net.Conn) int64 {
	var moved atomic.Int64
	var both sync.WaitGroup
	pump := func(to, from net.Conn) {
		defer a.Close() // and with it the other direction
		defer b.Close()
		buf := make([]byte, 32<<10)
		for moved.Load() < o.cfg.Limits.Bytes {
			deadline := time.Now().Add(o.cfg.Limits.Idle)
			a.SetDeadline(deadline) // for both directions: one may be silent while the other moves
			b.SetDeadline(deadline)
			n, err := from.Read(buf)
			if n > 0 {
				moved.Add(int64(n))
				if _, err := to.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	both.Go(func() { pump(a, b) })
	both.Go(func() { pump(b, a) })
	both.Wait()
	return moved.Load()
}

// serveInside is the other end of a tunnel: a web server with a certificate for the name, or a plain one on port 80.
func (o *outlet) serveInside(ctx context.Context, client net.Conn, to target, handler http.Handler, entry *entry) {
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	one := newOneConn(client)
	defer func() { entry.done(http.StatusOK, one.bytes.Load()) }()
	if to.port != 80 {
		cert, err := o.ca.certificate(to.host)
		if err != nil {
			o.cfg.Log.Error("make a certificate", "host", to.host, "err", err)
			return
		}
		one.serve = tls.Server(one.serve, &tls.Config{
			Certificates: []tls.Certificate{*cert}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12,
		})
	}
	server := &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       o.cfg.Limits.Idle,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(o.cfg.Log.Handler(), slog.LevelDebug),
	}
	server.Serve(one) // ends with the connection, and says only that
}

// A oneConn is a listener that has one connection to give, and ends when that does.
type oneConn struct {
	serve net.Conn // the connection, until it was given
	bytes atomic.Int64
	ended chan struct{}
	end   func()
}

func newOneConn(c net.Conn) *oneConn {
	l := &oneConn{ended: make(chan struct{})}
	l.end = sync.OnceFunc(func() { close(l.ended) })
	l.serve = &countedConn{Conn: c, of: l}
	return l
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.serve; c != nil {
		l.serve = nil
		return c, nil
	}
	<-l.ended
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { l.end(); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// A countedConn counts what passes, and tells its listener when it is closed.
type countedConn struct {
	net.Conn
	of *oneConn
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.of.bytes.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.of.bytes.Add(int64(n))
	return n, err
}

func (c *countedConn) Close() error {
	c.of.end()
	return c.Conn.Close()
}
