package server

import (
	"slices"
	"time"
)

// Linger sets how long live streams wait for viewers to come back.
func (s *Server) Linger(d time.Duration) { s.lives.linger = d }

// Routes lists every route, as "GET /path/:parameter".
func (s *Server) Routes() []string {
	var list []string
	for _, r := range s.echo.Routes() {
		list = append(list, r.Method+" "+r.Path)
	}
	slices.Sort(list)
	return list
}
