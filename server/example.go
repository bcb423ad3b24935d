package server

import (
	"net/http"

	"slipway/server/example"
	"slipway/web"

	"github.com/labstack/echo/v4"
)

// examplesPage is GET /examples.
func (s *Server) examplesPage(c echo.Context) error {
	return s.page(c, http.StatusOK, web.ExamplesPage{Layout: s.layout(c), Examples: s.examples})
}

// listed is the examples as pages list them.
func listed(examples []example.Example) []web.Example {
	var list []web.Example
	for _, e := range examples {
		list = append(list, web.Example{
			Snippet: e.ID, Title: e.Title, Summary: e.Summary, Level: e.Level, Group: e.Group, Learns: e.Learns, Needs: e.Needs,
		})
	}
	return list
}
