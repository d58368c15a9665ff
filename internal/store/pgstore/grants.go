package pgstore

import (
	"bytes"
	"cmp"
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/valid"
)

// Calls that spend something, or change a grant's tokens, lock one row and decide in Go. They lock, in this order: the app, for
// key share if a grant is made; a code or request token; consents; grants; tokens.

// Kinds of tokens.
const (
	accessToken = iota
	refreshToken
	oauth1Token
)

var kinds = [...]string{"access token", "refresh token", "OAuth 1.0a access token"}

// never is the time of what does not expire, or is not spent.
var never = micros(time.Time{})

func (s *Store) AddCode(ctx context.Context, c store.Code) error {
	if err := valid.Texts("a code of app", c.App, c.RedirectURI, c.Challenge, c.ChallengeMethod); err != nil {
		return err
	}
	err := s.update(ctx, func(t *tx) error {
		t.exec(`INSERT INTO codes (hash, app, user_id, scopes, redirect_uri, challenge, method, expires)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, c.Code[:], c.App, c.User, int64(c.Scopes), c.RedirectURI, c.Challenge, c.ChallengeMethod,
			micros(c.Expires))
		return nil
	})
	return hashTaken(err, "codes_pkey", "authorization code")
}

// hashTaken is err, or the error that tells that the hash of what is added is in use.
func hashTaken(err error, constraint, what string) error {
	if violates(err, constraint) {
		return liked.Errorf(liked.Conflict, "the %s exists already", what)
	}
	return err
}

func noHash(what string) error { return liked.Errorf(liked.NotFound, "no such %s", what) }

func (s *Store) Code(ctx context.Context, code store.Hash) (store.Code, error) {
	return first(ctx, s, noHash("authorization code"), func(r pgx.CollectableRow) (store.Code, error) {
		c := store.Code{Code: code}
		var expires int64
		err := r.Scan(&c.App, &c.User, &c.Scopes, &c.RedirectURI, &c.Challenge, &c.ChallengeMethod, &expires, &c.Spent)
		c.Expires = timeOf(expires)
		return c, err
	}, `SELECT app, user_id, scopes, redirect_uri, challenge, method, expires, grant_id IS NOT NULL FROM codes WHERE hash = $1`, code[:])
}

// RedeemCode revokes in the transaction of a second redemption, which is committed before Conflict is returned.
func (s *Store) RedeemCode(ctx context.Context, code store.Hash, g store.Grant, tokens store.Tokens, _ time.Time) error {
	tokens = cloneTokens(tokens)
	type found struct {
		ended bool
		grant []byte
	}
	spent, err := write(ctx, s, func(t *tx) (spent, err error) {
		app := t.lockApp(g.App)
		c, there, err := row(t, func(r pgx.CollectableRow) (c found, err error) {
			err = r.Scan(&c.ended, &c.grant)
			return c, err
		}, "SELECT ended, grant_id FROM codes WHERE hash = $1 FOR UPDATE", code[:])
		switch {
		case err != nil:
			return nil, err
		case !there:
			return nil, noHash("authorization code")
		case c.grant != nil:
			spent = liked.Errorf(liked.Conflict, "the authorization code was redeemed before; what it gave is revoked")
			return spent, t.revoke(s, store.GrantID(c.grant))
		case c.ended:
			return nil, liked.Errorf(liked.NotFound, "the consent behind the authorization code was taken back")
		}
		t.exec("UPDATE codes SET grant_id = $2 WHERE hash = $1", code[:], g.ID[:])
		if err := t.consent(s, &g); err != nil {
			return nil, err
		}
		return nil, t.addGrant(app, &g, &tokens)
	})
	return cmp.Or(grantTaken(err), spent)
}

// consent makes g the last grant of its user and app that a code made. The one before loses its refresh token, and ends if no
// access token is left.
func (t *tx) consent(s *Store, g *store.Grant) error {
	earlier, _, err := row(t, pgx.RowTo[[]byte], `INSERT INTO consents (user_id, app, grant_id) VALUES ($1, $2, $3)
		ON CONFLICT (user_id, app) DO UPDATE SET earlier = consents.grant_id, grant_id = excluded.grant_id RETURNING earlier`,
		g.User, g.App, g.ID[:])
	if err != nil || earlier == nil {
		return err
	}
	t.lockGrant(earlier)
	t.exec("DELETE FROM tokens WHERE grant_id = $1 AND kind = $2 AND spent = $3", earlier, refreshToken, never)
	used, _, err := row(t, pgx.RowTo[bool], "SELECT EXISTS (SELECT FROM tokens WHERE grant_id = $1 AND kind = $2)", earlier, accessToken)
	if err != nil || used {
		return err
	}
	return t.revoke(s, store.GrantID(earlier))
}

// lockGrant keeps the grant's tokens as they are until the transaction ends.
func (t *tx) lockGrant(id []byte) {
	t.queue("SELECT FROM grants WHERE grant_id = $1 FOR NO KEY UPDATE", id)
}

// appEra is what a new grant of an app depends on.
type appEra struct {
	era  int64
	gone bool
}

// lockApp has the app stay as it is for grants, and reads that with the next trip. An app that never was is one of era 0.
func (t *tx) lockApp(id liked.AppID) *appEra {
	a := new(appEra)
	t.queue("SELECT era, deleted FROM apps WHERE app = $1 FOR KEY SHARE", id).Query(func(r pgx.Rows) error {
		for r.Next() {
			if err := r.Scan(&a.era, &a.gone); err != nil {
				return err
			}
		}
		return r.Err()
	})
	return a
}

// openGrant adds the grant. The app is locked. An ended grant's id is free once it is swept.
func (t *tx) openGrant(app *appEra, g *store.Grant) error {
	if err := t.send(); err != nil {
		return err
	}
	if app.gone {
		return noSuch("app", g.App)
	}
	t.exec(`INSERT INTO grants (grant_id, app, user_id, oauth1, access, scopes, created_at, era) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		g.ID[:], g.App, g.User, g.OAuth1, g.Access, g.Scopes, micros(g.CreatedAt), app.era)
	return nil
}

func (t *tx) addGrant(app *appEra, g *store.Grant, tokens *store.Tokens) error {
	if err := t.openGrant(app, g); err != nil {
		return err
	}
	t.addTokens(g.ID, tokens)
	return nil
}

func (t *tx) addTokens(id store.GrantID, tokens *store.Tokens) {
	a := tokens.Access
	t.addToken(id, accessToken, a.Token, micros(a.Expires), never, nil, 0)
	if r := tokens.Refresh; r != nil {
		t.addToken(id, refreshToken, r.Token, never, micros(r.Spent), nil, 0)
	}
}

func (t *tx) addToken(id store.GrantID, kind int, hash store.Hash, expires, spent int64, sealed []byte, access liked.Access) {
	t.exec("INSERT INTO tokens (hash, kind, grant_id, expires, spent, sealed, access) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		hash[:], kind, id[:], expires, spent, notNil(sealed), access)
}

// grantTaken is err, or the error that tells that the id of a new grant, or the hash of a token, is in use.
func grantTaken(err error) error {
	return hashTaken(hashTaken(err, "grants_pkey", "grant"), "tokens_pkey", "token")
}

// cloneTokens returns tokens that share nothing with the caller's.
func cloneTokens(t store.Tokens) store.Tokens {
	if t.Refresh != nil {
		refresh := *t.Refresh
		t.Refresh = &refresh
	}
	return t
}

func (s *Store) AddGrant(ctx context.Context, g store.Grant, tokens store.Tokens) error {
	tokens = cloneTokens(tokens)
	return grantTaken(s.update(ctx, func(t *tx) error { return t.addGrant(t.lockApp(g.App), &g, &tokens) }))
}

const (
	grantColumns = "g.grant_id, g.app, g.user_id, g.oauth1, g.access, g.scopes, g.created_at"
	// livingGrants joins grants g that have not ended. An app that never was is one of era 0.
	livingGrants = " LEFT JOIN apps a ON a.app = g.app WHERE NOT g.ended AND g.era = coalesce(a.era, 0) "
	livingToken  = "SELECT t.expires, t.spent, t.sealed, t.access, " + grantColumns +
		" FROM tokens t JOIN grants g ON g.grant_id = t.grant_id" + livingGrants + "AND t.hash = $1 AND t.kind = $2"
)

// scanGrant scans grantColumns, and what comes before them into also.
func scanGrant(r pgx.CollectableRow, also ...any) (g store.Grant, err error) {
	var created int64
	err = r.Scan(append(also, fixed(g.ID[:]), &g.App, &g.User, &g.OAuth1, &g.Access, &g.Scopes, &created)...)
	g.CreatedAt = timeOf(created)
	return g, err
}

// token is a row of tokens, with its grant.
type token struct {
	expires, spent int64
	sealed         []byte
	access         liked.Access
	grant          store.Grant
}

func aToken(r pgx.CollectableRow) (t token, err error) {
	t.grant, err = scanGrant(r, &t.expires, &t.spent, &t.sealed, &t.access)
	return t, err
}

func (s *Store) token(ctx context.Context, kind int, hash store.Hash) (token, error) {
	return first(ctx, s, noHash(kinds[kind]), aToken, livingToken, hash[:], kind)
}

func (s *Store) AccessToken(ctx context.Context, hash store.Hash) (store.AccessToken, store.Grant, error) {
	t, err := s.token(ctx, accessToken, hash)
	return store.AccessToken{Token: hash, Expires: timeOf(t.expires)}, t.grant, err
}

func (s *Store) RefreshToken(ctx context.Context, hash store.Hash) (store.RefreshToken, store.Grant, error) {
	t, err := s.token(ctx, refreshToken, hash)
	return store.RefreshToken{Token: hash, Spent: timeOf(t.spent)}, t.grant, err
}

func (s *Store) OAuth1Token(ctx context.Context, hash store.Hash) (store.OAuth1Token, store.Grant, error) {
	t, err := s.token(ctx, oauth1Token, hash)
	return store.OAuth1Token{Token: hash, SealedSecret: orNil(t.sealed), Access: t.access}, t.grant, err
}

// RotateRefreshToken revokes in the transaction that finds a replay, which is committed before Conflict is returned.
func (s *Store) RotateRefreshToken(ctx context.Context, hash store.Hash, tokens store.Tokens, at time.Time, grace time.Duration) error {
	tokens = cloneTokens(tokens)
	spent, err := write(ctx, s, func(t *tx) (spent, err error) {
		id, there, err := row(t, pgx.RowTo[[]byte], "SELECT grant_id FROM tokens WHERE hash = $1", hash[:])
		if err != nil || !there {
			return nil, cmp.Or(err, noHash(kinds[refreshToken]))
		}
		t.lockGrant(id)
		old, living, err := row(t, aToken, livingToken, hash[:], refreshToken)
		switch when := timeOf(old.spent); {
		case err != nil:
			return nil, err
		case !living:
			return nil, noHash(kinds[refreshToken])
		case old.spent != never && at.Sub(when) > grace:
			spent = liked.Errorf(liked.Conflict, "the refresh token was spent long before; grant %x is revoked", old.grant.ID)
			return spent, t.revoke(s, old.grant.ID)
		case old.spent != never:
			return nil, liked.Errorf(liked.Conflict, "the refresh token was spent a moment before")
		}
		t.exec("UPDATE tokens SET spent = $2 WHERE hash = $1", hash[:], micros(at))
		t.addTokens(old.grant.ID, &tokens)
		return nil, nil
	})
	return cmp.Or(grantTaken(err), spent)
}

func (s *Store) RevokeGrant(ctx context.Context, id store.GrantID) error {
	return s.update(ctx, func(t *tx) error { return t.revoke(s, id) })
}

// revoke ends a grant, if it exists, and so its tokens, which Sweep removes, however many there are.
func (t *tx) revoke(s *Store, id store.GrantID) error {
	ended := false
	t.exec("UPDATE grants SET ended = true WHERE grant_id = $1 AND NOT ended", id[:]).Exec(changed(&ended))
	err := t.send()
	if err == nil && ended {
		t.principals(s, 0, 0, id)
	}
	return err
}

func (s *Store) Withdraw(ctx context.Context, user liked.UserID, app liked.AppID) error {
	return s.update(ctx, func(t *tx) error {
		t.takeBack(user, app) // first: of what is being redeemed, the grants are there then
		t.queue("SELECT FROM grants WHERE user_id = $1 AND app = $2 AND NOT ended ORDER BY grant_id FOR NO KEY UPDATE", user, app)
		t.exec("UPDATE grants SET ended = true WHERE user_id = $1 AND app = $2 AND NOT ended", user, app)
		t.principals(s, 0, user, store.GrantID{})
		return nil
	})
}

// takeBack ends codes and approved request tokens of the user (zero: of all users) for the app (zero: for all apps).
func (t *tx) takeBack(user liked.UserID, app liked.AppID) {
	of, who := "user_id = $1", []any{user}
	switch {
	case user == 0:
		of, who = "app = $1 AND user_id > 0", []any{app}
	case app != 0:
		of, who = "user_id = $1 AND app = $2", []any{user, app}
	}
	for _, table := range []string{"codes", "request_tokens"} {
		t.queue("SELECT FROM "+table+" WHERE "+of+" AND NOT ended ORDER BY hash FOR NO KEY UPDATE", who...)
		t.exec("UPDATE "+table+" SET ended = true WHERE "+of+" AND NOT ended", who...)
	}
}

// ExpireTokens is one step.
func (s *Store) ExpireTokens(ctx context.Context, id store.GrantID, at time.Time) error {
	return s.update(ctx, func(t *tx) error {
		t.lockGrant(id[:])
		any := false
		t.exec("UPDATE tokens SET expires = $3 WHERE grant_id = $1 AND kind = $2 AND expires > $3", id[:], accessToken, micros(at)).
			Exec(changed(&any))
		err := t.send()
		if err == nil && any {
			t.principals(s, 0, 0, id)
		}
		return err
	})
}

func (s *Store) ExpireRefreshToken(ctx context.Context, id store.GrantID) error {
	return s.update(ctx, func(t *tx) error {
		t.lockGrant(id[:])
		t.exec("DELETE FROM tokens WHERE grant_id = $1 AND kind = $2 AND spent = $3", id[:], refreshToken, never)
		return nil
	})
}

func (s *Store) ExpireCodes(ctx context.Context, code store.Hash, user liked.UserID, app liked.AppID, at time.Time) error {
	var one []byte
	if code != (store.Hash{}) {
		one = code[:]
	}
	return s.update(ctx, func(t *tx) error {
		t.exec(`UPDATE codes SET expires = $4 WHERE ($1::bytea IS NULL OR hash = $1) AND ($2::bigint = 0 OR user_id = $2)
			AND ($3::bigint = 0 OR app = $3) AND expires > $4`, one, user, app, micros(at))
		return nil
	})
}

func (s *Store) GrantsOf(ctx context.Context, user liked.UserID) ([]store.Grant, error) {
	return list(ctx, s, func(r pgx.CollectableRow) (store.Grant, error) { return scanGrant(r) },
		"SELECT "+grantColumns+" FROM grants g"+livingGrants+"AND g.user_id = $1 ORDER BY g.created_at, g.grant_id", user)
}

func (s *Store) AddRequestToken(ctx context.Context, r store.RequestToken) error {
	if err := valid.Texts("a request token of app", r.App, r.Callback); err != nil {
		return err
	}
	r.SealedSecret = bytes.Clone(r.SealedSecret)
	err := s.update(ctx, func(t *tx) error {
		t.exec(`INSERT INTO request_tokens (hash, sealed, app, access, callback, expires, user_id, verifier)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, r.Token[:], notNil(r.SealedSecret), r.App, r.Access, r.Callback, micros(r.Expires), r.User,
			r.Verifier[:])
		return nil
	})
	return hashTaken(err, "request_tokens_pkey", "request token")
}

func (s *Store) RequestToken(ctx context.Context, hash store.Hash) (store.RequestToken, error) {
	return first(ctx, s, noHash("request token"), func(row pgx.CollectableRow) (store.RequestToken, error) {
		r := store.RequestToken{Token: hash}
		var expires int64
		err := row.Scan(&r.SealedSecret, &r.App, &r.Access, &r.Callback, &expires, &r.User, fixed(r.Verifier[:]))
		r.SealedSecret, r.Expires = orNil(r.SealedSecret), timeOf(expires)
		return r, err
	}, "SELECT sealed, app, access, callback, expires, user_id, verifier FROM request_tokens WHERE hash = $1", hash[:])
}

func (s *Store) ApproveRequestToken(ctx context.Context, hash store.Hash, user liked.UserID, verifier store.Hash) error {
	return s.update(ctx, func(t *tx) error {
		approver, there, err := row(t, pgx.RowTo[liked.UserID], "SELECT user_id FROM request_tokens WHERE hash = $1 FOR UPDATE", hash[:])
		switch {
		case err != nil:
			return err
		case !there:
			return noHash("request token")
		case approver != 0:
			return liked.Errorf(liked.Conflict, "the request token was approved before")
		}
		t.exec("UPDATE request_tokens SET user_id = $2, verifier = $3 WHERE hash = $1", hash[:], user, verifier[:])
		return nil
	})
}

func (s *Store) RedeemRequestToken(ctx context.Context, hash store.Hash, g store.Grant, token store.OAuth1Token) error {
	token.SealedSecret = bytes.Clone(token.SealedSecret)
	return grantTaken(s.update(ctx, func(t *tx) error {
		app := t.lockApp(g.App)
		ended, there, err := row(t, pgx.RowTo[bool], "SELECT ended FROM request_tokens WHERE hash = $1 FOR UPDATE", hash[:])
		switch {
		case err != nil:
			return err
		case !there:
			return noHash("request token")
		case ended:
			return liked.Errorf(liked.NotFound, "the consent behind the request token was taken back")
		}
		t.exec("DELETE FROM request_tokens WHERE hash = $1", hash[:])
		return t.addOAuth1(app, &g, &token)
	}))
}

func (s *Store) AddOAuth1Token(ctx context.Context, g store.Grant, token store.OAuth1Token) error {
	token.SealedSecret = bytes.Clone(token.SealedSecret)
	return grantTaken(s.update(ctx, func(t *tx) error { return t.addOAuth1(t.lockApp(g.App), &g, &token) }))
}

func (t *tx) addOAuth1(app *appEra, g *store.Grant, token *store.OAuth1Token) error {
	if err := t.openGrant(app, g); err != nil {
		return err
	}
	t.addToken(g.ID, oauth1Token, token.Token, never, never, token.SealedSecret, token.Access)
	return nil
}

func (s *Store) AddSession(ctx context.Context, session store.Session) error {
	err := s.update(ctx, func(t *tx) error {
		t.exec("INSERT INTO sessions (hash, user_id, expires) VALUES ($1, $2, $3)", session.ID[:], session.User, micros(session.Expires))
		return nil
	})
	return hashTaken(err, "sessions_pkey", "session")
}

func (s *Store) Session(ctx context.Context, id store.Hash) (store.Session, error) {
	return first(ctx, s, noHash("session"), func(r pgx.CollectableRow) (store.Session, error) {
		session := store.Session{ID: id}
		var expires int64
		err := r.Scan(&session.User, &expires)
		session.Expires = timeOf(expires)
		return session, err
	}, "SELECT user_id, expires FROM sessions WHERE hash = $1", id[:])
}

func (s *Store) DeleteSession(ctx context.Context, id store.Hash) error {
	return s.update(ctx, func(t *tx) error {
		t.exec("DELETE FROM sessions WHERE hash = $1", id[:])
		return nil
	})
}
