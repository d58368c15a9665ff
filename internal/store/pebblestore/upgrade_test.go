package pebblestore

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"liked"
	"liked/internal/store"
)

// dataOf reads a data directory that `liked dev --seed 1` of an earlier release made, in which alice and likesbot
// liked posts: the store's files, and the credentials.
func dataOf(t *testing.T, path string) (files map[string][]byte, credentials []byte) {
	t.Helper()
	f, err := os.Open(path)
	ok(t, err)
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	ok(t, err)
	files = make(map[string][]byte)
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files, credentials
		}
		ok(t, err)
		content, err := io.ReadAll(r)
		ok(t, err)
		switch dir, name := filepath.Split(h.Name); {
		case dir == "store/":
			files[name] = content
		case name == "credentials.json":
			credentials = content
		}
	}
}

type credentialsFile struct {
	Posts []struct{ ID liked.PostID }
	Users []madeUser
}

type madeUser struct {
	ID           liked.UserID
	Username     string
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	OAuth1Token  string `json:"oauth1_token"`
}

// rowsOf returns all rows of a store that is not open.
func rowsOf(t *testing.T, fs vfs.FS) map[string]string {
	t.Helper()
	db, err := pebble.Open("data", &pebble.Options{FS: fs, ReadOnly: true, Logger: pebbleLogger{&Store{log: slog.New(slog.DiscardHandler)}}})
	ok(t, err)
	defer db.Close()
	all := make(map[string]string)
	ok(t, scanRange(db, nil, nil, func(key, value []byte) (bool, error) { all[string(key)] = string(value); return true, nil }))
	return all
}

// Stores of every format that ever was are raised, and lose nothing.
func TestUpgradeOfEveryFormat(t *testing.T) {
	t.Parallel()
	made := map[string]struct{ format, posts, webhooks, log int }{ // what was put into each
		"1-first": {1, 8, 0, 4},
		"1-last":  {1, 10, 0, 4},
		"2-first": {2, 10, 1, 4},
		"2-last":  {2, 10, 1, 4},
		"3":       {3, 10, 1, 4},
	}
	formats := make(map[int]bool)
	for name, want := range made {
		formats[want.format] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, credentials := dataOf(t, "testdata/formats/"+name+".tar.gz")
			disk, ctx := diskWith(t, files), t.Context()
			o := testOptions(disk)
			o.Release = "v9"
			before := rowsOf(t, disk)
			plan, err := Plan(o)
			ok(t, err)
			if plan.From != want.format || plan.To != Format || len(plan.Steps) != Format-want.format {
				t.Errorf("Plan: got %+v", plan)
			}
			if after := rowsOf(t, disk); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Error("Plan has changed the store")
			}

			s := open(t, o)
			report := proven(t, s)
			if report.Users != 7 || report.Posts != int64(want.posts) || report.Likes != 2 || report.LogEntries != int64(want.log) {
				t.Errorf("got %+v, want 7 users, %d posts, 2 likes and %d entries", report, want.posts, want.log)
			}
			var made credentialsFile
			ok(t, json.Unmarshal(credentials, &made))
			for _, u := range made.Users {
				_, grant, err := s.AccessToken(ctx, sha256.Sum256([]byte(u.AccessToken)))
				if err != nil || grant.User != u.ID || grant.OAuth1 || !grant.Scopes.Has(liked.LikeWrite|liked.OfflineAccess) {
					t.Errorf("the access token of %s: got %+v, %v", u.Username, grant, err)
				}
				if _, _, err := s.RefreshToken(ctx, sha256.Sum256([]byte(u.RefreshToken))); err != nil {
					t.Errorf("the refresh token of %s: %v", u.Username, err)
				}
				_, grant, err = s.OAuth1Token(ctx, sha256.Sum256([]byte(u.OAuth1Token)))
				if err != nil || grant.User != u.ID || !grant.OAuth1 || grant.Access != liked.ReadWriteDirectMessages || grant.Scopes != 0 {
					t.Errorf("the OAuth 1.0a token of %s: got %+v, %v", u.Username, grant, err)
				}
			}
			alice := made.Users[slices.IndexFunc(made.Users, func(u madeUser) bool { return u.Username == "alice" })]
			page, err := s.LikedPosts(ctx, alice.ID, alice.ID, store.Cursor{}, 10, store.WithMetrics, nil)
			if err != nil || len(page.Items) != 1 || page.Items[0].ID != made.Posts[0].ID || page.Items[0].Metrics.Likes != 2 {
				t.Errorf("alice likes %+v, %v", page.Items, err)
			}
			hooks, err := s.Webhooks(ctx, 0)
			if err != nil || len(hooks) != want.webhooks {
				t.Errorf("got webhooks %+v, %v", hooks, err)
			}
			for _, h := range hooks {
				own, err := s.Webhooks(ctx, h.App)
				if err != nil || len(own) != 1 {
					t.Errorf("app %v has webhooks %+v, %v", h.App, own, err)
				}
				about, err := s.SubscriptionsAbout(ctx, []liked.UserID{alice.ID})
				if err != nil || len(about) != 1 || about[0].Viewer != alice.ID || about[0].Webhook != h.ID {
					t.Errorf("got subscriptions about alice %+v, %v", about, err)
				}
				if n, err := s.CountSubscriptions(ctx, h.App, alice.ID); err != nil || n != 1 {
					t.Errorf("alice has made %d subscriptions, %v", n, err)
				}
			}
			ok(t, s.Close())

			rows := rowsOf(t, disk)
			if rows[string(formatKey)] != string(rune(Format)) || rows[string(releaseKey)] != "v9" || rows[string(upgradeKey)] != "" {
				t.Errorf("the format is %q, the release %q, %q", rows[string(formatKey)], rows[string(releaseKey)], rows[string(upgradeKey)])
			}
			plan, err = Plan(o)
			if err != nil || plan.From != Format || plan.Release != "v9" || len(plan.Steps) != 0 {
				t.Errorf("Plan once it is raised: got %+v, %v", plan, err)
			}
		})
	}
	for format := 1; format < Format; format++ {
		if !formats[format] {
			t.Errorf("there is no store of format %d", format)
		}
	}
}

