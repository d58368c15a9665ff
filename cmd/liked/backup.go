package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"liked/internal/admin"
	"liked/internal/backup"
	"liked/internal/server"
)

type backupCmd struct {
	Dir string `arg:"" help:"Directory for the backup: a new one, or that of an earlier backup, which is brought up to date."`
	Output
	Operator
}

func (*backupCmd) Help() string {
	return `Examples:

  liked backup /mnt/backup/likes --data DIR
  liked backup likes.backup --admin-url http://127.0.0.1:8081 --admin-token TOKEN

It copies the store as it is at one moment, on a running server too. What is in the directory already is checked and not
copied again. Until the new backup is whole, the directory holds the one before.

The key that seals the secrets of OAuth 1.0a, seal.key in the data directory, is not part of it: who finds the backup
must not be able to sign as your users. Keep a copy in another place; it never changes.`
}

func (c *backupCmd) Run(e *env) error {
	return c.with(e, false, func(a *operator) (err error) {
		p := newProgress(e.stderr, "checked", -1)
		target, err := backup.Into(e.ctx, c.Dir, p.add)
		p.end()
		if err != nil {
			return err
		}
		body, err := json.Marshal(admin.BackupWish{Have: target.Have()})
		if err != nil {
			return err
		}
		resp, err := a.send(http.MethodPost, "/admin/backup", body)
		if err != nil {
			target.Abandon()
			return err
		}
		defer resp.Body.Close()
		got, err := target.Receive(e.ctx, resp.Body, func(bytes int64) { p = newProgress(e.stderr, "backed up", bytes) }, func(n int) { p.add(n) })
		p.end()
		if err != nil {
			return fmt.Errorf("backup in %s: %w", c.Dir, err)
		}
		// The answer ends when the server has removed its copy. What is left of the archive is its end.
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
		if c.JSON {
			return json.NewEncoder(e.stdout).Encode(map[string]any{"taken_at": got.TakenAt, "key": got.Key, "files": len(got.Files), "bytes": got.Bytes,
				"new_files": got.NewFiles, "new_bytes": got.NewBytes})
		}
		_, err = fmt.Fprintf(e.stdout, "%d files, %d bytes as of %s, of which %d files, %d bytes are new\nseal.key is not in it: restoring needs a copy, key %s\n",
			len(got.Files), got.Bytes, got.TakenAt.Format(time.RFC3339), got.NewFiles, got.NewBytes, got.Key)
		return err
	})
}

type restoreCmd struct {
	Dir     string `arg:"" help:"Directory with a backup."`
	Data    string `placeholder:"DIR" help:"Data directory to make: it must be empty or missing."`
	KeyFile string `placeholder:"FILE" help:"Copy of the seal.key of the data directory that was backed up."`
	NewKey  bool   `help:"Make a new key, because the old one is lost."`
	Output
}

func (*restoreCmd) Help() string {
	return `Examples:

  liked restore /mnt/backup/likes --data DIR --key-file seal.key
  liked restore /mnt/backup/likes --data DIR --new-key

It copies the backup, holds every file to its checksum, opens the store and checks it as "liked check" does, and only
then makes DIR a data directory that a server takes.

With --new-key everything is there but the secrets that the old key sealed: apps need new API keys ("liked app renew"), and
people must consent to OAuth 1.0a apps again. An app that asks for its bearer token gets a new one, which ends the old.`
}

func (c *restoreCmd) check() error {
	var errs []error
	if c.Data == "" {
		errs = append(errs, errors.New("data: missing; give the data directory to make"))
	}
	if (c.KeyFile == "") != c.NewKey {
		errs = append(errs, errors.New("key-file: give either a copy of the seal.key that was beside the store, or --new-key if it is lost, and with it the secrets that it sealed"))
	}
	return errors.Join(errs...)
}

func (c *restoreCmd) Run(e *env) error {
	from, err := backup.Open(c.Dir)
	if err != nil {
		return err
	}
	p := newProgress(e.stderr, "restored", from.Bytes())
	defer p.end()
	r, err := server.Restore(e.ctx, from, c.Data, c.KeyFile, time.Now(), p.add)
	if err != nil {
		return fmt.Errorf("%s was not restored: %w", c.Data, err)
	}
	p.end()
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(struct {
			TakenAt time.Time `json:"taken_at"`
			admin.Report
		}{from.TakenAt, r})
	}
	_, err = fmt.Fprintf(e.stdout, "%d users, %d posts, %d likes, %d log entries as of %s, no problems\n", r.Users, r.Posts, r.Likes, r.LogEntries, from.TakenAt.Format(time.RFC3339))
	return err
}
