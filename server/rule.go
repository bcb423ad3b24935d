package server

import (
	"net/http"

	"slipway/server/lint"
	"slipway/server/play"
	"slipway/web"

	"github.com/labstack/echo/v4"
)

// rulesPage is GET /rules.
func (s *Server) rulesPage(c echo.Context) error {
	page := web.RulesPage{Layout: s.layout(c)}
	for _, r := range lint.Rules() {
		page.Rules = append(page.Rules, ruleOf(r))
	}
	return s.page(c, http.StatusOK, page)
}

// rulePage is GET /rules/{id}.
func (s *Server) rulePage(c echo.Context) error {
	r, ok := lint.Find(c.Param("rule"))
	if !ok {
		return play.Errorf(play.NotFound, "There is no lint rule %q.", clip(c.Param("rule")))
	}
	text, err := r.Page()
	if err != nil {
		return err
	}
	page := web.RulePage{Layout: s.layout(c), Rule: ruleOf(r)}
	page.Rule.Explain = text.Text // with its examples
	return s.page(c, http.StatusOK, page)
}

func ruleOf(r lint.Rule) web.Rule {
	return web.Rule{ID: r.ID, Title: r.Title, Severity: r.Severity, Upstream: r.Upstream}
}
