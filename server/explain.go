package server

import (
	"io"
	"mime"
	"net/http"

	"slipway/server/play"
	"slipway/web"

	"github.com/labstack/echo/v4"
)

// stepsFragment is POST /steps: the list of steps of a text that was not built, drawn as the editor shows it.
func (s *Server) stepsFragment(c echo.Context) error {
	var body textBody
	if err := readJSON(c, &body); err != nil {
		return err
	}
	ctx := c.Request().Context()
	steps, err := s.explain(ctx, viewerOf(ctx), body.text())
	if err != nil {
		return err
	}
	return s.page(c, http.StatusOK, web.StepsFragment(web.Build{Steps: steps, Now: s.Now()}))
}

// readJSON reads a body that must say that it is JSON.
func readJSON(c echo.Context, v any) error {
	r := c.Request()
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return echo.ErrUnsupportedMediaType
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if err := decodeJSON(body, v); err != nil {
		return &refusal{status: http.StatusBadRequest, err: play.Errorf(play.Invalid, "The body is not the JSON that is expected here.").Because(err)}
	}
	return nil
}
