package pgstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/pgstore/pgtest"
)

// lines is a log that tests read.
type lines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(b)
}

func (l *lines) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.String(), s)
}

// Two servers do whatever can be done with a few apps, users and grants, all at once. Nothing waits in a circle, nothing is spent
// twice, and once all apps are gone and swept nothing is left.
func TestGrantsOfTwo(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var log lines
	dsn := pgtest.Schema(t)
	var servers [2]*Store
	for i := range servers {
		var err error
		servers[i], err = Open(Options{DSN: dsn, Readers: 6, Writers: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ok(t, err)
		t.Cleanup(func() { _ = servers[i].Close() })
	}
	const users, apps, codes, workers, steps = 3, 3, 40, 8, 150
	app := func(n int) store.App {
		return store.App{App: liked.App{ID: liked.AppID(n), Owner: 1, ClientID: fmt.Sprint("c", n), APIKey: fmt.Sprint("k", n)},
			BearerHash: store.Hash{byte(n)}}
	}
	for n := 1; n <= users; n++ {
		ok(t, servers[0].AddUser(ctx, liked.User{ID: liked.UserID(n), Username: fmt.Sprint("u", n), Name: "x"}))
	}
	for n := 1; n <= apps; n++ {
		ok(t, servers[0].AddApp(ctx, app(n)))
	}
	hash := func(what string, n int64) store.Hash { return sha256.Sum256(fmt.Append(nil, what, n)) }
	owner := func(n int64) (liked.UserID, liked.AppID) { // of code or request token n
		return liked.UserID(n%users + 1), liked.AppID(n/users%apps + 1)
	}
	for n := range int64(codes) {
		user, app := owner(n)
		ok(t, servers[0].AddCode(ctx, store.Code{Code: hash("code", n), App: app, User: user, Expires: noon.Add(time.Duration(n) * time.Second)}))
		ok(t, servers[0].AddRequestToken(ctx, store.RequestToken{Token: hash("request", n), App: app, Expires: noon.Add(time.Hour)}))
	}
	var made atomic.Int64 // numbers of grants and of tokens
	var mu sync.Mutex
	redeemed, used := make(map[store.Hash]int), make(map[store.Hash]int)
	var grants []store.GrantID
	var refresh []store.Hash
	count := func(m map[store.Hash]int, h store.Hash, err error) {
		if err == nil {
			mu.Lock()
			m[h]++
			mu.Unlock()
		}
	}
	newGrant := func(user liked.UserID, app liked.AppID) (g store.Grant, tokens store.Tokens) {
		n := made.Add(1)
		h := hash("grant", n)
		g = store.Grant{ID: store.GrantID(h[:16]), App: app, User: user, CreatedAt: noon}
		tokens = store.Tokens{Access: store.AccessToken{Token: hash("access", n), Expires: noon.Add(time.Duration(n%9) * time.Minute)},
			Refresh: &store.RefreshToken{Token: hash("refresh", n)}}
		mu.Lock()
		grants, refresh = append(grants, g.ID), append(refresh, tokens.Refresh.Token)
		mu.Unlock()
		return g, tokens
	}
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	var all sync.WaitGroup
	for w := range workers {
		rng := rand.New(rand.NewPCG(uint64(seed), uint64(w)))
		all.Go(func() {
			for range steps {
				s := servers[rng.IntN(2)]
				n := rng.Int64N(codes)
				user, appID := owner(n)
				g, tokens := newGrant(user, appID)
				mu.Lock()
				old, token := grants[rng.IntN(len(grants))], refresh[rng.IntN(len(refresh))]
				mu.Unlock()
				at := noon.Add(time.Duration(rng.IntN(600)) * time.Second)
				kind := rng.IntN(40)
				var err error
				switch {
				case kind < 8:
					err = s.RedeemCode(ctx, hash("code", n), g, tokens, at)
					count(redeemed, hash("code", n), err)
				case kind < 12:
					err = s.AddGrant(ctx, g, tokens)
				case kind < 20:
					err = s.RotateRefreshToken(ctx, token, tokens, at, time.Duration(rng.IntN(60))*time.Second)
					count(used, token, err)
				case kind < 23:
					err = s.ApproveRequestToken(ctx, hash("request", n), user, store.Hash{1})
				case kind < 26:
					err = s.RedeemRequestToken(ctx, hash("request", n), g, store.OAuth1Token{Token: tokens.Access.Token})
					count(redeemed, hash("request", n), err)
				case kind < 28:
					err = s.Withdraw(ctx, user, appID)
				case kind < 30:
					err = s.RevokeGrant(ctx, old)
				case kind < 32:
					err = s.ExpireTokens(ctx, old, at)
				case kind < 34:
					err = s.Sweep(ctx, at)
				case kind < 35:
					err = s.SetPassword(ctx, user, "x")
				case kind < 36:
					err = s.UpdateUser(ctx, user, func(u *liked.User) error { u.State = liked.AccountState(n % 2); return nil })
				case kind < 37:
					err = s.UpdateApp(ctx, appID, func(a *store.App) error { a.State = liked.AppState(n % 3); return nil })
				case kind < 38:
					err = s.UpdateApp(ctx, appID, func(a *store.App) error { a.Owner = user; return nil })
				case kind < 39:
					err = s.AddWebhook(ctx, liked.Webhook{ID: liked.WebhookID(made.Add(1)), App: appID, URL: fmt.Sprint(n)}, 3)
				default:
					_, err = s.GrantsOf(ctx, user)
				}
				switch kind := liked.KindOf(err); {
				case err == nil, kind == liked.Conflict, kind == liked.NotFound, kind == liked.Forbidden:
				default:
					t.Errorf("got error %v", err)
				}
			}
		})
	}
	all.Wait()
	for what, m := range map[string]map[store.Hash]int{"codes and request tokens": redeemed, "refresh tokens": used} {
		if len(m) == 0 {
			t.Errorf("none of the %s was used", what)
		}
		for h, n := range m {
			if n > 1 {
				t.Errorf("one of the %s, %x, was used %d times", what, h, n)
			}
		}
	}
	if log.has("40P01") {
		t.Error("transactions have waited for each other in a circle")
	}
	sound(t, servers[0])
	for n := 1; n <= apps; n++ {
		ok(t, servers[n%2].DeleteApp(ctx, liked.AppID(n)))
	}
	sound(t, servers[0])
	for _, s := range servers {
		all.Go(func() { ok(t, s.Sweep(ctx, noon.Add(24*time.Hour))) })
	}
	all.Wait()
	sound(t, servers[0])
	for _, table := range []string{"codes", "request_tokens", "tokens", "grants", "consents", "app_keys", "webhooks"} {
		n, err := first(ctx, servers[1], nil, pgx.RowTo[int], "SELECT count(*) FROM "+table)
		ok(t, err)
		if n != 0 {
			t.Errorf("%d rows of %s are left", n, table)
		}
	}
}

// sound fails the test if Check finds anything.
func sound(t *testing.T, s *Store) {
	t.Helper()
	r, err := s.Check(context.Background())
	ok(t, err)
	if len(r.Problems) > 0 {
		t.Errorf("Check found %s", strings.Join(r.Problems, "\n"))
	}
}

// grantCrowd is crowd for grants. App 3 has half of them, and all codes and request tokens.
const grantCrowd = `
INSERT INTO apps SELECT i, 0, i, 'n', false, 0, 0, 0, '{}', 0, 'c' || i, 'k' || i, decode(repeat('00', 32), 'hex'), '',
	decode(lpad(to_hex(i), 64, '0'), 'hex'), '' FROM generate_series(1, 100) i;
INSERT INTO app_keys SELECT 0, convert_to(client_id, 'UTF8'), app FROM apps;
INSERT INTO app_keys SELECT 1, convert_to(api_key, 'UTF8'), app FROM apps;
INSERT INTO app_keys SELECT 2, bearer_hash, app FROM apps;
INSERT INTO grants SELECT decode(lpad(to_hex(i), 32, '0'), 'hex'), CASE i % 2 WHEN 0 THEN 3 ELSE i % 100 + 1 END, i % 20000 + 1,
	false, 0, 0, i, 0 FROM generate_series(1, 30000) i;
INSERT INTO consents SELECT DISTINCT ON (user_id, app) user_id, app, grant_id FROM grants;
INSERT INTO tokens SELECT decode(lpad(to_hex(4 * i + kind), 64, '0'), 'hex'), kind, decode(lpad(to_hex(i), 32, '0'), 'hex'),
	CASE kind WHEN 0 THEN i * 1000000::bigint ELSE -62135596800000000 END, -62135596800000000, '', 0
	FROM generate_series(1, 30000) i, generate_series(0, 2) kind;
INSERT INTO codes SELECT decode(lpad(to_hex(i), 64, '0'), 'hex'), 3, i, 0, '', '', '', i * 1000000::bigint FROM generate_series(1, 20000) i;
INSERT INTO request_tokens SELECT hash, '', app, 0, '', expires, user_id, hash FROM codes;
INSERT INTO sessions SELECT hash, user_id, expires FROM codes;
`

// grantCalls is calls for grants.
func grantCalls(s *Store, round int) map[string]func(ctx) error {
	number := func(i int) (h store.Hash) {
		binary.BigEndian.PutUint64(h[24:], uint64(i))
		return h
	}
	token := func(i, kind int) store.Hash { return number(4*i + kind) }
	id := func(i int) (id store.GrantID) {
		binary.BigEndian.PutUint64(id[8:], uint64(i))
		return id
	}
	at := func(i int) time.Time { return time.Unix(int64(i), 0) }
	added := 0
	grant := func(user int) store.Grant {
		added++
		return store.Grant{ID: id(1000000*round + added), App: 3, User: liked.UserID(user)}
	}
	tokens := func() store.Tokens {
		added++
		return store.Tokens{Access: store.AccessToken{Token: number(1000000*round + 2*added), Expires: at(1 << 30)},
			Refresh: &store.RefreshToken{Token: number(1000000*round + 2*added + 1)}}
	}
	user := 1000 * round
	app := store.App{App: liked.App{ID: liked.AppID(1000 + round), Owner: 5, ClientID: fmt.Sprint("n", round), APIKey: fmt.Sprint("n", round)}}
	return map[string]func(ctx) error{
		"App":                func(c ctx) error { return second(s.App(c, 7)) },
		"AppByClientID":      only(s.AppByClientID, "c3"),
		"AppByAPIKey":        only(s.AppByAPIKey, "k3"),
		"AppByBearer":        only(s.AppByBearer, number(3)),
		"AddApp":             func(c ctx) error { return s.AddApp(c, app) },
		"UpdateApp":          func(c ctx) error { return s.UpdateApp(c, 9, func(a *store.App) error { a.Name += "x"; return nil }) },
		"Code":               only(s.Code, number(5000)),
		"AddCode":            func(c ctx) error { return s.AddCode(c, store.Code{Code: number(100000 + round), App: 3, User: 5}) },
		"RedeemCode":         func(c ctx) error { return s.RedeemCode(c, number(user+1), grant(user+1), tokens(), at(1)) },
		"AccessToken":        func(c ctx) error { _, _, err := s.AccessToken(c, token(20000, 0)); return err },
		"RefreshToken":       func(c ctx) error { _, _, err := s.RefreshToken(c, token(20000, 1)); return err },
		"OAuth1Token":        func(c ctx) error { _, _, err := s.OAuth1Token(c, token(20000, 2)); return err },
		"RotateRefreshToken": func(c ctx) error { return s.RotateRefreshToken(c, token(user+2, 1), tokens(), at(1), 0) },
		"RevokeGrant":        func(c ctx) error { return s.RevokeGrant(c, id(user+3)) },
		"ExpireTokens":       func(c ctx) error { return s.ExpireTokens(c, id(user+4), at(1)) },
		"Withdraw":           func(c ctx) error { return s.Withdraw(c, liked.UserID(user+5), 3) },
		"SetPassword":        func(c ctx) error { return s.SetPassword(c, liked.UserID(user+6), "x") },
		"GrantsOf":           only(s.GrantsOf, 7),
		"RequestToken":       only(s.RequestToken, number(5000)),
		"RedeemRequestToken": func(c ctx) error {
			return s.RedeemRequestToken(c, number(user+7), grant(user+7), store.OAuth1Token{Token: tokens().Access.Token})
		},
		"Session":       only(s.Session, number(5000)),
		"DeleteSession": func(c ctx) error { return s.DeleteSession(c, number(user+8)) },
		"Sweep":         func(c ctx) error { return s.Sweep(c, at(10*round)) },
	}
}
