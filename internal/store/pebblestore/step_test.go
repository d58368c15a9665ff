package pebblestore

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"liked"
	"liked/internal/store"
)

// All likes wait for an operation, so none may read or write more rows than a bound, however many there are of what it is
// about. The store has many of everything here, and each operation is done that touches some of it.
func TestOperationsAreBounded(t *testing.T) {
	t.Parallel()
	const many, most = 1200, 16 * stepRows
	var rows atomic.Int64 // of the largest operation
	o := testOptions(vfs.NewMem())
	o.LogKeep = time.Hour
	o.onStep = func(n int) { rows.Store(max(rows.Load(), int64(n))) }
	s := open(t, o)
	ctx := context.Background()
	bounded := func(what string, most int64, err error) {
		t.Helper()
		ok(t, err)
		if n := rows.Swap(0); n > most {
			t.Errorf("%s: an operation read and wrote %d rows, want at most %d", what, n, most)
		}
	}
	change := func(_ bool, err error) error { return err }
	hash := func(kind byte, n int) store.Hash { return store.Hash{kind, byte(n >> 16), byte(n >> 8), byte(n)} }
	tokens := func(n int) store.Tokens {
		return store.Tokens{Access: store.AccessToken{Token: hash('a', n), Expires: noon}, Refresh: &store.RefreshToken{Token: hash('r', n)}}
	}

	minute := []liked.RateRule{{Window: time.Minute, Max: 1}}
	ok(t, s.AddApp(ctx, store.App{App: liked.App{ID: 1, ClientID: "c", APIKey: "k"}}))
	for n := 1; n <= many; n++ {
		ok(t, s.AddUser(ctx, liked.User{ID: liked.UserID(n), Username: fmt.Sprint("u", n), Name: "x"}))
		ok(t, s.AddPost(ctx, liked.Post{ID: liked.PostID(n), Author: 1, CreatedAt: noon, Text: fmt.Sprint(n)}))
		app := liked.AppID(1 + n/5) // an app has few webhooks: the most that it may have bounds what one more costs
		if n%5 == 0 {
			ok(t, s.AddApp(ctx, store.App{App: liked.App{ID: app, ClientID: fmt.Sprint("c", n), APIKey: fmt.Sprint("k", n)}}))
		}
		ok(t, s.AddWebhook(ctx, liked.Webhook{ID: liked.WebhookID(n), App: app, URL: fmt.Sprint("https://example.com/", n)}, 5))
		ok(t, s.AddSubscription(ctx, liked.Subscription{ID: liked.SubscriptionID(n), App: 1, User: liked.UserID(n)}, many+1))
		letter := store.DeadLetter{Webhook: 1, Subscription: 1, Event: liked.LikeEvent{Seq: liked.Seq(n), User: 1}}
		_, err := s.AddDeadLetters(ctx, []store.DeadLetter{letter}, many)
		ok(t, err)
		ok(t, s.AddCode(ctx, store.Code{Code: hash('c', n), Expires: noon}))
		ok(t, s.AddSession(ctx, store.Session{ID: hash('s', n), Expires: noon}))
		access := store.AccessToken{Token: hash('b', n), Expires: noon}
		ok(t, s.AddGrant(ctx, store.Grant{ID: store.GrantID{9, byte(n >> 8), byte(n)}, App: 5, User: 2}, store.Tokens{Access: access}))
		_, _, err = s.Take(ctx, noon, "x", 1, liked.UserID(n), minute, nil)
		ok(t, err)
		_, err = s.UseNonce(ctx, noon, 1, hash('n', n), noon)
		ok(t, err)
		_, err = s.SetLike(ctx, liked.UserID(n), 1, true, noon)
		ok(t, err)
		if n > 1 {
			ok(t, change(s.SetFollow(ctx, liked.UserID(n), 1, true)))
			ok(t, change(s.SetFollow(ctx, 1, liked.UserID(n), true)))
		}
		if n > many/2 {
			ok(t, change(s.SetBlock(ctx, liked.UserID(n), 1, true)))
			ok(t, change(s.SetBlock(ctx, 2, liked.UserID(n), true)))
		}
	}
	for g := range 4 { // each with many tokens, all of them of one consent
		id := store.GrantID{byte(g)}
		if g == 0 {
			ok(t, s.AddCode(ctx, store.Code{Code: hash('C', 0), Expires: noon.Add(time.Hour)}))
			ok(t, s.RedeemCode(ctx, hash('C', 0), store.Grant{ID: id, App: 6, User: 1}, tokens(0), noon))
		} else {
			ok(t, s.AddGrant(ctx, store.Grant{ID: id, App: 6, User: 1}, tokens(g*2*many)))
		}
		for n := range many {
			next := tokens(g*2*many + n + 1)
			if g == 3 && n == many-1 {
				next.Refresh = nil // nothing is left of it but spent tokens, once the last one has expired
			}
			ok(t, s.RotateRefreshToken(ctx, hash('r', g*2*many+n), next, noon, 0))
		}
	}
	bounded("adding", most, nil)

	bounded("UpdateUser", most, s.UpdateUser(ctx, 1, func(u *liked.User) error { u.Username, u.State = "new", liked.Suspended; return nil }))
	bounded("UpdateUser", most, s.UpdateUser(ctx, 1, func(u *liked.User) error { u.State = liked.Active; return nil }))
	bounded("UpdateApp", most, s.UpdateApp(ctx, 1, func(a *store.App) error { a.ClientID = "d"; return nil }))
	bounded("SetBlock", most, change(s.SetBlock(ctx, 1, 3, true)))
	bounded("SetFollow", most, change(s.SetFollow(ctx, 1, 2, false)))
	bounded("AddPost", most, s.AddPost(ctx, liked.Post{ID: many + 1, Author: 1, InReplyTo: 1, Quotes: 2, CreatedAt: noon}))
	bounded("Publish", most, s.Publish(ctx, liked.Post{ID: many + 2, Author: 1, InReplyTo: 1, Quotes: 2, CreatedAt: noon, Text: "x"}))
	bounded("DeletePost", most, s.DeletePost(ctx, 1, 1))
	bounded("AddWebhook", most, s.AddWebhook(ctx, liked.Webhook{ID: many + 1, App: 1, URL: "https://example.com/"}, 5))
	sub := liked.Subscription{ID: many + 1, App: 1, User: 1, Direction: liked.Inbound}
	bounded("AddSubscription", most, s.AddSubscription(ctx, sub, many+1))
	offsets := make(map[liked.WebhookID]liked.Positions)
	for n := 1; n <= many; n++ {
		offsets[liked.WebhookID(n)] = liked.Positions{1}
	}
	bounded("Advance", most, s.Advance(ctx, offsets))
	letter := store.DeadLetter{Webhook: 1, Subscription: 1, Event: liked.LikeEvent{Seq: many + 1, User: 1}}
	dropped, err := s.AddDeadLetters(ctx, []store.DeadLetter{letter}, many)
	bounded("AddDeadLetters", most, err)
	if dropped != 1 {
		t.Errorf("AddDeadLetters: got %d letters dropped, want 1", dropped)
	}
	bounded("RemoveDeadLetter", most, s.RemoveDeadLetter(ctx, letter))
	bounded("DeleteWebhook", most, s.DeleteWebhook(ctx, 1))
	_, err = s.Totals(ctx)
	bounded("Totals", most, err)
	bounded("Backup", most, s.Backup(ctx, func([]store.File) error { return nil }))

	bounded("RevokeGrant", most, s.RevokeGrant(ctx, store.GrantID{1}))
	err = s.RedeemCode(ctx, hash('C', 0), store.Grant{ID: store.GrantID{7}, User: 1}, tokens(many*9), noon)
	if liked.KindOf(err) != liked.Conflict {
		t.Errorf("RedeemCode again: got error %v", err)
	}
	bounded("RedeemCode again", most, nil)
	if err := s.RotateRefreshToken(ctx, hash('r', 4*many), tokens(many*9), noon.Add(time.Hour), 0); liked.KindOf(err) != liked.Conflict {
		t.Errorf("RotateRefreshToken again: got error %v", err)
	}
	bounded("RotateRefreshToken again", most, nil)
	grants, err := s.GrantsOf(ctx, 1)
	ok(t, err)
	if len(grants) != 1 || grants[0].ID != (store.GrantID{3}) {
		t.Errorf("got grants %v, want the one that is left", grants)
	}
	for g := range 3 {
		if _, _, err := s.AccessToken(ctx, hash('a', g*2*many+1)); liked.KindOf(err) != liked.NotFound {
			t.Errorf("a token of grant %d: got error %v", g, err)
		}
	}

	bounded("ExpireTokens", most, s.ExpireTokens(ctx, store.GrantID{3}, noon.Add(-time.Hour)))
	bounded("Withdraw", most, s.Withdraw(ctx, 2, 5))
	bounded("SetPassword", most, s.SetPassword(ctx, 1, "x"))
	owned := store.App{App: liked.App{ID: many + 1, Owner: 1, ClientID: "o", APIKey: "o"}}
	bounded("AddApp", most, s.AddApp(ctx, owned))
	bounded("UpdateApp to another owner", most, s.UpdateApp(ctx, 1, func(a *store.App) error { a.Owner = 2; return nil }))
	for n := 1; n <= many; n++ {
		ok(t, s.AddSubscription(ctx, liked.Subscription{ID: liked.SubscriptionID(2*many + n), App: 1, User: liked.UserID(n)}, many+1))
	}
	bounded("adding again", most, nil)
	bounded("DeleteApp", most, s.DeleteApp(ctx, 1))
	if n, err := s.CountSubscriptions(ctx, 1, 0); n != 0 || err != nil {
		t.Errorf("got %d subscriptions of a deleted app, %v", n, err)
	}
	bounded("Sweep of what was taken back", most, s.Sweep(ctx, noon.Add(-2*time.Hour)))

	// At one time, where the post has many likes already.
	var records []store.Record
	for n := 2; n <= many; n++ {
		records = append(records, store.Record{Like: &store.Like{User: liked.UserID(n), Post: 2, Seq: liked.Seq(noon.UnixMilli()-1) << 20}})
	}
	for _, part := range [][]store.Record{records[:many/2], records[many/2:]} {
		got, err := s.Import(ctx, part, false)
		if got.Added != len(part) {
			t.Errorf("Import: got %+v, want all added", got)
		}
		bounded("Import", int64(16*len(part)), err)
	}

	_, err = s.SetLike(ctx, 2, 3, true, noon.Add(3*time.Hour))
	ok(t, err)
	_, _, err = s.Take(ctx, noon.Add(3*time.Hour), "y", 1, 1, minute, nil)
	ok(t, err)
	_, err = s.UseNonce(ctx, noon.Add(3*time.Hour), 1, hash('z', 1), noon.Add(4*time.Hour)) // only signed requests make others be forgotten
	ok(t, err)
	bounded("pruning the log", most, s.pruneLog(ctx, 0))
	bounded("pruning windows", most, s.limits.prune(ctx))
	bounded("Sweep", most, s.Sweep(ctx, noon.Add(2*time.Hour)))

	report, err := s.Check(ctx)
	bounded("Check", most, err)
	if len(report.Problems) > 0 || report.LogEntries != 1 {
		t.Errorf("got %d entries of the log, want 1, and problems %v", report.LogEntries, report.Problems)
	}
	for tag, want := range map[byte]int{tagTokenOf: 0, tagByHash: 0, tagEnded: 0, tagGrant: 0, tagExpiry: 0, tagDead: 0,
		tagWindow: 1, tagNonce: 1, tagUnswept: 0, tagAbout: 0} {
		n := 0
		ok(t, scan(s.db, []byte{tag}, nil, func(_, _ []byte) (bool, error) { n++; return true, nil }))
		if n != want {
			t.Errorf("%d rows %c are left, want %d", n, tag, want)
		}
	}
	ok(t, s.Close())
}
