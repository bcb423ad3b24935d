package egress

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A Refusal is why a request goes nowhere.
type Refusal struct {
	Status  int
	Rule    string // short, the same for all requests that it hits
	Message string // for the one who asked: what is wrong and what to do
}

func (r *Refusal) Error() string { return r.Message }

// text is what a refused client is told.
func (r *Refusal) text() string { return "Slipway's egress: " + r.Message }

func refusal(status int, rule, format string, args ...any) *Refusal {
	return &Refusal{Status: status, Rule: rule, Message: fmt.Sprintf(format, args...)}
}

// A target is a host and a port that somebody wants to reach. The host is a name in lower case without a dot at
// its end, or an address.
type target struct {
	host string
	addr netip.Addr // valid if the host is an address
	port uint16
}

func (t target) String() string { return net.JoinHostPort(t.host, strconv.Itoa(int(t.port))) }

// targetOf reads from a request to a proxy what it wants to reach.
func targetOf(r *http.Request) (target, error) {
	if r.Method == http.MethodConnect {
		return parseTarget(r.Host, 443)
	}
	switch {
	case r.URL.Host == "":
		return target{}, refusal(http.StatusBadRequest, "", "This is a proxy: ask for a whole URL.")
	case r.URL.Scheme != "http":
		return target{}, refusal(http.StatusForbidden, "scheme", "Only http and https leave a build, not %s.", r.URL.Scheme)
	case r.URL.User != nil:
		return target{}, refusal(http.StatusForbidden, "name", "A URL with a user name in it is not sent on.")
	}
	return parseTarget(r.URL.Host, 80)
}

// parseTarget reads HOST or HOST:PORT strictly: what different programs could read in different ways is refused.
func parseTarget(s string, port uint16) (target, error) {
	odd := refusal(http.StatusForbidden, "name", "%q is not a plain host name or address.", s)
	host := s
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		n, err := strconv.ParseUint(s[i+1:], 10, 16)
		if err != nil || n == 0 {
			return target{}, odd
		}
		host, port = s[:i], uint16(n)
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if !ok || err != nil || addr.Zone() != "" || addr.Is4() {
			return target{}, odd
		}
		return target{host: addr.Unmap().String(), addr: addr.Unmap(), port: port}, nil
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if !addr.Is4() {
			return target{}, odd
		}
		return target{host: addr.String(), addr: addr, port: port}, nil
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !plainName(host) {
		return target{}, odd
	}
	return target{host: host, port: port}, nil
}

// plainName says whether a string is a host name that nothing could take for an address: 0177.1, 0x7f.1 and
// 2130706433 are all 127.0.0.1 to some program.
func plainName(host string) bool {
	if host == "" || len(host) > 253 {
		return false
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	last := labels[len(labels)-1]
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}

// Addresses that are not for everyone, and what they are (IANA's special-purpose registries). Those that
// netip knows by itself come first in public.
var special = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "this network's"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared by a carrier's customers"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved for protocols"},
	{netip.MustParsePrefix("192.0.2.0/24"), "reserved for documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "a relay's"},
	{netip.MustParsePrefix("198.18.0.0/15"), "reserved for measurements"},
	{netip.MustParsePrefix("198.51.100.0/24"), "reserved for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "reserved for documentation"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	{netip.MustParsePrefix("2001::/23"), "reserved for protocols"},
	{netip.MustParsePrefix("2001:db8::/32"), "reserved for documentation"},
	{netip.MustParsePrefix("2002::/16"), "an IPv4 address in disguise"},
	{netip.MustParsePrefix("3fff::/20"), "reserved for documentation"},
}

var globalUnicast6 = netip.MustParsePrefix("2000::/3") // all that IANA gave out for the public

// notPublic says what an address is if it is not a public one, or "".
func notPublic(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	switch {
	case !a.IsValid():
		return "none"
	case a.IsLoopback():
		return "a loopback address"
	case a.IsPrivate():
		return "a private address"
	case a.IsLinkLocalUnicast():
		return "a link-local address"
	case a.IsMulticast(), a.IsUnspecified(), !a.IsGlobalUnicast():
		return "no single host's address"
	}
	for _, s := range special {
		if s.prefix.Contains(a) {
			return "an address " + s.what
		}
	}
	if a.Is6() && !globalUnicast6.Contains(a) {
		return "an address outside the public range"
	}
	return ""
}

// judgeAddress says by which rule an address may be reached.
func (e *Egress) judgeAddress(a netip.Addr, own []netip.Addr) (rule string, err error) {
	a = a.Unmap().WithZone("")
	for _, p := range e.cfg.Allow {
		if p.Contains(a) {
			return "allowed by the operator", nil
		}
	}
	if what := notPublic(a); what != "" {
		return "", refusal(http.StatusForbidden, "not public",
			"%s is %s; builds reach only public ones. The operator of this server can allow it with --egress-allow.", a, what)
	}
	if slices.Contains(own, a) {
		return "", refusal(http.StatusForbidden, "own address", "%s is this server's own address, which builds don't reach.", a)
	}
	return "public", nil
}

func (e *Egress) judgePort(t target) error {
	if slices.Contains(e.cfg.Ports, t.port) {
		return nil
	}
	return refusal(http.StatusForbidden, "port", "Port %d of %s is not open to builds; these are: %s.", t.port, t.host, ports(e.cfg.Ports))
}

func ports(list []uint16) string {
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = strconv.Itoa(int(p))
	}
	return strings.Join(words, ", ")
}

// ownAddresses are the addresses of this machine.
func ownAddresses() []netip.Addr {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // the special ranges still stand
	}
	var own []netip.Addr
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				own = append(own, ip.Unmap())
			}
		}
	}
	return own
}
