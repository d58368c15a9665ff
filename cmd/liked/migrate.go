package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"time"

	"liked/internal/server"
)

type migrateCmd struct {
	Postgres string `variable:"" placeholder:"DSN" need:"the database"`
	Restored bool   `help:"The database was put back to an earlier moment, or a standby that had not all of it took over."`
	Output
}

func (c *migrateCmd) Run(e *env) error {
	version, shards, err := server.Migrate(c.Postgres, c.Restored, time.Now(), slog.New(slog.NewTextHandler(e.stderr, nil)))
	if err != nil {
		return err
	}
	return c.print(e, map[string]int{"version": version, "shards": shards}, func(w io.Writer) {
		fmt.Fprintf(w, "the schema has version %d, which is this program's\n", version)
		if shards > 0 {
			fmt.Fprintf(w, "its tables are distributed by Citus, over %d shards\n", shards)
		}
	})
}

var passwordKey = regexp.MustCompile(`(?i)password\s*=`)

// holdsPassword reports whether a connection string may have a password in it.
func holdsPassword(dsn string) bool {
	_, rest, isURL := strings.Cut(dsn, "://")
	if isURL {
		if end := strings.IndexAny(rest, "@/"); end >= 0 && rest[end] == '@' && strings.Contains(rest[:end], ":") {
			return true
		}
		if decoded, err := url.PathUnescape(rest); err == nil {
			dsn = decoded
		}
	}
	return passwordKey.MatchString(dsn)
}
