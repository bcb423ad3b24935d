package egress

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestNotPublic(t *testing.T) {
	for _, c := range []struct {
		addr   string
		public bool
	}{
		{"1.1.1.1", true},
		{"93.184.216.34", true},
		{"172.15.255.255", true},
		{"172.32.0.0", true},
		{"100.63.255.255", true},
		{"100.128.0.0", true},
		{"198.17.255.255", true},
		{"198.20.0.0", true},
		{"223.255.255.255", true},
		{"2606:4700:4700::1111", true},
		{"2a00:1450:4001::1", true},
		{"::ffff:1.1.1.1", true}, // the same host as 1.1.1.1

		{"0.0.0.0", false},
		{"0.1.2.3", false},
		{"10.0.0.1", false},
		{"100.64.0.1", false},
		{"127.0.0.1", false},
		{"127.255.255.254", false},
		{"169.254.169.254", false},
		{"172.16.0.1", false},
		{"172.31.255.255", false},
		{"192.0.0.8", false},
		{"192.0.2.1", false},
		{"192.88.99.1", false},
		{"192.168.1.1", false},
		{"198.18.0.1", false},
		{"198.19.255.255", false},
		{"198.51.100.7", false},
		{"203.0.113.80", false},
		{"224.0.0.1", false},
		{"239.255.255.255", false},
		{"240.0.0.1", false},
		{"255.255.255.255", false},
		{"::", false},
		{"::1", false},
		{"::ffff:127.0.0.1", false},
		{"::ffff:169.254.169.254", false},
		{"::127.0.0.1", false},          // the old way to write IPv4
		{"64:ff9b::7f00:1", false},      // 127.0.0.1 through a translator
		{"64:ff9b:1::a00:1", false},     // likewise, a local one
		{"100::1", false},               // discarded
		{"2001::1", false},              // Teredo
		{"2001:db8::1", false},          // documentation
		{"2002:7f00:1::1", false},       // 127.0.0.1 by 6to4
		{"3fff::1", false},              // documentation
		{"5f00::1", false},              // segment routing
		{"fc00::1", false},              // unique local
		{"fd12:3456:789a::1", false},    // likewise
		{"fe80::1", false},              // link-local
		{"fe80::1%eth0", false},         // with a zone
		{"fec0::1", false},              // site-local
		{"ff02::1", false},              // multicast
		{"2606:4700::1111%eth0", true},  // a zone hides nothing
		{"::ffff:0:10.0.0.1", false},    // translated
		{"2001:0:4136:e378::1", false},  // Teredo again
		{"2001:20::1", false},           // ORCHID
		{"0:0:0:0:0:ffff:a00:1", false}, // 10.0.0.1
		{"::ffff:c0a8:0101", false},     // 192.168.1.1
		{"2620:4f:8000::1", true},       // anycast of AS112, reachable
		{"fdff:ffff:ffff:ffff::1", false},
	} {
		what := notPublic(netip.MustParseAddr(c.addr))
		if (what == "") != c.public {
			t.Errorf("%s is %q; public: %v", c.addr, what, c.public)
		}
	}
	if notPublic(netip.Addr{}) == "" {
		t.Error("no address is a public one")
	}
}

func TestJudgeAddress(t *testing.T) {
	e := &Egress{cfg: Config{Allow: []netip.Prefix{netip.MustParsePrefix("203.0.113.80/32"), netip.MustParsePrefix("fd00::/8")}}}
	own := []netip.Addr{netip.MustParseAddr("93.184.216.34")}
	for addr, want := range map[string]string{
		"203.0.113.80":         "allowed by the operator",
		"::ffff:203.0.113.80":  "allowed by the operator",
		"fd00::1":              "allowed by the operator",
		"203.0.113.81":         "not public",
		"93.184.216.34":        "own address",
		"::ffff:93.184.216.34": "own address",
		"93.184.216.35":        "public",
	} {
		rule, err := e.judgeAddress(netip.MustParseAddr(addr), own)
		if no, ok := err.(*Refusal); ok {
			rule = no.Rule
		}
		if rule != want {
			t.Errorf("%s: %q, want %q", addr, rule, want)
		}
	}
}

