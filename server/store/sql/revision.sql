-- name: AddBlob :exec
insert into blobs (digest, content) values ($1, $2)
on conflict (digest) do nothing;

-- name: AddRevision :execrows
insert into revisions (id, digest, created) values ($1, $2, $3)
on conflict (id) do nothing;

-- name: RevisionDigest :one
select digest from revisions where id = $1;

-- name: AddRevisionFile :exec
insert into revision_files (revision, path, executable, blob) values ($1, $2, $3, $4);

-- name: RevisionFiles :many
select f.path, f.executable, b.content
from revision_files f
join blobs b on b.digest = f.blob
where f.revision = $1;
