package server

import "time"

// Linger sets how long live streams wait for viewers to come back.
func (s *Server) Linger(d time.Duration) { s.lives.linger = d }
