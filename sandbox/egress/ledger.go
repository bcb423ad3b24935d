package egress

import (
	"io"
	"net/http"
	"sync"
	"time"

	"slipway/server/play"
)

// maxRecord is how many requests of a domain are remembered; the oldest are forgotten first.
const maxRecord = 20_000

// A ledger remembers what builders asked for while they live.
type ledger struct {
	mu      sync.Mutex
	domains map[string]*record
}

// A record is what the builders of one domain asked for, in order of time.
type record struct {
	served  int // listeners of the domain
	entries []*entry
}

// An entry is one request. It is judged once and ends once.
type entry struct {
	ledger *ledger
	at     time.Time
	said   play.Requested
}

func (l *ledger) open(domain string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.domains[domain] == nil {
		l.domains[domain] = &record{}
	}
	l.domains[domain].served++
}

func (l *ledger) close(domain string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.domains[domain].served--; l.domains[domain].served == 0 {
		delete(l.domains, domain)
	}
}

func (l *ledger) add(domain, method, url string) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &entry{ledger: l, at: time.Now(), said: play.Requested{Method: method, URL: url}}
	r := l.domains[domain]
	if len(r.entries) >= maxRecord {
		r.entries = append(r.entries[:0:0], r.entries[maxRecord/2:]...)
	}
	r.entries = append(r.entries, e)
	return e
}

// Requests are the requests of a domain's builders since a time, in order. One that is still under way is
// among them as far as it is known.
func (e *Egress) Requests(domain string, since time.Time) []play.Requested {
	e.ledger.mu.Lock()
	defer e.ledger.mu.Unlock()
	r := e.ledger.domains[domain]
	if r == nil {
		return nil
	}
	var all []play.Requested
	for _, entry := range r.entries {
		if !entry.at.Before(since) {
			all = append(all, entry.said)
		}
	}
	return all
}

func (e *entry) allow(rule string) { e.judged(true, rule) }
func (e *entry) deny(rule string)  { e.judged(false, rule) }

func (e *entry) judged(allowed bool, rule string) {
	e.ledger.mu.Lock()
	defer e.ledger.mu.Unlock()
	e.said.Allowed, e.said.Rule = allowed, rule
}

func (e *entry) done(status int, bytes int64) {
	e.ledger.mu.Lock()
	defer e.ledger.mu.Unlock()
	e.said.Status, e.said.Bytes = status, bytes
}

// A meter counts and bounds the bytes of a request and its answer.
type meter struct {
	http.ResponseWriter
	mu     sync.Mutex // a request's body is read while the answer is written
	status int
	used   int64
	max    int64
}

// take counts n bytes and says whether they were too many.
func (m *meter) take(n int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used += int64(n); m.used > m.max {
		return errTooMuch
	}
	return nil
}

func (m *meter) sum() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

func (m *meter) WriteHeader(status int) {
	if m.status == 0 || m.status < 200 {
		m.status = status
	}
	m.ResponseWriter.WriteHeader(status)
}

func (m *meter) Write(p []byte) (int, error) {
	if m.status == 0 {
		m.status = http.StatusOK
	}
	if err := m.take(len(p)); err != nil {
		return 0, err
	}
	return m.ResponseWriter.Write(p)
}

func (m *meter) Unwrap() http.ResponseWriter { return m.ResponseWriter }

// A metered body is counted by the meter of its request.
type metered struct {
	io.ReadCloser
	meter *meter
}

func (b *metered) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if tooMuch := b.meter.take(n); tooMuch != nil {
		return n, tooMuch
	}
	return n, err
}