func TestParseTarget(t *testing.T) {
	for in, want := range map[string]string{
		"example.com":                        "example.com:80",
		"Example.COM":                        "example.com:80",
		"example.com.":                       "example.com:80",
		"example.com.:443":                   "example.com:443",
		"example.com:8080":                   "example.com:8080",
		"a_b.example.com":                    "a_b.example.com:80",
		"xn--bcher-kva.example":              "xn--bcher-kva.example:80",
		"localhost":                          "localhost:80",
		"1.2.3.4":                            "1.2.3.4:80",
		"1.2.3.4:443":                        "1.2.3.4:443",
		"[2606:4700::1]":                     "[2606:4700::1]:80",
		"[2606:4700::1]:443":                 "[2606:4700::1]:443",
		"[::ffff:1.2.3.4]":                   "1.2.3.4:80",
		"1e100.net":                          "1e100.net:80",
		"":                                   "",
		".":                                  "",
		":80":                                "",
		"example.com..":                      "",
		"example..com":                       "",
		".example.com":                       "",
		"example.com:":                       "",
		"example.com:0":                      "",
		"example.com:65536":                  "",
		"example.com:+80":                    "",
		"example.com:80:80":                  "",
		"0177.0.0.1":                         "",
		"127.1":                              "",
		"2130706433":                         "",
		"0x7f.0.0.1":                         "",
		"0x7f000001":                         "",
		"1.2.3.4.":                           "", // an address to some, a name to others
		"1.2.3.256":                          "",
		"example.0x7f":                       "",
		"[1.2.3.4]":                          "",
		"[fe80::1%25eth0]":                   "",
		"[fe80::1%eth0]":                     "",
		"2606:4700::1":                       "",
		"[2606:4700::1":                      "",
		"user@example.com":                   "",
		"example.com@10.0.0.1":               "",
		"example.com#.evil.example":          "",
		"example.com/path":                   "",
		"example.com\\.evil.example":         "",
		"exam ple.com":                       "",
		"exam\x00ple.com":                    "",
		"exam%70le.com":                      "",
		"bücher.example":                     "",
		"１２７.0.0.1":                          "",
		"127。0。0。1":                          "",
		strings.Repeat("a", 64) + ".example": "",
		strings.Repeat("a.", 127) + "example.com": "",
	} {
		got, err := parseTarget(in, 80)
		if want == "" && err == nil {
			t.Errorf("%q was taken for %v", in, got)
		}
		if want != "" && (err != nil || got.String() != want) {
			t.Errorf("%q: %v %v, want %s", in, got, err, want)
		}
	}
}

// What is read once is read the same again, and nothing that is taken for a name is an address to anyone.
func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"example.com:443", "[::1]:80", "0177.0.0.1", "1.2.3.4", "a..b", "x.", "[::ffff:1.2.3.4]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		to, err := parseTarget(s, 80)
		if err != nil {
			return
		}
		again, err := parseTarget(to.String(), 1)
		if err != nil || again != to {
			t.Errorf("%q is %v, and that is %v %v", s, to, again, err)
		}
		addr, err := netip.ParseAddr(to.host)
		if to.addr.IsValid() != (err == nil) || err == nil && addr != to.addr {
			t.Errorf("%q: host %q, address %v", s, to.host, to.addr)
		}
		if strings.ContainsAny(to.host, " @/\\#?%") || to.host != strings.ToLower(to.host) {
			t.Errorf("%q: host %q", s, to.host)
		}
	})
}

func TestTargetOf(t *testing.T) {
	request := func(method, url string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, url, nil)
		r.Method = method
		if method == http.MethodConnect {
			r.Host = strings.TrimPrefix(url, "http://")
		}
		return r
	}
	for _, c := range []struct {
		r    *http.Request
		want string
		code int
	}{
		{request("GET", "http://example.com/x"), "example.com:80", 0},
		{request("CONNECT", "http://example.com:443"), "example.com:443", 0},
		{request("GET", "/x"), "", 400},
		{request("GET", "https://example.com/"), "", 403},
		{request("GET", "ftp://example.com/"), "", 403},
		{request("GET", "http://public.example@10.0.0.1/"), "", 403},
		{request("GET", "http://a:b@example.com/"), "", 403},
	} {
		c.r.URL.Host = strings.TrimSuffix(c.r.URL.Host, " ")
		got, err := targetOf(c.r)
		no, _ := err.(*Refusal)
		if c.code == 0 && (err != nil || got.String() != c.want) || c.code != 0 && (no == nil || no.Status != c.code) {
			t.Errorf("%s %s: %v %v", c.r.Method, c.r.URL, got, err)
		}
	}
}
