package server

import (
	"bytes"
	"context"
	"io"
	"strings"

	"slipway/web"

	"github.com/labstack/echo/v4"
)

// renderer is a page of web.
type renderer interface {
	Render(context.Context, io.Writer) error
}

// page draws a page into memory first, so that an error becomes an error's page and not half of this one.
func (s *Server) page(c echo.Context, status int, p renderer) error {
	var b bytes.Buffer
	if err := p.Render(c.Request().Context(), &b); err != nil {
		return err
	}
	h := c.Response().Header()
	if h.Get("Content-Security-Policy") == dataPolicy { // an editor's page has set its own
		h.Set("Content-Security-Policy", pagePolicy)
	}
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache")
	}
	return c.HTMLBlob(status, b.Bytes())
}

func (s *Server) layout(c echo.Context) web.Layout {
	return web.Layout{BaseURL: s.BaseURL, Path: c.Request().URL.Path}
}

// cutSuffix is a parameter of the path without a suffix, if it has it.
func cutSuffix(c echo.Context, param, suffix string) (string, bool) {
	return strings.CutSuffix(c.Param(param), suffix)
}

// clip shortens what a person sent for a message.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
