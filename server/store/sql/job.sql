-- name: UnfinishedOf :one
select count(*) from jobs where admitted = $1 and state <> 'finished';

-- name: AddJob :exec
insert into jobs (id, snippet, owner, admitted, domain, revision, request, state, attempt, outcome, created, started, finished, summary)
values ($1, $2, $3, $4, $5, $6, $7, 'queued', 0, '', $8, 0, 0, '{}');

-- name: Job :one
select * from jobs where id = $1;

-- name: JobsOfSnippet :many
select * from jobs where snippet = $1 order by created desc, id limit $2;

-- name: Unfinished :many
select * from jobs where state <> 'finished' order by created, id;

-- name: StartJob :exec
update jobs set
    state = 'running',
    attempt = sqlc.arg(attempt),
    started = case when started = 0 then sqlc.arg(started) else started end
where id = sqlc.arg(id) and state <> 'finished' and attempt < sqlc.arg(attempt);

-- name: FinishJob :execrows
update jobs set state = 'finished', outcome = $2, finished = $3, summary = $4
where id = $1 and state <> 'finished';
