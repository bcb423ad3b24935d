package main

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// packageAddresses are the addresses, as prefixes, of the package registries that this machine itself is set
// up to use and that are not plainly public: a company's mirror, say. Builders may reach what the machine
// reaches; without this, the egress would refuse them for their address.
func packageAddresses(ctx context.Context) []string {
	var prefixes []string
	for _, host := range registryHosts(ctx) {
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			continue // a registry that this machine can't reach either
		}
		for _, a := range addrs {
			a = a.Unmap()
			if p := netip.PrefixFrom(a, a.BitLen()).String(); !slices.Contains(prefixes, p) {
				prefixes = append(prefixes, p)
			}
		}
	}
	return prefixes
}

var (
	aptURI = regexp.MustCompile(`(?m)^(?:URIs:|deb(?:-src)?\s+(?:\[[^\]]*\]\s+)?)\s*(\S+)`)
	goSep  = regexp.MustCompile(`[,|]`)
)

// registryHosts reads the machine's own configuration of apt, npm and Go.
func registryHosts(ctx context.Context) []string {
	var hosts []string
	add := func(raw string) {
		if u, err := url.Parse(strings.TrimSpace(raw)); err == nil && u.Hostname() != "" && !slices.Contains(hosts, u.Hostname()) {
			hosts = append(hosts, u.Hostname())
		}
	}
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	for _, f := range append(files, "/etc/apt/sources.list") {
		b, _ := os.ReadFile(f)
		for _, m := range aptURI.FindAllSubmatch(b, -1) {
			add(string(m[1]))
		}
	}
	if out, err := exec.CommandContext(ctx, "npm", "config", "get", "registry").Output(); err == nil {
		add(string(out))
	}
	if out, err := exec.CommandContext(ctx, "go", "env", "-json", "GOPROXY", "GOSUMDB").Output(); err == nil {
		var env struct{ GOPROXY, GOSUMDB string }
		if json.Unmarshal(out, &env) == nil {
			for _, p := range goSep.Split(env.GOPROXY, -1) {
				add(p)
			}
			if db := strings.Fields(env.GOSUMDB); len(db) > 0 {
				add("https://" + db[0])
			}
		}
	}
	return hosts
}
