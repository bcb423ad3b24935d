// Package egress is the only way out of a builder: an HTTP proxy that lets a builder reach public hosts, and
// some names that Slipway answers itself.
//
// A request is judged by its host's name and by the addresses that the name has at this moment, and the
// connection goes to an address that was judged: never to what a second lookup would say. Every request is
// written down, refused ones too. A refusal is an HTTP error that names the rule.
//
// It does not look into encrypted connections, keeps no content, and knows nothing of builds: only of trust
// domains, one for each listener. It imports nothing that could reach the rest of the server.
package egress

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/time/rate"
)

// Config says what may be reached. The zero value of a field that says so means its default.
type Config struct {
	Inside   map[string]http.Handler // names that are answered here, such as the registry's
	StandIns []StandIn               // names that are answered here while the real ones can't be reached
	Allow    []netip.Prefix          // addresses that may be reached though they are not public
	Ports    []uint16                // that may be reached; nil: 80 and 443
	Proxy    *url.URL                // the machine's own HTTP proxy, if it reaches the world through one
	Limits   Limits                  // zero: DefaultLimits
	Resolver Resolver                // nil: the machine's
	Dial     Dial                    // nil: the machine's network
	Roots    *x509.CertPool          // whom to believe that a service is the real one; nil: the machine's
	Log      *slog.Logger
}

// Resolver finds the addresses of a name.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Dial opens a connection to an address.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Limits bound what one builder may do.
type Limits struct {
	Connections int           // to the proxy at a time
	PerSecond   float64       // requests, on average
	Burst       int           // requests at once
	Bytes       int64         // of one request and its answer together
	Idle        time.Duration // a connection on which nothing moves is closed
}

// DefaultLimits let a package manager run at full speed.
func DefaultLimits() Limits {
	return Limits{Connections: 256, PerSecond: 100, Burst: 2000, Bytes: 4 << 30, Idle: 2 * time.Minute}
}

// Egress serves builders. It is safe for concurrent use.
type Egress struct {
	cfg    Config
	ca     *authority
	ledger ledger
	probes []*probe // one for each of cfg.StandIns
}

// New makes an Egress with a certificate authority of its own.
func New(cfg Config) (*Egress, error) {
	if cfg.Ports == nil {
		cfg.Ports = []uint16{80, 443}
	}
	if cfg.Limits == (Limits{}) {
		cfg.Limits = DefaultLimits()
	}
	if cfg.Resolver == nil {
		cfg.Resolver = net.DefaultResolver
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{Timeout: dialWithin}).DialContext
	}
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	ca, err := newAuthority()
	if err != nil {
		return nil, err
	}
	e := &Egress{cfg: cfg, ca: ca, ledger: ledger{domains: map[string]*record{}}}
	for _, s := range cfg.StandIns {
		e.probes = append(e.probes, &probe{standIn: s})
	}
	return e, nil
}

// CA is the certificate, in PEM, of the authority that vouches for the names answered here. Who comes through
// the proxy by TLS must trust it.
func (e *Egress) CA() []byte { return e.ca.pem }

