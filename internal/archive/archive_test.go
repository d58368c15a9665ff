package archive_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"liked"
	"liked/internal/archive"
)

// lines is what the archive becomes, as lines, bad likes as "! reason".
func lines(t *testing.T, l *archive.Likes) string {
	t.Helper()
	var text []byte
	if l.Owner != nil {
		text = appendLine(t, text, archive.Record{User: l.Owner})
	}
	for item := range l.Items(12) {
		if item.Err != nil {
			text = append(text, ("! " + item.Where + ": " + item.Err.Error() + "\n")...)
		}
		for _, r := range item.Records {
			text = appendLine(t, text, r)
		}
	}
	return string(text)
}

func appendLine(t *testing.T, text []byte, r archive.Record) []byte {
	t.Helper()
	text, err := archive.Append(text, r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, name string, text []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func zipped(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		if err == nil {
			_, err = w.Write([]byte(files[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarred(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	w := tar.NewWriter(g)
	for i := 0; i < len(files); i += 2 {
		err := w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o444, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg})
		if err == nil {
			_, err = w.Write([]byte(files[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const (
	account = `window.YTD.account.part0 = [ { "account" : { "email" : "ada@example.org", "createdVia" : "web", "username" : "ada",
		"accountId" : "12", "createdAt" : "2009-05-09T17:58:22.000Z", "accountDisplayName" : "Ada" } } ]`
	likes0 = `window.YTD.like.part0 = [ {"like":{"tweetId":"1500000000000000001","fullText":"new"}} ]`
	likes1 = `window.YTD.like.part1 = [ {"like":{"tweetId":"1600000000000000001","fullText":"old like of a newer post"}},
		{"like":{"tweetId":"20"}}, {"like":{"tweetId":"x"}}, {"like":7} ];`
	mastodon = `{"id":"likes.json","type":"OrderedCollection","totalItems":2,` +
		`"orderedItems":["https://example.social/users/carol/statuses/109348561234567890",` +
		`{"id":"https://other.example/notes/9"}]}`
	actor = `{"type":"Person","id":"https://example.social/users/ada","preferredUsername":"ada",` +
		`"name":"","published":"2017-04-05T00:00:00Z","likes":"likes.json"}`
	blueskyOK = `{"$type":"app.bsky.feed.like","subject":{"uri":"at://did:plc:abc/app.bsky.feed.post/3kf2577exva2x","cid":"c"},` +
		`"createdAt":"2023-11-25T10:00:00.123456Z"}`
)

func TestOpen(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file string
		text       []byte
		format     archive.Format
		want       []string // in this order, in the lines
	}{
		{"archive of X", "twitter.zip", zipped(t, "Your archive.html", "<html>", "data/account.js", account,
			"data/like-part1.js", likes1, "data/like.js", likes0, "data/tweets.js", "window.YTD.tweets.part0 = []"),
			archive.X, []string{`{"type":"user","id":"12","username":"ada","name":"Ada","created_at":"2009-05-09T17:58:22.000Z"`,
				"! like-part1.js like 4: it is no like", `! like-part1.js like 3: tweetId "x"`,
				`{"type":"post","id":"20",`, `"text":"https://x.com/i/web/status/20","created_at":"2010-11-04T01:42:54.657Z"`,
				`{"type":"like","user_id":"12","post_id":"20","at":"2010-11-04T01:42:54.657Z"}`,
				`"text":"old like of a newer post"`, `"post_id":"1600000000000000001","at":"2022-12-06T05:31:41.219Z`,
				`"text":"new"`, `"post_id":"1500000000000000001","at":"2022-12-06T05:31:41.219Z","n":1}`}},
		{"like.js alone", "anything", []byte("\ufeff" + likes0), archive.X,
			[]string{`{"type":"post","id":"1500000000000000001"`, `"username":"x_`, `"name":"Unknown author on X"`}},
		{"archive of Mastodon as tar", "archive.tar.gz", tarred(t, "outbox.json", "{}", "likes.json", mastodon, "actor.json", actor),
			archive.Mastodon, []string{`"username":"ada","name":"ada"`,
				`"text":"https://example.social/users/carol/statuses/109348561234567890","created_at":"2022-11-15T`,
				`"name":"carol@example.social"`, `"at":"2022-11-15T`,
				`"text":"https://other.example/notes/9","created_at":"1970-01-01`, `"name":"other.example"`,
				`"at":"2022-11-15T`, `"n":1}`}},
		{"archive of Mastodon as zip", "archive.zip", zipped(t, "actor.json", actor, "likes.json", mastodon),
			archive.Mastodon, []string{`"username":"ada"`, "carol"}},
		{"likes.json alone", "likes.json", []byte(mastodon), archive.Mastodon, []string{"carol"}},
		{"likes.json compressed", "likes.json.gz", gz(t, mastodon), archive.Mastodon, []string{"carol"}},
		{"answers of listRecords", "bsky.json",
			[]byte(`{"records":[{"uri":"at://did:plc:me/app.bsky.feed.like/1","cid":"c","value":` + blueskyOK + `}],"cursor":"x"}`),
			archive.Bluesky, []string{`"text":"https://bsky.app/profile/did:plc:abc/post/3kf2577exva2x","created_at":"2023-11-`,
				`"username":"b_`, `"name":"did:plc:abc"`, `"at":"2023-11-25T10:00:00.123Z"}`}},
		{"array of values", "bsky.json", []byte(`[` + blueskyOK + `,
			{"subject":{"uri":"at://did:plc:x/app.bsky.feed.generator/y"},"createdAt":"2023-11-25T10:00:00Z"},
			{"subject":{"uri":"https://x"},"createdAt":"2023-11-25T10:00:00Z"},
			{"subject":{"uri":"at://did:plc:abc/app.bsky.feed.post/1"},"createdAt":"soon"},{}]`),
			archive.Bluesky, []string{`"post_id"`, "! bsky.json like 2: it is a like of a record of app.bsky.feed.generator",
				"! bsky.json like 3: ", `! bsky.json like 4: createdAt "soon"`, "! bsky.json like 5: it has no subject"}},
		{"a value a line", "bsky.jsonl", []byte(blueskyOK + "\n" + blueskyOK + "\n"), archive.Bluesky, []string{`"post_id"`, `"post_id"`}},
		{"a file for each", "bsky.zip", zipped(t, "repo/app.bsky.feed.like/3k1.json", blueskyOK, "repo/app.bsky.feed.post/3k1.json", "{}"),
			archive.Bluesky, []string{`"post_id"`}},
		{"records", "world.ndjson", []byte(`{"id":"1","type":"user"}` + "\n"), archive.Records, nil},
		{"nothing", "empty", nil, archive.Records, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, err := archive.Open(write(t, tt.file, tt.text))
			if err != nil {
				t.Fatal(err)
			}
			got := lines(t, l)
			if l.Format != tt.format || got != lines(t, l) {
				t.Errorf("got format %q, want %q", l.Format, tt.format)
			}
			rest := got
			for _, want := range tt.want {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Fatalf("got\n%s\nwant %q in it, after what was wanted before", got, want)
				}
				rest = after
			}
		})
	}
}

func gz(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	if _, err := g.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string][]byte{
		"prose":            []byte("hello"),
		"other JSON":       []byte(`{"a":1}`),
		"broken like.js":   []byte(`window.YTD.like.part0 = [{`),
		"zip without":      zipped(t, "data/tweets.js", "window.YTD.tweets.part0 = []"),
		"broken zip":       []byte("PK\x03\x04 and no more"),
		"broken gzip":      {0x1f, 0x8b, 0},
		"two services":     zipped(t, "data/like.js", likes0, "likes.json", mastodon),
		"nested too deep":  []byte(`[[[[]]]]`),
		"a number":         []byte(`7`),
		"tar of nothing":   tarred(t, "outbox.json", "{}"),
		"broken account":   zipped(t, "data/account.js", "window.YTD.account.part0 = {}"),
		"actor, no likes":  zipped(t, "actor.json", actor),
		"tar of an ending": tarred(t, "likes.json", "{}"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if l, err := archive.Open(write(t, "file", text)); err == nil {
				t.Errorf("got %+v, want an error", l)
			}
		})
	}
}

// The identifier of an address is part of what people rely on: a second import must find what the first has made.
func TestForeignID(t *testing.T) {
	t.Parallel()
	// The SHA-256 of nothing begins e3b0c442 98fc1c14; this is one bit to the right of it.
	if got := archive.ForeignID(""); got != 0x71d862214c7e0e0a {
		t.Errorf("got %#x", got)
	}
	for _, address := range []string{"https://x.com/", "at://did:plc:abc/app.bsky.feed.post/1", "a", "b", "c"} {
		if got := archive.ForeignID(address); got < 1<<62 {
			t.Errorf("ForeignID(%q) = %d, which X may give", address, got)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, line, want string }{
		{"like", `{"type":"like","user_id":"1","post_id":"2","at":"2024-05-01T12:00:00.250Z"}`, ""},
		{"like in another order", `{"at":"2024-05-01T14:00:00.250+02:00","post_id":"2","user_id":"1","type":"like"}`,
			`{"type":"like","user_id":"1","post_id":"2","at":"2024-05-01T12:00:00.250Z"}`},
		{"like with a number", `{"type":"like","user_id":"1","post_id":"2","at":"2024-05-01T12:00:00.250Z","n":1048575}`, ""},
		{"number too large", `{"type":"like","user_id":"1","post_id":"2","at":"2024-05-01T12:00:00.250Z","n":1048576}`, "!"},
		{"before 1970", `{"type":"like","user_id":"1","post_id":"2","at":"1969-05-01T12:00:00.250Z"}`, "!"},
		{"no such day", `{"type":"like","user_id":"1","post_id":"2","at":"2024-02-30T12:00:00.250Z"}`, "!"},
		{"id too large", `{"type":"like","user_id":"9223372036854775808","post_id":"2","at":"2024-05-01T12:00:00.250Z"}`, "!"},
		{"id as a number", `{"type":"like","user_id":1,"post_id":"2","at":"2024-05-01T12:00:00.250Z"}`, "!"},
		{"two records", `{"type":"block","user_id":"1","target_id":"2"}{}`, "!"},
		{"unknown member", `{"type":"block","user_id":"1","target_id":"2","why":"x"}`, "!"},
		{"unknown state", `{"type":"user","id":"1","username":"a","name":"a","created_at":"2024-05-01T12:00:00Z","state":"asleep"}`, "!"},
		{"user without a time", `{"type":"user","id":"1","username":"a","name":"a"}`, "!"},
		{"deleted post with text", `{"type":"post","id":"1","author_id":"1","deleted":true,"text":"x"}`, "!"},
		{"no JSON", `x`, "!"},
		{"no type", `{}`, "!"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := archive.Parse([]byte(tt.line))
			if tt.want == "!" {
				if err == nil || liked.KindOf(err) != liked.Invalid {
					t.Errorf("got %v, %v, want Invalid", r, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if want == "" {
				want = tt.line
			}
			if got := string(appendLine(t, nil, r)); got != want+"\n" {
				t.Errorf("got %swant %s", got, want)
			}
		})
	}
}

// FuzzParse: what parses is written in a form that parses to the same, and is written the same again.
func FuzzParse(f *testing.F) {
	for _, line := range []string{
		`{"type":"user","id":"1","username":"a","name":"a","created_at":"2024-05-01T12:00:00.001Z","state":"locked","pinned_post_id":"3"}`,
		`{"type":"post","id":"1","author_id":"2","text":"x","created_at":"2024-05-01T12:00:00Z","quotes":"3"}`,
		`{"type":"post","id":"1","author_id":"2","text":"x","created_at":"2024-05-01T12:00:00Z",` +
			`"author":{"id":"2","username":"b","name":"b","created_at":"2024-05-01T12:00:00Z","state":"active"}}`,
		`{"type":"post","id":"1","author_id":"2","deleted":true}`,
		`{"type":"follow","user_id":"1","target_id":"2"}`,
		`{"type":"like","user_id":"1","post_id":"2","at":"2024-05-01T12:00:00.250Z","n":5}`,
		`{"type":"like", "user_id":"1","post_id":"2","at":"2024-05-01T12:00:00.250Z"}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := archive.Parse(line)
		if err != nil {
			return
		}
		first, err := archive.Append(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := archive.Parse(bytes.TrimSuffix(first, []byte("\n")))
		if err != nil {
			t.Fatalf("%s\nbecame\n%swhich does not parse: %v", line, first, err)
		}
		second, err := archive.Append(nil, again)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%sbecame\n%s(%v)", first, second, err)
		}
	})
}

// FuzzOpen: whatever stands in a file, it is refused or makes lines that parse, the same each time.
func FuzzOpen(f *testing.F) {
	for _, text := range []string{likes0, likes1, account, mastodon, actor, blueskyOK, `{"records":[{"value":` + blueskyOK + `}]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(t.TempDir(), "likes.json")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := archive.Open(file)
		if err != nil {
			return
		}
		for item := range l.Items(12) {
			for _, r := range item.Records {
				line, err := archive.Append(nil, r)
				if err == nil {
					_, err = archive.Parse(bytes.TrimSuffix(line, []byte("\n")))
				}
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
			}
		}
	})
}
