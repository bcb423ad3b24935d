package server

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"slipway/server/play"

	"github.com/labstack/echo/v4"
)

// pagePolicy is the Content-Security-Policy of pages: nothing but our own files, no inline code, no frames.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// dataPolicy is that of everything that is no page.
const dataPolicy = "default-src 'none'; frame-ancestors 'none'"

// headers sets what every answer carries.
func (s *Server) headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", dataPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		if s.secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		return next(c)
	}
}

// styleNonce allows the style sheets that the editor makes as it runs, for this one answer.
func (s *Server) styleNonce(c echo.Context) (string, error) {
	b, err := s.random(16)
	if err != nil {
		return "", err
	}
	nonce := base64.RawStdEncoding.EncodeToString(b)
	c.Response().Header().Set("Content-Security-Policy",
		strings.Replace(pagePolicy, "style-src 'self'", "style-src 'self' 'nonce-"+nonce+"'", 1))
	return nonce, nil
}

// sameSite refuses what another site's page made a browser send, by Sec-Fetch-Site or Origin. A request with an
// edit key in its Authorization header was not sent by a browser on its own.
func (s *Server) sameSite(next echo.HandlerFunc) echo.HandlerFunc {
	var protection http.CrossOriginProtection
	// The base URL is ours, also when a proxy changes the Host header.
	trusted := protection.AddTrustedOrigin(s.base.Scheme + "://" + s.base.Host)
	return func(c echo.Context) error {
		if visitOf(c.Request().Context()).bearer {
			return next(c)
		}
		if err := protection.Check(c.Request()); err != nil || trusted != nil {
			return play.Errorf(play.Denied, "The request came from another site's page; it was refused.").Because(err)
		}
		return next(c)
	}
}

// clientAddress finds the address of the client behind the trusted proxies.
func clientAddress(trusted []netip.Prefix) echo.IPExtractor {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range trusted {
		p = p.Masked()
		options = append(options, echo.TrustIPRange(&net.IPNet{
			IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
		}))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

// bodyLimit is the largest body that is read: all the files of a revision, with what JSON, base64 or a form
// add to them.
func bodyLimit(l play.Limits) int64 { return 2*l.TotalBytes + 1<<20 }
