package egress

import (
	"context"
	"crypto/tls"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A StandIn is a service that is answered here while the real one can't be reached.
type StandIn struct {
	Hosts   []string // of the service; the first decides whether it can be reached
	Handler http.Handler
}

const (
	probeWithin = 3 * time.Second
	reachedFor  = 10 * time.Minute // so long a service that answered is believed to be there
	missedFor   = 2 * time.Minute  // and one that did not, to be away
)

// A probe finds out whether the real service can be reached, and remembers.
type probe struct {
	standIn StandIn

	mu      sync.Mutex
	until   time.Time
	reached bool
}

// answers says whether the stand-in answers for a target.
func (p *probe) answers(ctx context.Context, e *Egress, t target) bool {
	if !slices.Contains(p.standIn.Hosts, t.host) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock() // those who come meanwhile wait for the same answer
	if time.Now().Before(p.until) {
		return !p.reached
	}
	err := p.ask(ctx, e)
	if ctx.Err() != nil {
		return false // nobody waits for it, and nothing was learned
	}
	p.reached, p.until = err == nil, time.Now().Add(missedFor)
	if p.reached {
		p.until = time.Now().Add(reachedFor)
	}
	e.cfg.Log.Info("egress", "service", p.standIn.Hosts[0], "reached", p.reached, "why", err)
	return !p.reached
}

// ask makes a TLS connection to the real service: something that answers in its place has no certificate.
func (p *probe) ask(ctx context.Context, e *Egress) error {
	ctx, done := context.WithTimeout(ctx, probeWithin)
	defer done()
	host := p.standIn.Hosts[0]
	conn, _, err := e.dial(ctx, target{host: host, port: 443})
	if err != nil {
		return err
	}
	defer conn.Close()
	return tls.Client(conn, &tls.Config{ServerName: host, RootCAs: e.cfg.Roots}).HandshakeContext(ctx)
}