// Serve lets what connects to l out until ctx ends. The domain is whose builder it is.
func (e *Egress) Serve(ctx context.Context, domain string, l net.Listener) error {
	e.ledger.open(domain)
	defer e.ledger.close(domain)
	out := &outlet{Egress: e, domain: domain, pace: rate.NewLimiter(rate.Limit(e.cfg.Limits.PerSecond), e.cfg.Limits.Burst)}
	out.transport = &http.Transport{
		DialContext:           out.dialHTTP,
		DisableCompression:    true,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       time.Minute,
		ResponseHeaderTimeout: e.cfg.Limits.Idle,
	}
	if e.cfg.Proxy != nil {
		out.transport.Proxy = http.ProxyURL(e.cfg.Proxy)
		out.transport.DialContext = e.cfg.Dial // the proxy's own address is the operator's choice
	}
	defer out.transport.CloseIdleConnections()
	server := &http.Server{
		Handler:           out,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       e.cfg.Limits.Idle,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(e.cfg.Log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	err := server.Serve(netutil.LimitListener(l, e.cfg.Limits.Connections))
	out.requests.Lock() // once nobody works on one any more
	defer out.requests.Unlock()
	if errors.Is(err, http.ErrServerClosed) || ctx.Err() != nil {
		return nil
	}
	return err
}

var errTooMuch = errors.New("more bytes than one request may move")

// An outlet is one builder's way out.
type outlet struct {
	*Egress
	domain    string
	transport *http.Transport
	pace      *rate.Limiter
	rules     sync.Map     // target of a connection that the transport has → the rule that allowed it
	requests  sync.RWMutex // held for reading by each request
}

func (o *outlet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !o.requests.TryRLock() {
		return // the builder is gone
	}
	defer o.requests.RUnlock()
	if !o.pace.Allow() {
		o.refuse(w, o.note(r), refusal(http.StatusTooManyRequests, "too many requests", "This builder makes requests too fast; slow down."))
		return
	}
	if r.Method == http.MethodConnect {
		o.connect(w, r)
		return
	}
	o.forward(w, r)
}

// forward carries one plain HTTP request.
func (o *outlet) forward(w http.ResponseWriter, r *http.Request) {
	entry := o.note(r)
	to, err := targetOf(r)
	if err != nil {
		o.refuse(w, entry, err)
		return
	}
	meter := &meter{ResponseWriter: w, max: o.cfg.Limits.Bytes}
	r.Body = &metered{ReadCloser: r.Body, meter: meter}
	defer func() { entry.done(meter.status, meter.sum()) }()
	if handler, rule := o.inside(r.Context(), to); handler != nil {
		entry.allow(rule)
		handler.ServeHTTP(meter, here(r))
		return
	}
	if o.cfg.Proxy != nil { // otherwise the transport judges where it connects to
		rule, err := o.judge(r.Context(), to)
		if err != nil {
			o.refuse(meter, entry, err)
			return
		}
		o.rules.Store(to.String(), rule)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.Host = p.In.Host
			p.Out.Header.Del("Connection") // nothing but HTTP is carried on
			p.Out.Header.Del("Upgrade")
		},
		Transport:     o.transport,
		FlushInterval: -1,
		ModifyResponse: func(*http.Response) error {
			rule, _ := o.rules.Load(to.String())
			entry.allow(rule.(string))
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) { o.refuse(w, entry, err) },
		ErrorLog:     slog.NewLogLogger(o.cfg.Log.Handler(), slog.LevelDebug),
	}
	proxy.ServeHTTP(meter, r)
}

// here is a request as a handler inside gets it.
func here(r *http.Request) *http.Request {
	r2 := r.Clone(r.Context())
	r2.URL.Scheme, r2.URL.Host = "", ""
	r2.RequestURI = r2.URL.RequestURI()
	return r2
}

// inside gives the handler that answers for a name here, if one does, and the rule that says so.
func (o *outlet) inside(ctx context.Context, to target) (http.Handler, string) {
	if h, ok := o.cfg.Inside[to.host]; ok {
		return h, "inside"
	}
	for _, p := range o.probes {
		if p.answers(ctx, o.Egress, to) {
			return p.standIn.Handler, "stand-in for " + to.host
		}
	}
	return nil, ""
}

// refuse answers a request that goes nowhere.
func (o *outlet) refuse(w http.ResponseWriter, entry *entry, err error) {
	no := o.refused(entry, err)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(no.Status)
	io.WriteString(w, no.text()+"\n")
}

// refused writes down why a request goes nowhere: for a rule, or because nobody answers.
func (o *outlet) refused(entry *entry, err error) *Refusal {
	var no *Refusal
	if errors.As(err, &no) {
		entry.deny(no.Rule)
	} else {
		entry.allow("")
		no = refusal(http.StatusBadGateway, "", "%s.", cause(err))
	}
	entry.done(no.Status, 0)
	return no
}

func (o *outlet) note(r *http.Request) *entry {
	url := r.URL.Redacted()
	if r.Method == http.MethodConnect {
		url = r.Host
	}
	return o.ledger.add(o.domain, r.Method, url)
}
