package store

import (
	"context"
	"fmt"
	"time"

	"slipway/server/store/query"
)

// See notes that a visitor was here.
func (s *Store) See(ctx context.Context, visitor string, at time.Time) error {
	if err := s.query().SeeVisitor(ctx, query.SeeVisitorParams{ID: visitor, First: micros(at)}); err != nil {
		return fmt.Errorf("note visitor %s: %w", visitor, err)
	}
	return nil
}
