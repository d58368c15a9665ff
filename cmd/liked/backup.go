package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"liked/internal/admin"
	"liked/internal/backup"
	"liked/internal/server"
)

type backupCmd struct {
	Dir string `arg:"" help:"Directory for the backup: a new one, or that of an earlier backup, which is brought up to date."`
	Answer
}

func (c *backupCmd) Run(e *env) error {
	return c.with(e, false, func(a *admin.Client) (err error) {
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
		resp, err := a.Send(e.ctx, "POST", at("backup"), body)
		if err != nil {
			target.Abandon()
			return err
		}
		defer resp.Body.Close()
		start := func(bytes int64) { p = newProgress(e.stderr, "backed up", bytes) }
		got, err := target.Receive(e.ctx, resp.Body, start, func(n int) { p.add(n) })
		p.end()
		if err != nil {
			return fmt.Errorf("backup in %s: %w", c.Dir, err)
		}
		// The response ends once the server has removed its copy. Little of the archive is left.
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
		report := map[string]any{"taken_at": got.TakenAt, "key": got.Key,
			"files": len(got.Files), "bytes": got.Bytes, "new_files": got.NewFiles, "new_bytes": got.NewBytes}
		return c.print(e, report, func(w io.Writer) {
			fmt.Fprintf(w, "%d files, %d bytes as of %s, of which %d files, %d bytes are new\n"+
				"seal.key is not in it: restoring needs a copy, key %s\n",
				len(got.Files), got.Bytes, when(got.TakenAt), got.NewFiles, got.NewBytes, got.Key)
		})
	})
}

type restoreCmd struct {
	Dir     string `arg:"" help:"Directory with a backup."`
	Data    string `variable:"" placeholder:"DIR" need:"the data directory to make" help:"Data directory to make, empty or missing."`
	KeyFile string `placeholder:"FILE" help:"Copy of the seal.key of the data directory that was backed up."`
	NewKey  bool   `help:"Make a new key, because the old one is lost."`
	Output
}

func (c *restoreCmd) check() error {
	if (c.KeyFile == "") != c.NewKey {
		return errors.New("key-file: give either a copy of the seal.key that was beside the store, " +
			"or --new-key if it is lost, and with it the secrets that it sealed")
	}
	return nil
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
	report := struct {
		TakenAt time.Time `json:"taken_at"`
		admin.Report
	}{from.TakenAt, r}
	return c.print(e, report, func(w io.Writer) {
		fmt.Fprintf(w, "%d users, %d posts, %d likes, %d log entries as of %s, no problems\n",
			r.Users, r.Posts, r.Likes, r.LogEntries, when(from.TakenAt))
	})
}

type checkCmd struct{ Answer }

func (c *checkCmd) Run(e *env) error {
	return c.with(e, false, func(a *admin.Client) error {
		var r admin.Report
		if err := a.Call(e.ctx, "POST", at("check"), nil, &r); err != nil {
			return err
		}
		err := c.print(e, r, func(w io.Writer) {
			fmt.Fprintf(w, "%d users, %d posts, %d likes, %d log entries, %d problems\n",
				r.Users, r.Posts, r.Likes, r.LogEntries, len(r.Problems))
			for _, p := range r.Problems {
				fmt.Fprintln(w, " ", p)
			}
		})
		if err == nil && len(r.Problems) > 0 {
			err = errors.New("the data disagrees with itself")
		}
		return err
	})
}
