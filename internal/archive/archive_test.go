package archive_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/unicode"

	"liked"
	"liked/internal/archive"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// read is what a file becomes, as lines, refused entries as "! reason".
func read(file string, in io.Reader, user liked.UserID) (string, error) {
	var text []byte
	o := archive.Options{File: file, In: in, User: user, Now: now}
	o.Each = func(item archive.Item) error {
		where := strings.TrimPrefix(item.Where, file+": ")
		if item.Err != nil {
			text = append(text, ("! " + where + ": " + item.Err.Error() + "\n")...)
		} else if text = append(text, item.Line...); item.Owner {
			text = append(text, "are the likes of\n"...)
		}
		return nil
	}
	err := archive.Read(context.Background(), o)
	return string(text), err
}

// inOrder holds the text to have those parts, in that order.
func inOrder(t *testing.T, text string, parts []string) {
	t.Helper()
	rest := text
	for _, want := range parts {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("got\n%s\nwant %q in it, after what was wanted before", text, want)
		}
		rest = after
	}
}

func appendLine(t *testing.T, text []byte, r archive.Record) []byte {
	t.Helper()
	text, err := archive.Append(text, r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, text []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// fixture is a file that Go's own packages cannot make.
func fixture(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func gz(text string) []byte {
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	if _, err := g.Write([]byte(text)); err != nil {
		panic(err)
	}
	if err := g.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// raw is what was compressed.
func raw(text []byte) []byte {
	g, err := gzip.NewReader(bytes.NewReader(text))
	if err == nil {
		text, err = io.ReadAll(g)
	}
	if err != nil {
		panic(err)
	}
	return text
}

// seventh makes the first header of a tar one of the seventh edition of Unix.
func seventh(tar []byte) []byte {
	const typeflag, checksum, size = 156, 148, 512
	clear(tar[typeflag+1+100 : size])
	tar[typeflag] = 0
	copy(tar[checksum:], "        ")
	sum := 0
	for _, c := range tar[:size] {
		sum += int(c)
	}
	copy(tar[checksum:], fmt.Sprintf("%06o\x00 ", sum))
	return tar
}

func zst(text []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(text, nil)
}

func utf16(t *testing.T, text string, e unicode.Endianness, mark unicode.BOMPolicy) []byte {
	t.Helper()
	encoded, err := unicode.UTF16(e, mark).NewEncoder().Bytes([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// locked sets the flags in a zip that say that its first file is encrypted.
func locked(zip []byte) []byte {
	zip[6] |= 1
	zip[bytes.Index(zip, []byte("PK\x01\x02"))+8] |= 1
	return zip
}

// car is a repository with those records, and with what else is in one.
func car(records ...string) []byte {
	blocks := []any{map[string]any{"did": "did:plc:me", "rev": "x"},
		map[string]any{"e": []any{map[string]any{"k": []byte("app"), "p": 0}}, "l": nil}}
	for _, text := range records {
		var record any
		if err := json.Unmarshal([]byte(text), &record); err != nil {
			panic(err)
		}
		blocks = append(blocks, record)
	}
	header, err := cbor.Marshal(map[string]any{"roots": []any{cbor.Tag{Number: 42, Content: []byte{0, 1, 0x71, 0x12, 32}}}, "version": 1})
	if err != nil {
		panic(err)
	}
	out := append(binary.AppendUvarint(nil, uint64(len(header))), header...)
	for _, b := range blocks {
		text, err := cbor.Marshal(b)
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(text)
		out = binary.AppendUvarint(out, uint64(4+len(sum)+len(text)))
		out = append(out, 1, 0x71, 0x12, 32)
		out = append(append(out, sum[:]...), text...)
	}
	return out
}

func zipped(files ...string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		if err == nil {
			_, err = w.Write([]byte(files[i+1]))
		}
		if err != nil {
			panic(err)
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func tarred(files ...string) []byte {
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	w := tar.NewWriter(g)
	for i := 0; i < len(files); i += 2 {
		err := w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o444, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg})
		if err == nil {
			_, err = w.Write([]byte(files[i+1]))
		}
		if err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	if err := g.Close(); err != nil {
		panic(err)
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

func TestRead(t *testing.T) {
	t.Parallel()
	const carol = "https://example.social/users/carol/statuses/109348561234567890"
	bsky := func(records ...string) []byte {
		return []byte(`{"records":[` + strings.Join(records, ",") + `],"cursor":"x"}`)
	}
	like := `{"type":"like","user_id":"1","post_id":"2","at":"2024-05-01T12:00:00.250Z"}`
	world := `{"id":"1","type":"user"}` + "\n\n" + like
	same := []string{`{"id":"1","type":"user"}` + "\n" + like + "\n"}
	dir := t.TempDir()
	for name, text := range map[string]string{"data/account.js": account, "data/like.js": likes0, `data\like-part1.js`: likes1,
		".trash/likes.json": mastodon, "README.txt": "x"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700),
			os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	ofX := []string{`{"type":"user","id":"12","username":"ada","name":"Ada","created_at":"2009-05-09T17:58:22.000Z"`, "are the likes of",
		"! data/like-part1.js: like 4: it is no like", `! data/like-part1.js: like 3: tweetId "x"`,
		`{"type":"like","user_id":"12","post_id":"20","at":"2010-11-04T01:42:54.657Z","post":{"id":"20",`,
		`"text":"https://x.com/i/web/status/20","created_at":"2010-11-04T01:42:54.657Z"`,
		`"post_id":"1600000000000000001","at":"2022-12-06T05:31:41.219Z"`, `"text":"old like of a newer post"`,
		`"post_id":"1500000000000000001","at":"2022-12-06T05:31:41.219Z","n":1`, `"text":"new"`}
	windows := slices.Clone(ofX)
	windows[2], windows[3] = `! data\like-part1.js: like 4`, `! data\like-part1.js: like 3`
	for _, tt := range []struct {
		name string
		text []byte // nil: the directory
		want []string
	}{
		{"archive of X", zipped("Your archive.html", "<html>", "data/account.js", account,
			"data/like-part1.js", likes1, "data/like.js", likes0, "data/tweets.js", "window.YTD.tweets.part0 = []"), ofX},
		{"archive of X as tar", tarred("data/like-part1.js", likes1, "data/like.js", likes0, "data/account.js", account), ofX},
		{"names as Windows has them", zipped(`data\account.js`, account, `data\like-part1.js`, likes1, `data\like.js`, likes0), ofX},
		{"unpacked, names as Windows has them", nil, windows},
		{"like.js alone", []byte("\ufeff" + likes0),
			[]string{`"post":{"id":"1500000000000000001"`, `"username":"x_`, `"name":"Unknown author on X"`}},
		{"files of X behind each other", []byte(likes0 + ";\n" + likes1),
			[]string{`"post_id":"20"`, `"post_id":"1600000000000000001"`, `"post_id":"1500000000000000001"`}},
		{"likes of X without their first line", []byte(`[{"like":{"tweetId":"20"}}]`), []string{`"post_id":"20"`}},
		{"archive of Mastodon as tar", tarred("outbox.json", "{}", "likes.json", mastodon, "actor.json", actor),
			[]string{`"username":"ada","name":"ada"`, "are the likes of",
				`"at":"2022-11-15T`, `"text":"https://example.social/users/carol/statuses/109348561234567890","created_at":"2022-11-15T`,
				`"name":"carol@example.social"`,
				`"at":"2022-11-15T`, `"n":1`, `"text":"https://other.example/notes/9","created_at":"1970-01-01`, `"name":"other.example"`}},
		{"archive of Mastodon as zip", zipped("actor.json", actor, "likes.json", mastodon),
			[]string{`"username":"ada"`, "are the likes of", "carol"}},
		{"a name with bidirectional controls",
			zipped("actor.json", strings.Replace(actor, `"name":""`, `"name":"\u202eAda\u2069\u200b L.\n"`, 1), "likes.json", mastodon),
			[]string{`"username":"ada","name":"Ada L."`, "are the likes of"}},
		{"a name of nothing else",
			zipped("actor.json", strings.Replace(actor, `"name":""`, `"name":"\u202e"`, 1), "likes.json", mastodon),
			[]string{`"username":"ada","name":"ada"`, "are the likes of"}},
		{"tar, not compressed", raw(tarred("likes.json", mastodon)), []string{"carol"}},
		{"tar with bzip2", fixture(t, "likes.tar.bz2"), []string{"carol"}},
		{"tar with xz", fixture(t, "likes.tar.xz"), []string{"carol"}},
		{"tar with Zstandard", zst(raw(tarred("likes.json", mastodon))), []string{"carol"}},
		{"likes.json compressed", gz(mastodon), []string{"carol"}},
		{"tar of before POSIX", seventh(raw(tarred("likes.json", mastodon))), []string{"carol"}},
		{"hidden files in a tar", tarred(".trash/likes.json", "x", "__MACOSX/likes.json", "x", "./likes.json", mastodon), []string{"carol"}},
		{"what is no post", []byte(`{"id":"https://e.example/users/ada/likes","orderedItems":["https://e.example/users/a",` +
			`"https://e.example/@a","https://e.example/","https://e.example/tags/x","` + carol + `",` +
			`{"type":"Like","actor":"https://e.example/users/a","object":"https://e.example/1"},` +
			`{"type":"Like","actor":"https://e.example/users/b","object":"https://e.example/2"}]}`),
			[]string{`! like 1: "https://e.example/users/a" is the address of a server, a person or a tag`, "! like 2: ", "! like 3: ", "! like 4: ",
				"carol", `"text":"https://e.example/1"`, "! like 7: it is a like of https://e.example/users/b, and others are of"}},
		{"likes.json compressed in a tar", tarred("likes.json.gz", string(gz(mastodon))), []string{"carol"}},
		{"items before the id", []byte(`{"orderedItems":["` + carol + `"],"id":"https://example.social/users/ada/liked?page=1"}`),
			[]string{"carol"}},
		{"posts and likes as objects", []byte(`{"id":"likes.json","orderedItems":[{"type":"Note","id":"` + carol + `"},` +
			`{"type":"Like","object":"` + carol + `2"},{"type":"Announce","object":"` + carol + `"},"` + carol + `/activity"]}`),
			[]string{carol, carol + "2", `! like 3: it is no like: its type is "Announce"`,
				`! like 4: "` + carol + `/activity" is the address of an activity`}},
		{"a time in the id of /ap/users",
			[]byte(`{"id":"likes.json","orderedItems":["https://example.social/ap/users/7/statuses/109348561234567890"]}`),
			[]string{`"at":"2022-11-15T`, `"name":"example.social"`, `"url":"https://example.social/ap/users/7"`}},
		{"a date that cannot be", []byte(`{"id":"likes.json","orderedItems":["https://e.example/users/a/statuses/400000000000000000",` +
			`"https://e.example/users/a/statuses/109348561234567890"]}`),
			[]string{`"at":"1970-01-01T00:00:00.001Z"`, `"created_at":"1970-01-01T00:00:00.000Z"`, `"at":"2022-11-15T`}},
		{"an id of X from the future",
			[]byte(`window.YTD.like.part0 = [{"like":{"tweetId":"1500000000000000001"}},{"like":{"tweetId":"9000000000000000000"}}]`),
			[]string{`"post_id":"9000000000000000000","at":"1970-01-01T00:00:00.001Z"`, `"at":"2022-03-05T`}},
		{"an account of X from the future", zipped("account.js", strings.ReplaceAll(account, "2009-05-09T", "2999-05-09T"), "like.js", likes0),
			[]string{`"created_at":"1970-01-01T00:00:00.000Z"`}},
		{"an account of Mastodon with an odd date",
			zipped("actor.json", strings.ReplaceAll(actor, "2017-04-05T", "spring "), "likes.json", mastodon),
			[]string{`"created_at":"1970-01-01T00:00:00.000Z"`}},
		{"answers of listRecords",
			append(bsky(`{"uri":"at://did:plc:me/app.bsky.feed.like/1","cid":"c","value":`+blueskyOK+`}`), bsky(blueskyOK)...),
			[]string{`"at":"2023-11-25T10:00:00.123Z"`, `"text":"https://bsky.app/profile/did:plc:abc/post/3kf2577exva2x","created_at":"2023-11-`,
				`"username":"b_`, `"name":"did:plc:abc"`, `"at":"2023-11-25T10:00:00.123Z"`}},
		{"array of values", []byte(`[[` + blueskyOK + `],
			{"$type":"app.bsky.feed.like","subject":{"uri":"at://did:plc:x/app.bsky.feed.generator/y"},"createdAt":"2023-11-25T10:00:00Z"},
			{"$type":"app.bsky.feed.like","subject":{"uri":"https://x"},"createdAt":"2023-11-25T10:00:00Z"},
			{"$type":"app.bsky.feed.like","subject":{"uri":"at://did:plc:abc/app.bsky.feed.post/1"},"createdAt":"soon"},
			{"$type":"app.bsky.feed.like","subject":{"uri":"at://did:plc:abc/app.bsky.feed.post/2"},"createdAt":"2163-01-01T00:00:00Z"},
			{"$type":"app.bsky.feed.like"}, {}, 7, {"$type":"app.bsky.feed.repost","subject":{"uri":"at://did:plc:x/app.bsky.feed.post/y"}},
			{"uri":"at://did:plc:me/app.bsky.feed.repost/1","value":{"subject":{"uri":"at://did:plc:x/app.bsky.feed.post/y"}}},
			{"subject":{"uri":"at://did:plc:abc/app.bsky.feed.post/1"},"createdAt":"2023-11-25T10:00:00Z"},
			{"$type":"app.bsky.feed.like","subject":{"uri":"at://did:plc:abc/app.bsky.feed.post/7zzzzzzzzzzzz"},
				"createdAt":"2023-11-25T10:00:00Z"}]`),
			[]string{`"post_id"`, "! like 2: it is a like of a record of app.bsky.feed.generator", "! like 3: ", `"at":"1970-01-01T00:00:00.001Z"`,
				`"at":"1970-01-01T00:00:00.001Z","n":1`, "! like 6: it has no subject", "! like 7: it does not say that it is a like", "! like 8: ",
				"! like 9: it is a record of app.bsky.feed.repost, not a like", "! like 10: it is a record of app.bsky.feed.repost, not a like",
				"! like 11: it does not say that it is a like", `"at":"2023-11-25T10:00:00.000Z"`,
				`"created_at":"2023-11-25T10:00:00.000Z"`}},
		{"a value a line", []byte(blueskyOK + "\n" + blueskyOK + "\n"), []string{`"post_id"`, `"post_id"`}},
		{"a file for each", zipped("repo/app.bsky.feed.like/3k1.json", strings.Replace(blueskyOK, `"$type":"app.bsky.feed.like",`, "", 1),
			"repo/app.bsky.feed.post/3k1.json", "{}"), []string{`"post_id"`}},
		{"a repository of Bluesky", car(blueskyOK, `{"$type":"app.bsky.feed.repost"}`, blueskyOK), []string{`"at":"2023-11-25T10:00:00.123Z"`,
			`"at":"2023-11-25T10:00:00.123Z"`}},
		{"a repository in a zip", zipped("bsky/repo.car", string(car(blueskyOK))), []string{`"name":"did:plc:abc"`}},
		{"one file in a zip", zipped("__MACOSX/._my.json", "x", "my likes.json", blueskyOK), []string{`"name":"did:plc:abc"`}},
		{"records", []byte(world), same},
		{"records with a byte order mark", []byte("\ufeff" + world), same},
		{"records in UTF-16", utf16(t, world, unicode.LittleEndian, unicode.UseBOM), same},
		{"records in UTF-16, big end first, no mark", utf16(t, world, unicode.BigEndian, unicode.IgnoreBOM), same},
		{"records in UTF-16, no mark", utf16(t, world, unicode.LittleEndian, unicode.IgnoreBOM), same},
		{"records compressed", gz(world), same},
		{"records in a zip", zipped("my/world.ndjson", world), same},
		{"records in an array", []byte("[\n" + `{"id":"1","type":"user"},` + like + "]"),
			[]string{`{"id":"1","type":"user"}` + "\n", `"post_id":"2"`}},
		{"a record with a member twice", []byte(`[{"id":"1","type":"user"},{"id":"1","type":"user","id":"2"}]`),
			[]string{`! entry 2: it has the member "id" twice`}},
		{"nothing", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := dir
			if tt.text != nil {
				file = write(t, tt.text)
			} else if tt.want == nil {
				file = write(t, []byte(" \n"))
			}
			user := liked.UserID(12)
			if slices.Contains(tt.want, "are the likes of") || strings.Contains(tt.name, "account") {
				user = 0
			}
			got, err := read(file, nil, user)
			if err != nil {
				t.Fatalf("%v, after\n%s", err, got)
			}
			inOrder(t, got, tt.want)
			if tt.text == nil {
				return
			}
			if piped, err := read("-", bytes.NewReader(tt.text), user); err != nil || strings.ReplaceAll(piped, "! standard input: ", "! ") != got {
				t.Errorf("through standard input: %v, got\n%s\nwant\n%s", err, piped, got)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	mastodonOf := func(id string) string { return strings.Replace(mastodon, "likes.json", id, 1) }
	for name, tt := range map[string]struct {
		text []byte
		want string
	}{
		"prose":                {[]byte("hello"), "it is neither JSON nor an archive; likes are read from"},
		"a CSV":                {[]byte("tweet_id,liked_at\n20,2024\n"), "it is a CSV, as it seems"},
		"a page":               {[]byte("\n<!DOCTYPE html><html>"), "it is a page of HTML or XML"},
		"a 7-Zip archive":      {[]byte("7z\xbc\xaf\x27\x1c"), "a 7-Zip archive: unpack it, and give the folder"},
		"a picture":            {[]byte("\x89PNG\r\n\x1a\n\x00\x00"), "it is a picture"},
		"no text":              {[]byte("x\x01\x02\x00\x00"), "it is no text"},
		"LZMA":                 {[]byte("\x5d\x00\x00\x80\x00\xff"), "it is compressed with LZMA: unpack it"},
		"a text":               {[]byte(`{\rtf1\ansi {x}`), "it is a text of a word processor"},
		"JavaScript":           {[]byte(`window.__THAR_CONFIG = {"a":1,"b":2}`), "it is JavaScript, and not data/like.js"},
		"a comment in like.js": {[]byte("// mine, all\n" + likes0), "it is JavaScript, and not data/like.js"},
		"posts of an API":      {[]byte(`[{"id_str":"20","id":20,"text":"x","favorited":true}]`), "it is an answer of an API"},
		"who likes of an API":  {[]byte(`{"uri":"at://did:plc:a/app.bsky.feed.post/1","likes":[]}`), "it is an answer of an API"},
		"values in values": {[]byte(`[{"like":{"x":` + strings.Repeat("[", 11_000) + strings.Repeat("]", 11_000) + `}}]`),
			"values in values, too deep behind value 0"},
		"who likes a post": {[]byte(mastodonOf("https://example.social/users/ada/statuses/1/likes")),
			"it holds who likes https://example.social/users/ada/statuses/1, not what somebody likes"},
		"a CAR of version 2": {append([]byte("\x0a\xa1gversion\x02"+strings.Repeat("\x00", 40)), car(blueskyOK)...),
			"a CAR file of version 2"},
		"a file twice":           {zipped("data/like.js", likes0, "data/like.js", likes0), "the zip has a file twice"},
		"other JSON":             {[]byte(`{"a":1}`), `it holds no likes, but ["a"]`},
		"an answer of an API":    {[]byte(`{"data":[{"id":"20","text":"x"}],"meta":{"result_count":1}}`), "it is an answer of an API"},
		"an error of an API":     {[]byte(`{"title":"Unauthorized","status":401,"errors":[]}`), "it is an answer of an API"},
		"bookmarks of X":         {[]byte(`window.YTD.bookmark.part0 = [{"bookmark":{"tweetId":"20"}}]`), "it holds bookmark of X, not likes"},
		"bookmarks of X as JSON": {[]byte(`[{"bookmark":{"tweetId":"20"}}]`), `it holds no likes, but ["bookmark"]`},
		"bookmarks of Mastodon":  {[]byte(mastodonOf("bookmarks.json")), "it is a collection of bookmarks, not of likes"},
		"an outbox of Mastodon": {[]byte(mastodonOf("https://example.social/users/ada/outbox?page=true")),
			"a collection of outbox, not of likes"},
		"a collection of nothing": {[]byte(`{"orderedItems":["https://e.example/1"]}`), "not of likes"},
		"reposts of Bluesky": {[]byte(strings.ReplaceAll(blueskyOK, "feed.like", "feed.repost")),
			"no likes in it: none of its 1 entries is one"},
		"broken like.js": {[]byte(`window.YTD.like.part0 = [{`), "it ends in the middle"},
		"no JSON":        {[]byte(`[` + blueskyOK + `, oops]`), "it is not JSON at byte 155, behind value 1"},
		"zip without":    {zipped("data/tweets.js", "window.YTD.tweets.part0 = []", "x", ""), "no likes in it; likes are read from"},
		"broken zip":     {[]byte("PK\x03\x04 and no more"), "its zip is damaged or cut off"},
		"broken gzip":    {[]byte{0x1f, 0x8b, 0}, "its gzip is damaged or cut off"},
		"half a gzip":    {gz(mastodon)[:60], "its gzip is damaged or cut off"},
		"half a tar":     {gz(string(raw(tarred("likes.json", mastodon))[:600])), "its tar is damaged or cut off"},
		"half a CAR":     {car(blueskyOK, blueskyOK)[:450], "the CAR file is damaged or cut off behind like 1"},
		"a changed CAR": {bytes.Replace(car(blueskyOK), []byte("3kf2577"), []byte("3kf2578"), 1),
			"the CAR file is damaged or cut off behind like 0"},
		"a zip in something":  {gz(string(zipped("likes.json", mastodon))), "a zip in something else"},
		"a zip with password": {locked(zipped("data/like.js", likes0)), "the zip has a password: unpack it, and give the folder"},
		"two services": {zipped("data/like.js", likes0, "likes.json", mastodon),
			"likes.json: it holds likes of Mastodon, and what was read before likes of X"},
		"nested too deep": {[]byte(`[[[[[]]]]]`), "lists in lists"},
		"compressed too often": {gz(string(gz(string(gz(string(gz(string(gz(string(gz(string(gz("x"))))))))))))),
			"more than 5 archives and compressions"},
		"a number":              {[]byte(`7`), "neither JSON"},
		"tar of nothing":        {tarred("outbox.json", "{}"), "no likes in it"},
		"an empty archive":      {zipped("data/like.js", "window.YTD.like.part0 = [ ]"), "no likes in it"},
		"an empty collection":   {[]byte(`{"id":"likes.json","orderedItems":[]}`), "no likes in it"},
		"an empty list":         {[]byte(`[]`), "no likes in it"},
		"broken account":        {zipped("data/account.js", "window.YTD.account.part0 = {}"), "account.js: it does not tell of one account"},
		"actor, no likes":       {zipped("actor.json", actor), "no likes in it"},
		"tar of an ending":      {tarred("likes.json", "{}"), "it holds no likes"},
		"a value without end":   {[]byte(`[{"subject":"` + strings.Repeat("x", archive.MaxLine)), "a value in it has more than 1048576 bytes"},
		"an object without end": {[]byte(`[{` + strings.Repeat(`"x":1,`, archive.MaxLine/6+1)), "a value in it has more than 1048576 bytes"},
		"a line without end":    {[]byte(`{"type":"user","x":"` + strings.Repeat("x", archive.MaxLine)), ":1: longer than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := write(t, tt.text)
			got, err := read(file, nil, 12)
			if err == nil || strings.Contains(got, `"post_id"`) {
				t.Fatalf("got %v and %s, want an error alone", err, got)
			}
			text := err.Error()
			if !strings.HasPrefix(text, file+":") || !strings.Contains(text, tt.want) || strings.Count(text, file) != 1 {
				t.Errorf("got %s\nwant %q, and the file once", text, tt.want)
			}
			for _, jargon := range []string{"json: cannot", "json: unknown", "unmarshal", "EOF", "invalid character", "cbor", "archive/", "gzip:"} {
				if strings.Contains(text, jargon) {
					t.Errorf("%q is a decoder's word: %s", jargon, text)
				}
			}
		})
	}
	_, err := read(write(t, []byte(likes0)), nil, 0)
	if err == nil || !strings.Contains(err.Error(), "does not tell whose likes these are: give --user") {
		t.Errorf("without a user: %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := read(write(t, []byte(`{"id":"likes.json","orderedItems":["`+strings.Repeat("ü", 10_000)+`"]}`)), nil, 1)
	if err == nil || len(got) > 600 || !utf8.ValidString(got) || !strings.HasSuffix(got, "ü…\n") {
		t.Errorf("of a long entry: %v, %s", err, got)
	}
	err = archive.Read(canceled, archive.Options{File: write(t, gz(likes0)), User: 1, Now: now})
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "damaged") {
		t.Errorf("interrupted: %v", err)
	}
	stop := errors.New("stop")
	err = archive.Read(t.Context(), archive.Options{File: write(t, []byte(likes0)), User: 1, Now: now,
		Each: func(archive.Item) error { return stop }})
	if err != stop {
		t.Errorf("got %v, want the error of Each", err)
	}
}

// A small file that grows takes neither memory nor time without end.
func TestReadIsBounded(t *testing.T) {
	const n = 30_000
	file := write(t, gz(`[`+strings.Repeat(blueskyOK+",", n-1)+blueskyOK+"]"))
	var at runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&at)
	before, most, read := at.HeapAlloc, uint64(0), 0
	err := archive.Read(t.Context(), archive.Options{File: file, User: 1, Now: now, Each: func(item archive.Item) error {
		if read++; read%(n/4) == 1 {
			runtime.GC()
			runtime.ReadMemStats(&at)
			most = max(most, at.HeapAlloc)
		}
		return nil
	}})
	if err != nil || read != n {
		t.Errorf("got %v and %d likes, want %d", err, read, n)
	}
	if grown := int64(most) - int64(before); grown > 2<<20 {
		t.Errorf("%d likes took %d bytes of memory", n, grown)
	}
	file = write(t, gz(`[`+blueskyOK+strings.Repeat(",{}", 60_000)+"]"))
	err = archive.Read(t.Context(), archive.Options{File: file, User: 1, Now: now})
	if err == nil || !strings.Contains(err.Error(), "more than 50000 entries are no likes") {
		t.Errorf("got %v", err)
	}
	var files []string
	for i := range 600 {
		files = append(files, fmt.Sprint(i, strings.Repeat("x", 60_000)), "")
	}
	file = write(t, zipped(append(files, "likes.json", mastodon)...))
	err = archive.Read(t.Context(), archive.Options{File: file, User: 1, Now: now})
	if err == nil || !strings.Contains(err.Error(), "the zip has too many files: unpack it") {
		t.Errorf("got %v", err)
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
		{"member in another case", `{"type":"like","user_id":"13","USER_ID":"12","post_id":"2","at":"2024-05-01T12:00:00Z"}`, "!"},
		{"member twice", `{"type":"like","user_id":"13","post_id":"2","at":"2024-05-01T12:00:00Z","user_id":"12"}`, "!"},
		{"type twice", `{"type":"block","type":"follow","user_id":"1","target_id":"2"}`, "!"},
		{"no UTF-8", "{\"type\":\"user\",\"id\":\"1\",\"username\":\"a\",\"name\":\"\xff\",\"created_at\":\"2024-05-01T12:00:00Z\"}", "!"},
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

// FuzzRead: whatever stands in a file, it is refused or makes lines that parse, the same each time.
func FuzzRead(f *testing.F) {
	for _, text := range []string{likes0, likes1, account, mastodon, actor, blueskyOK, `{"records":[{"value":` + blueskyOK + `}]}`,
		`[{"type":"like","user_id":"1","post_id":"2","at":"2024-05-01T12:00:00.250Z"}]`} {
		f.Add([]byte(text))
	}
	f.Add(car(blueskyOK))
	f.Add(gz(blueskyOK))
	f.Add(zipped("likes.json", mastodon))
	f.Add(tarred("likes.json", mastodon))
	f.Fuzz(func(t *testing.T, text []byte) {
		first, err := read("-", bytes.NewReader(text), 12)
		again, errAgain := read("-", bytes.NewReader(text), 12)
		if first != again || (err == nil) != (errAgain == nil) {
			t.Fatalf("got %q, %v, then %q, %v", first, err, again, errAgain)
		}
		for line := range strings.Lines(first) {
			if !strings.HasPrefix(line, `{"type":"like","user_id":"12"`) || !strings.Contains(line, `,"post":{`) {
				continue // refused, or a record of our own, which is handed on unread
			}
			if _, err := archive.Parse([]byte(line)); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
	})
}
