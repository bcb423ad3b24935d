package server

import (
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"slipway/server/play"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// Rates bound what one network address may ask for. The limits of jobs come on top.
type Rates struct {
	Builds  Rate // builds started
	Saves   Rate // snippets and revisions saved, archives unpacked
	Texts   Rate // texts linted or explained; the editor asks at every pause in typing
	Streams int  // live streams open at a time
}

// Rate allows Burst requests at once and one more after each Every.
type Rate struct {
	Burst int
	Every time.Duration
}

// DefaultRates suit a room full of people behind one address.
func DefaultRates() Rates {
	return Rates{
		Builds: Rate{Burst: 30, Every: 4 * time.Second}, Saves: Rate{Burst: 60, Every: 2 * time.Second},
		Texts: Rate{Burst: 200, Every: 25 * time.Millisecond}, Streams: 300,
	}
}

// allStreams is how many live streams may be open at all: each takes about 20 KB.
const allStreams = 10_000

// addresses is how many addresses are remembered; the least recently seen is forgotten first.
const addresses = 20_000

// limiters hold the buckets of every address.
type limiters struct {
	now     func() time.Time
	builds  *buckets
	saves   *buckets
	texts   *buckets
	streams *streams
}

func newLimiters(r Rates, now func() time.Time) *limiters {
	return &limiters{
		now:    now,
		builds: newBuckets("builds", r.Builds), saves: newBuckets("saves", r.Saves), texts: newBuckets("texts to analyse", r.Texts),
		streams: &streams{most: r.Streams, open: map[string]int{}},
	}
}

// buckets is one token bucket for each address.
type buckets struct {
	what string
	rate Rate
	mu   sync.Mutex
	of   *simplelru.LRU[string, *rate.Limiter]
}

func newBuckets(what string, r Rate) *buckets {
	of, _ := simplelru.NewLRU[string, *rate.Limiter](addresses, nil) // errs only for a size below 1
	return &buckets{what: what, rate: r, of: of}
}

// take takes a token for a viewer, or says when there will be one.
func (b *buckets) take(v play.Viewer, now time.Time) error {
	key := network(v.Addr)
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.of.Get(key)
	if !ok {
		l = rate.NewLimiter(rate.Every(b.rate.Every), b.rate.Burst)
		b.of.Add(key, l)
	}
	r := l.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait <= 0 {
		return nil
	}
	r.CancelAt(now)
	seconds := int(math.Ceil(wait.Seconds()))
	return &refusal{retry: wait, err: play.Errorf(play.Limited, "There were too many %s from your network; try again in %s.", b.what, plural(seconds, "second"))}
}

// streams counts the live streams of each address.
type streams struct {
	most int // of one address
	mu   sync.Mutex
	all  int
	open map[string]int
}

// enter counts one stream until leave is called.
func (s *streams) enter(v play.Viewer) (leave func(), err error) {
	key := network(v.Addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[key] >= s.most {
		return nil, &refusal{retry: 10 * time.Second, err: play.Errorf(play.Limited, "There are %d live streams open from your network, the most that are allowed; close a page or wait.", s.most)}
	}
	if s.all >= allStreams {
		return nil, &refusal{retry: 30 * time.Second, err: play.Errorf(play.Unavailable, "As many people look on as this server can bear; reload the page in a while.")}
	}
	s.open[key]++
	s.all++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.open[key]--; s.open[key] == 0 {
			delete(s.open, key)
		}
	}, nil
}

// network is what one client may choose addresses from: a /64 for IPv6, the address itself for IPv4.
func network(addr string) string {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return addr
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	p, _ := ip.Prefix(64) // errs only for more bits than an address has
	return p.String()
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
