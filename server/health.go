package server

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// healthz says that the process answers.
func (s *Server) healthz(c echo.Context) error { return c.String(http.StatusOK, "ok\n") }

// readiness says what is missing, by name.
type readiness struct {
	Ready  bool          `json:"ready"`
	Checks []checkResult `json:"checks"`
}

type checkResult struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Message string `json:"message,omitempty"`
}

// readyz says whether builds can run, and what is missing.
func (s *Server) readyz(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), 3*time.Second)
	defer cancel()
	answers := make([]chan error, len(s.Checks))
	for i, check := range s.Checks {
		answers[i] = make(chan error, 1)
		go func() { answers[i] <- check.Ready(ctx) }()
	}
	r := readiness{Ready: true}
	for i, check := range s.Checks {
		result := checkResult{Name: check.Name, OK: true}
		select {
		case err := <-answers[i]:
			if err != nil {
				result.OK, result.Message = false, err.Error()
			}
		case <-ctx.Done():
			result.OK, result.Message = false, "no answer within 3 s"
		}
		r.Ready = r.Ready && result.OK
		r.Checks = append(r.Checks, result)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	if !r.Ready {
		return c.JSON(http.StatusServiceUnavailable, r)
	}
	return c.JSON(http.StatusOK, r)
}
