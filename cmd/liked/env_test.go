package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
)

// FuzzEnv: a credentials file is refused, or becomes words of a shell that hold what is in it and do nothing, or an
// environment that is JSON.
func FuzzEnv(f *testing.F) {
	f.Add([]byte(`{"url":"http://127.0.0.1:1","apps":[{"client_secret":"it's $(x)"}],`+
		`"users":[{"id":"1","username":"ada"}],"posts":[{"id":"2","author_id":"1"}]}`), "", false)
	f.Add([]byte(`{"url":"http://127.0.0.1:1'\n;reboot\u0000","apps":[{}],"users":[{},{},{}]}`), "@ADA", true)
	f.Add([]byte(`{"url":"x","apps":[{"redirect_uris":[]}],"users":[{"id":18446744073709551615}],"posts":[]}`), "1", true)
	f.Fuzz(func(t *testing.T, text []byte, user string, asPostman bool) {
		var out bytes.Buffer
		c := &envCmd{File: "-", User: user, Postman: asPostman}
		if err := c.Run(&env{ctx: t.Context(), stdin: bytes.NewReader(text), stdout: &out, stderr: &out}); err != nil {
			return
		}
		if asPostman {
			if !json.Valid(out.Bytes()) {
				t.Errorf("%q is no JSON", out.String())
			}
			return
		}
		for left := out.String(); left != ""; {
			name, rest, ok := strings.Cut(left, "=")
			if name, ok2 := strings.CutPrefix(name, "export "); !ok || !ok2 || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
				t.Fatalf("%q is more than exports, at %q", out.String(), left)
			}
			if left, ok = word(rest); !ok {
				t.Fatalf("%q is more than exports, at %q", out.String(), rest)
			}
		}
	})
}

// word cuts off a word of a POSIX shell in which nothing has a meaning, and the line's end after it.
func word(text string) (rest string, ok bool) {
	for {
		switch {
		case strings.HasPrefix(text, "\n"):
			return text[1:], true
		case strings.HasPrefix(text, `\'`):
			text = text[2:]
		case strings.HasPrefix(text, "'"):
			_, text, ok = strings.Cut(text[1:], "'")
			if !ok {
				return "", false
			}
		default:
			return "", false
		}
	}
}

// A password on a command line is refused without being repeated; the variable may have one.
func TestPasswordOfDatabase(t *testing.T) {
	t.Parallel()
	const secret = "hunter2hunter2"
	for _, dsn := range []string{"postgres://ada:" + secret + "@db/liked", "host=db password=" + secret,
		"postgres://db/liked?password=" + secret, "postgres://ada:" + secret + "@db:port/%zz",
		"postgres://db/liked?p%61ssword=" + secret, "mysql://ada:" + secret + "@db", "host=db PASSWORD = '" + secret + "'"} {
		for _, args := range [][]string{{"serve", "--seal-key", "k"}, {"check"}, {"migrate"}} {
			_, _, err := parse(append(args, "--postgres", dsn), nil, io.Discard)
			if err == nil || !strings.Contains(err.Error(), "LIKED_POSTGRES") || strings.Contains(err.Error(), secret) {
				t.Errorf("%s with a password in its arguments: %v", args[0], err)
			}
			if _, _, err := parse(args, []string{"LIKED_POSTGRES=" + dsn}, io.Discard); err != nil {
				t.Errorf("%s with the variable: %v", args[0], err)
			}
		}
	}
	for _, dsn := range []string{"postgres://ada@db/liked?passfile=/run/p", "host=db user=ada passfile=/run/p",
		"postgres://ada@db1:5432,db2,[::1]:5433/liked", "postgres://ada@%2Frun%2Fpostgresql:5433/liked", "postgres:///liked?host=/run"} {
		if _, _, err := parse([]string{"check", "--postgres", dsn}, []string{"LIKED_DATA=d"}, io.Discard); err != nil {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}

// A database outlives the server, so that the world in it has random secrets unless somebody wants others.
func TestDevInDatabase(t *testing.T) {
	flags := []string{"dev", "--postgres", "host=db", "--seal-key", "key"}
	if _, _, err := parse(flags, nil, io.Discard); err != nil {
		t.Error(err)
	}
	if _, _, err := parse(append(flags, "--seed", "1"), nil, io.Discard); err == nil {
		t.Error("a known seed is kept")
	}
}