// spoiled makes a store of format 1 of one of format 4: posts and grants of the first layout, no lists.
func spoiled(t *testing.T) *vfs.MemFS {
	disk, ctx := vfs.NewCrashableMem(), context.Background()
	s := open(t, testOptions(disk))
	fill(t, s)
	ok(t, s.AddPost(ctx, liked.Post{ID: 5, Author: 3, InReplyTo: 3, Text: "A x"}))
	ok(t, s.AddPost(ctx, liked.Post{ID: 4, Author: 3, InReplyTo: 5, Text: "I" + " " + strings.Repeat("x", ' ')})) // looks like the next layout
	ok(t, s.AddApp(ctx, store.App{App: liked.App{ID: 1, Name: "demo", ClientID: "c", APIKey: "k"}}))
	ok(t, s.AddWebhook(ctx, liked.Webhook{ID: 5, App: 1, URL: "https://example.com"}, 1))
	for id := liked.SubscriptionID(1); id <= 9; id++ {
		ok(t, s.AddSubscription(ctx, liked.Subscription{ID: id, App: 1, Viewer: liked.UserID(id % 2), User: liked.UserID(id), Webhook: 5}, 9))
	}
	ok(t, s.AddOAuth1Token(ctx, store.Grant{ID: store.GrantID{1}, App: 1, User: 2, CreatedAt: noon, OAuth1: true, Access: liked.ReadWrite},
		store.OAuth1Token{Token: store.Hash{1}}))
	b := s.db.NewBatch()
	first := func(v any, fields func(*record)) []byte {
		r := record{b: []byte{firstVersion}, writing: true}
		fields(&r)
		return r.b
	}
	for id := liked.PostID(1); id <= 5; id++ {
		p, err := s.Post(ctx, 0, id)
		ok(t, err)
		must(b.Set(postKey(id), first(p, func(r *record) {
			headFields(r, &postHead{p.Author, p.RepostOf, false})
			r.time(&p.CreatedAt)
			number(r, &p.InReplyTo)
			number(r, &p.Quotes)
			r.strings(&p.Text)
		}), nil))
	}
	must(b.Set(grantKey(store.GrantID{1}), first(nil, func(r *record) {
		app, user, scopes, at := 1, 2, firstOAuth1<<liked.ReadWrite, noon
		number(r, &app)
		number(r, &user)
		number(r, &scopes)
		r.time(&at)
	}), nil))
	for _, tag := range []byte{tagPostOf, tagAbout, tagMade, tagMadeN, tagWebhookOf} {
		must(b.DeleteRange([]byte{tag}, []byte{tag + 1}, nil))
	}
	must(b.Set(madeNKey(1, 1), encodeID(uint64(3)), nil)) // of a release that did not keep it up
	must(b.Set([]byte{tagWindow, 1}, []byte("damaged"), nil))
	must(b.Set(formatKey, []byte{1}, nil))
	must(s.db.Apply(b, pebble.Sync))
	ok(t, s.Close())
	return disk
}

