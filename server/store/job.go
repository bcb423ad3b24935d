package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"slipway/server/play"
	"slipway/server/store/query"
)

// AddJob keeps a new job, which is queued, unless who has most unfinished ones already; it reports whether it
// did. Jobs that come at once are counted one after the other. The job's revision must be kept.
func (s *Store) AddJob(ctx context.Context, j play.Job, who string, most int) (added bool, err error) {
	request, err := json.Marshal(j.Build)
	if err != nil {
		return false, fmt.Errorf("keep job %s: %w", j.ID, err)
	}
	err = s.atomically(ctx, func(q *query.Queries) error {
		// It also locks the visitor's row until the end of the transaction, so that two can't count at once.
		if err := q.SeeVisitor(ctx, query.SeeVisitorParams{ID: who, First: micros(j.Created)}); err != nil {
			return err
		}
		n, err := q.UnfinishedOf(ctx, who)
		if err != nil || n >= int64(most) {
			return err
		}
		added = true
		return q.AddJob(ctx, query.AddJobParams{
			ID: j.ID, Snippet: j.Snippet, Owner: j.Owner, Admitted: who, Domain: j.Domain,
			Revision: j.Build.Revision, Request: string(request), Created: micros(j.Created),
		})
	})
	if err != nil {
		return false, fmt.Errorf("keep job %s: %w", j.ID, err)
	}
	return added, nil
}

// Job reads a job.
func (s *Store) Job(ctx context.Context, id string) (play.Job, error) {
	row, err := s.query().Job(ctx, id)
	if err := found(err, "build", id); err != nil {
		return play.Job{}, err
	}
	return jobOf(row)
}

// JobsOfSnippet are the jobs started from a snippet, the newest first.
func (s *Store) JobsOfSnippet(ctx context.Context, snippet string, limit int) ([]play.Job, error) {
	rows, err := s.query().JobsOfSnippet(ctx, query.JobsOfSnippetParams{Snippet: snippet, Limit: int32(limit)})
	return jobsOf(rows, err)
}

// Unfinished are all jobs that are queued or running, the oldest first.
func (s *Store) Unfinished(ctx context.Context) ([]play.Job, error) {
	rows, err := s.query().Unfinished(ctx)
	return jobsOf(rows, err)
}

// StartJob notes that an attempt of a job has begun. Of a finished job, or after a later attempt, it does nothing.
func (s *Store) StartJob(ctx context.Context, id string, attempt int, at time.Time) error {
	err := s.atomically(ctx, func(q *query.Queries) error {
		return q.StartJob(ctx, query.StartJobParams{ID: id, Attempt: int64(attempt), Started: micros(at)})
	})
	if err != nil {
		return fmt.Errorf("note the start of job %s: %w", id, err)
	}
	return nil
}

// FinishJob notes how a job ended and keeps its log, both or neither. Of a finished job it does nothing.
func (s *Store) FinishJob(ctx context.Context, id string, outcome play.Outcome, at time.Time, sum play.Summary, log []play.Event) error {
	summary, err := json.Marshal(sum)
	if err != nil {
		return fmt.Errorf("finish job %s: %w", id, err)
	}
	packed, size, err := pack(log)
	if err != nil {
		return fmt.Errorf("finish job %s: %w", id, err)
	}
	err = s.atomically(ctx, func(q *query.Queries) error {
		n, err := q.FinishJob(ctx, query.FinishJobParams{ID: id, Outcome: string(outcome), Finished: micros(at), Summary: string(summary)})
		if err != nil || n == 0 {
			return err
		}
		return q.AddLog(ctx, query.AddLogParams{Job: id, Events: int64(len(log)), Size: size, Data: packed})
	})
	if err != nil {
		return fmt.Errorf("finish job %s: %w", id, err)
	}
	return nil
}

func jobsOf(rows []query.Job, err error) ([]play.Job, error) {
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	list := make([]play.Job, len(rows))
	for i, r := range rows {
		if list[i], err = jobOf(r); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func jobOf(r query.Job) (play.Job, error) {
	j := play.Job{
		ID: r.ID, Snippet: r.Snippet, Owner: r.Owner, Domain: r.Domain,
		State: play.State(r.State), Attempt: int(r.Attempt), Outcome: play.Outcome(r.Outcome),
		Created: moment(r.Created), Started: moment(r.Started), Finished: moment(r.Finished),
	}
	if err := json.Unmarshal([]byte(r.Request), &j.Build); err != nil {
		return play.Job{}, fmt.Errorf("read the request of job %s: %w", r.ID, err)
	}
	if err := json.Unmarshal([]byte(r.Summary), &j.Summary); err != nil {
		return play.Job{}, fmt.Errorf("read the summary of job %s: %w", r.ID, err)
	}
	return j, nil
}
