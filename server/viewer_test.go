package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"slipway/server"
	"slipway/server/play"
)

const oneFile = `{"files": {"Dockerfile": "FROM debian:bookworm-slim\n"}}`

func TestSecrets(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	var made struct {
		ID      string
		EditKey string `json:"edit_key"`
	}

	r := ask(s, "POST", "/api/v1/snippets", oneFile)
	json.Unmarshal(r.Body.Bytes(), &made)
	if r.Code != 201 || made.EditKey == "" || r.Header().Get("Set-Cookie") != "" {
		t.Fatalf("a client without a secret: %d %s %v", r.Code, r.Body, r.Header())
	}
	if got := w.snippets[made.ID].Owner; got != play.VisitorID(made.EditKey) {
		t.Errorf("owner %q", got)
	}
	if r := ask(s, "POST", "/api/v1/snippets", oneFile, bearer(made.EditKey)...); strings.Contains(r.Body.String(), "edit_key") {
		t.Errorf("a client with a secret gets another: %s", r.Body)
	}

	r = ask(s, "POST", "/api/v1/snippets", oneFile, "Sec-Fetch-Site", "same-origin")
	made.EditKey = ""
	json.Unmarshal(r.Body.Bytes(), &made)
	cookie, err := http.ParseSetCookie(r.Header().Get("Set-Cookie"))
	if err != nil || made.EditKey != "" {
		t.Fatalf("a browser without a secret: %v %s", err, r.Body)
	}
	if cookie.Name != "slipway_visitor" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Secure {
		t.Errorf("%+v", cookie)
	}
	if got := w.snippets[made.ID].Owner; got != play.VisitorID(cookie.Value) {
		t.Errorf("owner %q", got)
	}
	r = ask(s, "POST", "/api/v1/snippets", oneFile, "Sec-Fetch-Site", "same-origin", "Cookie", cookie.Name+"="+cookie.Value)
	if r.Header().Get("Set-Cookie") != "" {
		t.Error("a browser with a secret gets another")
	}

	for _, secret := range []string{"x", strings.Repeat("a", 1000), strings.Repeat("ä", 43), strings.Repeat("a", 42) + "\x01"} {
		r := ask(s, "POST", "/api/v1/snippets", oneFile, bearer(secret)...)
		if r.Code != 201 || !strings.Contains(r.Body.String(), "edit_key") {
			t.Errorf("the secret %.20q counts: %d %s", secret, r.Code, r.Body)
		}
	}
}

func TestSecretsOverHTTPS(t *testing.T) {
	s := newWorld(t).server(func(c *server.Config) { c.BaseURL = "https://slipway.test" })
	r := ask(s, "POST", "/api/v1/snippets", oneFile, "Sec-Fetch-Site", "same-origin")
	cookie, err := http.ParseSetCookie(r.Header().Get("Set-Cookie"))
	if err != nil || cookie.Name != "__Host-slipway_visitor" || !cookie.Secure || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("%v %+v", err, cookie)
	}
	if r.Header().Get("Strict-Transport-Security") == "" {
		t.Error("no Strict-Transport-Security")
	}
}

func TestOtherSitesCannotAct(t *testing.T) {
	s := newWorld(t).server()
	tests := []struct {
		headers []string
		status  int
	}{
		{[]string{"Sec-Fetch-Site", "same-origin"}, 201},
		{[]string{"Sec-Fetch-Site", "none"}, 201},
		{[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Sec-Fetch-Site", "same-site"}, 403},
		{[]string{"Origin", "http://slipway.test"}, 201},
		{[]string{"Origin", "http://evil.test"}, 403},
		{[]string{"Origin", "null"}, 403},
		{[]string{"Sec-Fetch-Site", "cross-site", "Authorization", "Bearer " + alice}, 201}, // no browser adds that by itself
		{nil, 201}, // no browser
	}
	for _, test := range tests {
		if r := ask(s, "POST", "/api/v1/snippets", oneFile, test.headers...); r.Code != test.status {
			t.Errorf("%q: %d, want %d", test.headers, r.Code, test.status)
		}
	}
	if r := ask(s, "GET", "/", "", "Sec-Fetch-Site", "cross-site"); r.Code != 200 {
		t.Errorf("a link from elsewhere: %d", r.Code)
	}
}

func TestRates(t *testing.T) {
	now := epoch
	w := newWorld(t)
	s := w.server(func(c *server.Config) {
		c.Now = func() time.Time { return now }
		c.Trusted = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} // where httptest's requests come from
		rate := server.Rate{Burst: 2, Every: 10 * time.Second}
		c.Rates = server.Rates{Builds: rate, Saves: rate, Texts: rate, Streams: 1}
	})
	for _, path := range []string{"/api/v1/builds", "/api/v1/snippets", "/api/v1/lint"} {
		from := func(addr string) (int, string) {
			r := ask(s, "POST", path, oneFile, "X-Forwarded-For", addr)
			return r.Code, r.Header().Get("Retry-After")
		}
		for i := range 3 {
			status, retry := from(fmt.Sprintf("2001:db8:0:1::%d", i)) // one network
			if i < 2 && status >= 400 || i == 2 && (status != 429 || retry != "10") {
				t.Errorf("%s %d: %d, Retry-After %q", path, i, status, retry)
			}
		}
		if status, _ := from("2001:db8:0:2::1"); status >= 400 {
			t.Errorf("%s: another network: %d", path, status)
		}
		if status, _ := from("203.0.113.9"); status >= 400 {
			t.Errorf("%s: IPv4: %d", path, status)
		}
		now = now.Add(9500 * time.Millisecond)
		if status, retry := from("2001:db8:0:1::9"); status != 429 || retry != "1" {
			t.Errorf("%s: too early: %d, Retry-After %q", path, status, retry)
		}
		now = now.Add(500 * time.Millisecond)
		if status, _ := from("2001:db8:0:1::9"); status >= 400 {
			t.Errorf("%s: after the time that it said: %d", path, status)
		}
	}
}

func TestForwardedAddressesOfStrangersCountForNothing(t *testing.T) {
	s := newWorld(t).server(func(c *server.Config) { c.Rates.Texts = server.Rate{Burst: 1, Every: time.Hour} })
	ask(s, "POST", "/api/v1/lint", oneFile, "X-Forwarded-For", "203.0.113.1")
	if r := ask(s, "POST", "/api/v1/lint", oneFile, "X-Forwarded-For", "203.0.113.2", "X-Real-Ip", "203.0.113.3"); r.Code != 429 {
		t.Errorf("%d: the limit was walked around", r.Code)
	}
}
