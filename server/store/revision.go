package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/server/play"
	"slipway/server/store/query"
)

// AddRevision keeps a revision. To keep one that is there already is fine and does nothing.
func (s *Store) AddRevision(ctx context.Context, rev play.Revision, at time.Time) error {
	err := s.atomically(ctx, func(q *query.Queries) error { return addRevision(ctx, q, rev, at) })
	if err != nil {
		return fmt.Errorf("keep revision %s: %w", rev.ID, err)
	}
	return nil
}

func addRevision(ctx context.Context, q *query.Queries, rev play.Revision, at time.Time) error {
	digest, blobs := digestOf(rev)
	n, err := q.AddRevision(ctx, query.AddRevisionParams{ID: rev.ID, Digest: digest, Created: micros(at)})
	if err != nil {
		return err
	}
	if n == 0 {
		kept, err := q.RevisionDigest(ctx, rev.ID)
		if err != nil {
			return err
		}
		if kept != digest {
			return play.Errorf(play.Internal, "Two different revisions have the same id, %s.", rev.ID)
		}
		return nil
	}
	// Two revisions that come at once and share files lock them in the same order, or they could wait for each other.
	order := make([]int, len(blobs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(blobs[a], blobs[b]) })
	for _, i := range order {
		f := rev.Files[i]
		content := f.Content
		if content == nil {
			content = []byte{} // nil would be stored as null
		}
		if err := q.AddBlob(ctx, query.AddBlobParams{Digest: blobs[i], Content: content}); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		err := q.AddRevisionFile(ctx, query.AddRevisionFileParams{Revision: rev.ID, Path: f.Path, Executable: f.Executable(), Blob: blobs[i]})
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return nil
}

// digestOf is the digest of all that the revision holds, and the digests of its files' contents.
func digestOf(rev play.Revision) (digest string, blobs []string) {
	all := sha256.New()
	for _, f := range rev.Files {
		sum := sha256.Sum256(f.Content)
		blob := hex.EncodeToString(sum[:])
		blobs = append(blobs, blob)
		fmt.Fprintf(all, "%q %t %s\n", f.Path, f.Executable(), blob)
	}
	return hex.EncodeToString(all.Sum(nil)), blobs
}

// Revision reads a revision with all its files.
func (s *Store) Revision(ctx context.Context, id string) (play.Revision, error) {
	if _, err := s.query().RevisionDigest(ctx, id); err != nil {
		return play.Revision{}, found(err, "revision", id)
	}
	rows, err := s.query().RevisionFiles(ctx, id)
	if err := found(err, "revision", id); err != nil {
		return play.Revision{}, err
	}
	rev := play.Revision{ID: id}
	for _, r := range rows {
		f := play.File{Path: r.Path, Mode: 0o644, Content: r.Content}
		if r.Executable {
			f.Mode = 0o755
		}
		rev.Files = append(rev.Files, f)
	}
	// Sorted here and not by the database, whose order depends on its collation.
	slices.SortFunc(rev.Files, func(a, b play.File) int { return strings.Compare(a.Path, b.Path) })
	return rev, nil
}
