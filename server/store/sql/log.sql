-- name: AddLog :exec
insert into logs (job, events, size, data) values ($1, $2, $3, $4);

-- name: Log :one
select * from logs where job = $1;

-- name: DropLogs :execrows
update logs set data = null
where data is not null and job in (select id from jobs where state = 'finished' and finished < $1);
