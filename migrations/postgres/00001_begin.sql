-- Times are microseconds since 1970, UTC; 0 is "not yet".

-- +goose Up
create table blobs (
    digest  text    not null primary key, -- sha256, hexadecimal
    content bytea   not null
);

create table revisions (
    id      text    not null primary key,
    digest  text    not null, -- sha256 of all that the revision holds; the id is shorter
    created bigint  not null
);

create table revision_files (
    revision   text    not null references revisions (id),
    path       text    not null,
    executable boolean not null,
    blob       text    not null references blobs (digest),
    primary key (revision, path)
);

create table snippets (
    id          text    not null primary key,
    title       text    not null,
    owner       text    not null,
    revision    text    not null references revisions (id), -- the latest
    forked_from text    not null,
    public      boolean not null,
    created     bigint  not null,
    updated     bigint  not null
);
create index snippets_by_owner on snippets (owner, updated);
create index snippets_public on snippets (public, updated);

create table versions (
    snippet  text    not null references snippets (id),
    n        bigint  not null, -- from 1
    revision text    not null references revisions (id),
    created  bigint  not null,
    primary key (snippet, n)
);

create table visitors (
    id    text    not null primary key,
    first bigint  not null, -- first seen
    last  bigint  not null
);

create table jobs (
    id       text    not null primary key,
    snippet  text    not null,
    owner    text    not null,
    admitted text    not null references visitors (id), -- who is counted against the limits
    domain   text    not null,
    revision text    not null references revisions (id),
    request  text    not null, -- JSON
    state    text    not null check (state in ('queued', 'running', 'finished')),
    attempt  bigint  not null,
    outcome  text    not null,
    created  bigint  not null,
    started  bigint  not null,
    finished bigint  not null,
    summary  text    not null -- JSON
);
create index jobs_by_owner on jobs (owner, created);
create index jobs_by_snippet on jobs (snippet, created);
create index jobs_unfinished on jobs (created) where state <> 'finished';
create index jobs_admitted on jobs (admitted) where state <> 'finished';
create index jobs_by_end on jobs (finished);

create table logs (
    job    text    not null primary key references jobs (id),
    events bigint  not null,
    size   bigint  not null, -- bytes before compression
    data   bytea             -- NDJSON, zstd; null once its time is over
);

-- +goose Down
drop table logs;
drop table jobs;
drop table visitors;
drop table versions;
drop table snippets;
drop table revision_files;
drop table revisions;
drop table blobs;
