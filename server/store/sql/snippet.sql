-- name: AddSnippet :exec
insert into snippets (id, title, owner, revision, forked_from, public, created, updated)
values ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: Snippet :one
select * from snippets where id = $1;

-- name: MoveSnippet :execrows
update snippets set revision = sqlc.arg(revision), updated = sqlc.arg(updated)
where id = sqlc.arg(id) and revision = sqlc.arg(base);

-- name: RenameSnippet :execrows
update snippets set title = $2, updated = $3 where id = $1;

-- name: AddVersion :exec
insert into versions (snippet, n, revision, created)
select sqlc.arg(snippet), coalesce(max(v.n), 0) + 1, sqlc.arg(revision), sqlc.arg(created)
from versions v where v.snippet = sqlc.arg(snippet);

-- name: Versions :many
select * from versions where snippet = $1 order by n;
