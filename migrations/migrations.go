// Package migrations holds the numbered SQL that makes and changes the database, once for SQLite and once for
// Postgres. It holds no logic: server/store applies it.
package migrations

import "embed"

// Files has one folder per database, "sqlite" and "postgres", with files of the same numbers and names in both.
//
//go:embed sqlite/*.sql postgres/*.sql
var Files embed.FS