// An upgrade that a kill or the loss of power interrupts anywhere goes on at the next start, and ends as one that was not.
func TestUpgradeIsResumed(t *testing.T) {
	t.Parallel()
	ctx, disk := t.Context(), spoiled(t)
	var mu sync.Mutex
	var left []*vfs.MemFS // by a kill before each access
	o := testOptions(errorfs.Wrap(disk, errorfs.InjectorFunc(func(errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		left = append(left, disk.CrashClone(vfs.CrashCloneCfg{}))
		return nil
	})))
	o.upgradeBatch = 2
	ok(t, open(t, o).Close())
	halves := make(map[string]bool)
	for n, disk := range append(left, disk) {
		if version := rowsOf(t, disk)[string(formatKey)]; len(version) == 2 {
			halves[version] = true
		}
		o := testOptions(disk)
		o.upgradeBatch = 3
		s := open(t, o)
		proven(t, s)
		for id, want := range map[liked.PostID][2]int64{1: {0, 0}, 3: {1, 1}, 5: {1, 2}, 4: {1, 3}} {
			p, err := s.Post(ctx, 0, id)
			if err != nil || [2]int64{int64(p.Conversation), int64(p.InReplyToUser)} != want {
				t.Fatalf("killed before access %d: post %d is %+v, %v", n, id, p, err)
			}
		}
		if made, err := s.CountSubscriptions(ctx, 1, 1); err != nil || made != 5 {
			t.Fatalf("killed before access %d: %d subscriptions, %v, want 5", n, made, err)
		}
		if _, g, err := s.OAuth1Token(ctx, store.Hash{1}); err != nil || !g.OAuth1 || g.Access != liked.ReadWrite || g.Scopes != 0 {
			t.Fatalf("killed before access %d: the grant is %+v, %v", n, g, err)
		}
		if _, _, err := s.Take(ctx, noon, "x", 1, 1, nil, nil); err != nil { // reads all windows
			t.Fatalf("killed before access %d: %v", n, err)
		}
		ok(t, s.Close())
	}
	if !halves["\x02\x01"] || !halves["\x03\x02"] || len(left) < 20 {
		t.Errorf("%d kills left stores half raised: %v, want to 2 and to 3", len(left), halves)
	}
}

// A disk that fails during an upgrade, for good and at any access, makes Open fail and not the process; the next start ends it.
func TestUpgradeOnFailingDisk(t *testing.T) {
	t.Parallel()
	whole := spoiled(t)
	for n := 0; ; n++ {
		disk := whole.CrashClone(vfs.CrashCloneCfg{})
		fault := &fault{n: int64(n), lasting: true}
		o := testOptions(errorfs.Wrap(disk, fault))
		o.upgradeBatch = 2
		s, err := Open(o)
		if err == nil {
			err = s.Close()
		}
		failed := fault.failed.Load()
		if failed && err != nil && liked.KindOf(err) != liked.Unavailable {
			t.Fatalf("access %d fails: got error %v", n, err)
		}
		s = open(t, testOptions(disk.CrashClone(vfs.CrashCloneCfg{})))
		proven(t, s)
		if made, err := s.CountSubscriptions(t.Context(), 1, 1); err != nil || made != 5 {
			t.Fatalf("access %d fails: %d subscriptions, %v, want 5", n, made, err)
		}
		ok(t, s.Close())
		if !failed {
			break
		}
	}
}

// A record of a later release is read, and what it has more is kept; one of an earlier release lacks what it did not have.
func TestRecordsOfOtherReleases(t *testing.T) {
	t.Parallel()
	type thing struct {
		name, second, third string
	}
	rowOf := func(version byte) row[thing] {
		return row[thing]{key: []byte("x"), what: "thing", fields: func(r *record, v *thing) {
			r.strings(&v.name)
			if version >= 2 && r.since(2) {
				r.strings(&v.second)
			}
			if version >= 3 && r.since(3) {
				r.strings(&v.third)
			}
		}}
	}
	all := thing{"a", "b", "c"}
	for wrote := byte(1); wrote <= 3; wrote++ {
		for reads := byte(1); reads <= 3; reads++ {
			value := rowOf(wrote).encode(&all)
			w := rowOf(reads)
			got, err := w.decode(value)
			want := all
			if min(wrote, reads) < 3 {
				want.third = ""
			}
			if min(wrote, reads) < 2 {
				want.second = ""
			}
			if err != nil || got != want {
				t.Errorf("version %d reads version %d: got %+v, %v, want %+v", reads, wrote, got, err, want)
			}
			got.name = "z"
			value = w.over(value, &got)
			back, err := rowOf(wrote).decode(value)
			if want := (thing{"z", all.second, all.third}); err != nil || wrote == 3 && back != want || back.name != "z" ||
				value[0] != max(wrote, reads) {
				t.Errorf("version %d changes version %d: got %+v, %v, version %d, want %+v", reads, wrote, back, err, value[0], want)
			}
			if _, err := w.decode(value[:len(value)-1]); wrote <= reads && !errors.Is(err, errRecord) {
				t.Errorf("version %d reads version %d cut short: %v", reads, wrote, err)
			}
		}
	}
}
