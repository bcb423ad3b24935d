package server

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"

	"slipway/server/play"

	"github.com/labstack/echo/v4"
)

// A visit is who is asking, and how they said so.
type visit struct {
	viewer    play.Viewer
	bearer    bool // the secret came in the Authorization header, so no browser sent it on its own
	browser   bool // a browser asks: it keeps a secret in a cookie
	requestID string
}

type visitKey struct{}

// visitOf is the request's visit.
func visitOf(ctx context.Context) visit {
	v, _ := ctx.Value(visitKey{}).(visit)
	return v
}

// viewerOf is the request's viewer.
func viewerOf(ctx context.Context) play.Viewer { return visitOf(ctx).viewer }

// cookieName is the cookie of the visitor's secret; with https it is one that no other host can set.
func (s *Server) cookieName() string {
	if s.secure {
		return "__Host-slipway_visitor"
	}
	return "slipway_visitor"
}

// visitor finds out who is asking. A secret that doesn't look like one of ours counts as none.
func (s *Server) visitor(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		v := visit{
			viewer:    play.Viewer{Addr: c.RealIP()},
			browser:   r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != "",
			requestID: c.Response().Header().Get(echo.HeaderXRequestID),
		}
		secret, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !bearer {
			if cookie, err := c.Cookie(s.cookieName()); err == nil {
				secret = cookie.Value
			}
		}
		if isSecret(secret) {
			v.viewer.ID, v.bearer = play.VisitorID(secret), bearer
		}
		c.SetRequest(r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
		return next(c)
	}
}

// secretBytes is the length of a secret: as long as a SHA-256, far beyond guessing.
const secretBytes = 32

func isSecret(s string) bool {
	return len(s) == base64.RawURLEncoding.EncodedLen(secretBytes) && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	})
}

// A credential is a new secret on its way to who is to keep it: one of the fields is set.
type credential struct {
	cookie string // a browser's Set-Cookie
	key    string // another client's edit key
}

// known is the viewer, who gets a secret if they have shown none.
func (s *Server) known(ctx context.Context) (play.Viewer, credential, error) {
	who := visitOf(ctx)
	if who.viewer.ID != "" {
		return who.viewer, credential{}, nil
	}
	secret, err := s.random(secretBytes)
	if err != nil {
		return play.Viewer{}, credential{}, err
	}
	key := base64.RawURLEncoding.EncodeToString(secret)
	who.viewer.ID = play.VisitorID(key)
	if !who.browser {
		return who.viewer, credential{key: key}, nil
	}
	cookie := http.Cookie{
		Name: s.cookieName(), Value: key, Path: "/", HttpOnly: true, Secure: s.secure,
		SameSite: http.SameSiteLaxMode, MaxAge: 400 * 24 * 60 * 60, // the longest that browsers keep one
	}
	return who.viewer, credential{cookie: cookie.String()}, nil
}

func (s *Server) random(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.Random, b); err != nil {
		return nil, play.Errorf(play.Internal, "").Because(err)
	}
	return b, nil
}

// newID is a new id of a snippet: 12 letters, about 59 bits, so links can't be guessed.
func (s *Server) newID() (string, error) {
	b, err := s.random(16)
	return play.Name(b, 12), err
}
