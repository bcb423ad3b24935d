-- name: SeeVisitor :exec
insert into visitors (id, first, last) values ($1, $2, $2)
on conflict (id) do update set last = excluded.last;
