package store

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"slipway/server/play"
	"slipway/server/store/query"
)

// titleLimit is the greatest length of a title in characters.
const titleLimit = 200

// CreateSnippet keeps a new snippet and its first revision, rev; sn.Revision is ignored.
func (s *Store) CreateSnippet(ctx context.Context, sn play.Snippet, rev play.Revision) error {
	if err := checkTitle(sn.Title); err != nil {
		return err
	}
	err := s.atomically(ctx, func(q *query.Queries) error {
		if err := addRevision(ctx, q, rev, sn.Created); err != nil {
			return err
		}
		err := q.AddSnippet(ctx, query.AddSnippetParams{
			ID: sn.ID, Title: sn.Title, Owner: sn.Owner, Revision: rev.ID, ForkedFrom: sn.ForkedFrom,
			Public: sn.Public, Created: micros(sn.Created), Updated: micros(sn.Updated),
		})
		if err != nil {
			return err
		}
		return q.AddVersion(ctx, query.AddVersionParams{Snippet: sn.ID, Revision: rev.ID, Created: micros(sn.Created)})
	})
	if err != nil {
		return fmt.Errorf("create snippet %s: %w", sn.ID, err)
	}
	return nil
}

// Snippet reads a snippet.
func (s *Store) Snippet(ctx context.Context, id string) (play.Snippet, error) {
	row, err := s.query().Snippet(ctx, id)
	if err := found(err, "snippet", id); err != nil {
		return play.Snippet{}, err
	}
	return snippetOf(row), nil
}

// Revise adds rev to a snippet whose latest revision is base, and returns the snippet as it is then. If someone
// else has added one meanwhile it is a Conflict that names both. To add the latest again does nothing.
func (s *Store) Revise(ctx context.Context, id, base string, rev play.Revision, at time.Time) (play.Snippet, error) {
	var sn play.Snippet
	err := s.atomically(ctx, func(q *query.Queries) error {
		row, err := q.Snippet(ctx, id)
		if err := found(err, "snippet", id); err != nil {
			return err
		}
		sn = snippetOf(row)
		if sn.Revision == rev.ID {
			return nil
		}
		if sn.Revision != base {
			return conflict(base, sn.Revision)
		}
		if err := addRevision(ctx, q, rev, at); err != nil {
			return err
		}
		n, err := q.MoveSnippet(ctx, query.MoveSnippetParams{ID: id, Base: base, Revision: rev.ID, Updated: micros(at)})
		if err != nil {
			return err
		}
		if n == 0 { // moved by another node since it was read
			row, err := q.Snippet(ctx, id)
			if err := found(err, "snippet", id); err != nil {
				return err
			}
			return conflict(base, row.Revision)
		}
		sn.Revision, sn.Updated = rev.ID, moment(micros(at))
		return q.AddVersion(ctx, query.AddVersionParams{Snippet: id, Revision: rev.ID, Created: micros(at)})
	})
	if err != nil {
		return play.Snippet{}, fmt.Errorf("revise snippet %s: %w", id, err)
	}
	return sn, nil
}

func conflict(base, latest string) error {
	return play.Errorf(play.Conflict, "The snippet was changed meanwhile: your files are based on revision %s, and the latest is %s. "+
		"Look at the latest, then save again on top of it or as a snippet of your own.", base, latest)
}

// Rename gives a snippet another title.
func (s *Store) Rename(ctx context.Context, id, title string, at time.Time) error {
	if err := checkTitle(title); err != nil {
		return err
	}
	var n int64
	err := s.atomically(ctx, func(q *query.Queries) (err error) {
		n, err = q.RenameSnippet(ctx, query.RenameSnippetParams{ID: id, Title: title, Updated: micros(at)})
		return err
	})
	if err != nil {
		return fmt.Errorf("rename snippet %s: %w", id, err)
	}
	if n == 0 {
		return play.Errorf(play.NotFound, "There is no snippet %q here.", id)
	}
	return nil
}

// Versions is a snippet's line of revisions, the first first.
func (s *Store) Versions(ctx context.Context, id string) ([]play.Version, error) {
	rows, err := s.query().Versions(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read the versions of snippet %s: %w", id, err)
	}
	versions := make([]play.Version, len(rows))
	for i, r := range rows {
		versions[i] = play.Version{N: int(r.N), Revision: r.Revision, Created: moment(r.Created)}
	}
	return versions, nil
}

func snippetOf(r query.Snippet) play.Snippet {
	return play.Snippet{
		ID: r.ID, Title: r.Title, Owner: r.Owner, Revision: r.Revision, ForkedFrom: r.ForkedFrom,
		Public: r.Public, Created: moment(r.Created), Updated: moment(r.Updated),
	}
}

func checkTitle(title string) error {
	switch {
	case !utf8.ValidString(title) || strings.ContainsRune(title, 0):
		return play.Errorf(play.Invalid, "The title contains bytes that are not text.")
	case utf8.RuneCountInString(title) > titleLimit:
		return play.Errorf(play.Limited, "The title has %d characters; at most %d are allowed.", utf8.RuneCountInString(title), titleLimit)
	}
	return nil
}
