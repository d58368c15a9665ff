package pebblestore

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
	"liked/internal/store/valid"
)

func (s *Store) SealKey(ctx context.Context, name string) (kept string, err error) {
	return s.sealKey(ctx, name, false)
}

func (s *Store) SetSealKey(ctx context.Context, name string) error {
	_, err := s.sealKey(ctx, name, true)
	return err
}

func (s *Store) sealKey(ctx context.Context, name string, replace bool) (kept string, err error) {
	if err := valid.Texts("the name of the seal key of", s.dir, name); err != nil {
		return "", err
	}
	return update(ctx, s, func(t *tx) (string, error) {
		kept, ok, err := read(t, sealKeyKey, clone)
		if err == nil && (!ok || replace) {
			t.set(sealKeyKey, []byte(name))
			return name, nil
		}
		return string(kept), err
	})
}

func (s *Store) SetKnownSeed(ctx context.Context) error {
	return s.update(ctx, func(t *tx) error {
		t.set(knownSeedKey, nil)
		return nil
	})
}

func (s *Store) KnownSeed(ctx context.Context) (bool, error) {
	return view(ctx, s, func(r pebble.Reader) (bool, error) {
		_, known, err := read(r, knownSeedKey, clone)
		return known, err
	})
}

func (s *Store) SetPassword(ctx context.Context, user liked.UserID, encoded string) error {
	if err := valid.Texts("the password of user", user, encoded); err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		t.set(passwordKey(user), []byte(encoded))
		if err := userRow(user).need(t); err != nil {
			return err
		}
		_, err := t.takeBack(user, 0)
		return err
	})
}

func (s *Store) Password(ctx context.Context, user liked.UserID) (string, error) {
	return view(ctx, s, func(r pebble.Reader) (string, error) {
		b, ok, err := read(r, passwordKey(user), clone)
		if err == nil && !ok {
			err = noSuch("password of user", user)
		}
		return string(b), err
	})
}

// put adds a record under a new hash, and its expiry.
func (w row[T]) put(t *tx, v *T, expires time.Time) error {
	w.set(t, v)
	if !expires.IsZero() {
		t.set(expiryKey(expires, w.key), nil)
	}
	return w.free(t)
}

func (w row[T]) drop(t *tx, expires time.Time) {
	t.delete(w.key)
	t.delete(expiryKey(expires, w.key))
}

var kindNames = map[kind]string{kindAccess: "access token", kindOAuth1: "OAuth 1.0a access token", kindRefresh: "refresh token",
	kindCode: "authorization code", kindRequest: "request token", kindSession: "session"}

func (s *Store) AddCode(ctx context.Context, c store.Code) error {
	if err := valid.Texts("a code of app", c.App, c.RedirectURI, c.Challenge, c.ChallengeMethod); err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		taken, err := t.taken(c.User, c.App)
		if err != nil {
			return err
		}
		return codeRow(c.Code).put(t, &code{Code: c, taken: taken}, c.Expires)
	})
}

func (s *Store) Code(ctx context.Context, h store.Hash) (store.Code, error) {
	c, err := codeRow(h).get(ctx, s)
	return c.Code, err
}

func (s *Store) ExpireCodes(ctx context.Context, h store.Hash, user liked.UserID, app liked.AppID, at time.Time) error {
	meant := func(c *code) bool {
		return (h == store.Hash{} || c.Code.Code == h) && (user == 0 || c.User == user) && (app == 0 || c.App == app) && c.Expires.After(at)
	}
	prefix := []byte{tagByHash, byte(kindCode)}
	return s.inSteps(ctx, func(take func([]byte) error) error {
		return scan(s.db, prefix, nil, func(key, _ []byte) (bool, error) { return true, take(key) })
	}, func(t *tx, keys [][]byte) error {
		for _, key := range keys {
			w := codeRow(store.Hash(key[len(prefix):]))
			c, ok, err := w.read(t)
			if err != nil {
				return err
			}
			if ok && meant(&c) {
				t.delete(expiryKey(c.Expires, w.key))
				t.set(expiryKey(at, w.key), nil)
				c.Expires = at
				if err := w.replace(t, &c); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (s *Store) RedeemCode(ctx context.Context, h store.Hash, g store.Grant, tokens store.Tokens, _ time.Time) error {
	tokens = own(tokens)
	spent, err := update(ctx, s, func(t *tx) (spent, err error) {
		c, err := codeRow(h).find(t)
		if err != nil {
			return nil, err
		}
		if c.Spent {
			spent = liked.Errorf(liked.Conflict, "the authorization code was redeemed before; what it gave is revoked")
			return spent, t.revoke(c.grant)
		}
		if err := t.stands("authorization code", c.taken, c.User, c.App); err != nil {
			return nil, err
		}
		c.Spent, c.grant = true, g.ID
		if err := cmp.Or(codeRow(h).replace(t, &c), t.consent(&g)); err != nil {
			return nil, err
		}
		return nil, t.addGrant(&g, &tokens)
	})
	return cmp.Or(err, spent)
}

func (s *Store) AddGrant(ctx context.Context, g store.Grant, tokens store.Tokens) error {
	tokens = own(tokens)
	return s.update(ctx, func(t *tx) error { return t.addGrant(&g, &tokens) })
}

// consent makes g the last grant of its user and app that a code made. The one before loses its refresh token, and ends if
// no access token is left.
func (t *tx) consent(g *store.Grant) error {
	last, ok, err := read(t, consentKey(g), clone)
	if err != nil {
		return err
	}
	if ok {
		id := store.GrantID(last)
		if err := t.dropRefresh(id); err != nil {
			return err
		}
		if _, ok, err = t.firstToken(id, kindAccess); err == nil && !ok {
			err = t.revoke(id)
		}
		if err != nil {
			return err
		}
	}
	t.set(consentKey(g), g.ID[:])
	return nil
}

// firstToken returns a token of the grant; it may be of a grant that has ended.
func (t *tx) firstToken(id store.GrantID, k kind) (h store.Hash, ok bool, err error) {
	err = scan(t, append(tokensOf(id), byte(k)), nil, func(key, _ []byte) (bool, error) {
		_, _, h = splitTokenOfKey(key)
		ok = true
		return false, nil
	})
	return h, ok, err
}

// own returns tokens that share nothing with the caller's.
func own(t store.Tokens) store.Tokens {
	if t.Refresh != nil {
		refresh := *t.Refresh
		t.Refresh = &refresh
	}
	return t
}

func (t *tx) addGrant(g *store.Grant, tokens *store.Tokens) error {
	if err := t.openGrant(g); err != nil {
		return err
	}
	return t.addTokens(g.ID, tokens)
}

// openGrant adds a grant. An ended grant's id is free once all its tokens are removed.
func (t *tx) openGrant(g *store.Grant) error {
	taken, gone, err := takenBack(t, g.User, g.App)
	if err == nil && gone {
		err = noSuch("app", g.App)
	}
	if err != nil {
		return err
	}
	grantRow(g.ID).set(t, &grant{*g, taken})
	t.set(grantOfKey(g.User, g.ID), nil)
	if err := grantRow(g.ID).free(t); err != nil {
		return err
	}
	return row[struct{}]{key: endedKey(g.ID), what: "a grant that has ended"}.free(t)
}

func (t *tx) addTokens(id store.GrantID, tokens *store.Tokens) error {
	a := tokens.Access
	if err := tokenRow(kindAccess, a.Token).put(t, &token{grant: id, time: a.Expires}, a.Expires); err != nil {
		return err
	}
	t.set(tokenOfKey(id, kindAccess, a.Token), nil)
	if r := tokens.Refresh; r != nil {
		if err := tokenRow(kindRefresh, r.Token).put(t, &token{grant: id, time: r.Spent}, time.Time{}); err != nil {
			return err
		}
		t.set(tokenOfKey(id, kindRefresh, r.Token), nil)
	}
	return nil
}

func living(r pebble.Reader, k kind, h store.Hash) (tok token, g store.Grant, err error) {
	if tok, err = tokenRow(k, h).find(r); err != nil {
		return tok, g, err
	}
	kept, err := grantRow(tok.grant).find(r)
	if err == nil {
		var alive bool
		if alive, err = kept.alive(r); err == nil && !alive {
			err = noSuch(grantRow(tok.grant))
		}
	}
	return tok, kept.Grant, err
}

func (s *Store) living(ctx context.Context, k kind, h store.Hash) (token, store.Grant, error) {
	var g store.Grant
	tok, err := view(ctx, s, func(r pebble.Reader) (tok token, err error) {
		tok, g, err = living(r, k, h)
		return tok, err
	})
	return tok, g, err
}

func (s *Store) AccessToken(ctx context.Context, h store.Hash) (store.AccessToken, store.Grant, error) {
	tok, g, err := s.living(ctx, kindAccess, h)
	return store.AccessToken{Token: h, Expires: tok.time}, g, err
}

func (s *Store) RefreshToken(ctx context.Context, h store.Hash) (store.RefreshToken, store.Grant, error) {
	tok, g, err := s.living(ctx, kindRefresh, h)
	return store.RefreshToken{Token: h, Spent: tok.time}, g, err
}

func (s *Store) OAuth1Token(ctx context.Context, h store.Hash) (store.OAuth1Token, store.Grant, error) {
	tok, g, err := s.living(ctx, kindOAuth1, h)
	return store.OAuth1Token{Token: h, SealedSecret: tok.sealed, Access: tok.access}, g, err
}

func (s *Store) RotateRefreshToken(ctx context.Context, h store.Hash, tokens store.Tokens, at time.Time, grace time.Duration) error {
	tokens = own(tokens)
	spent, err := update(ctx, s, func(t *tx) (spent, err error) {
		tok, g, err := living(t, kindRefresh, h)
		switch {
		case err != nil:
			return nil, err
		case !tok.time.IsZero() && at.Sub(tok.time) > grace:
			spent = liked.Errorf(liked.Conflict, "the refresh token was spent long before; grant %x is revoked", g.ID)
			return spent, t.revoke(g.ID)
		case !tok.time.IsZero():
			return nil, liked.Errorf(liked.Conflict, "the refresh token was spent a moment before")
		}
		tok.time = at
		if err := tokenRow(kindRefresh, h).replace(t, &tok); err != nil {
			return nil, err
		}
		t.delete(tokenOfKey(g.ID, kindRefresh, h))
		t.set(tokenOfKey(g.ID, kindSpent, h), nil)
		return nil, t.addTokens(g.ID, &tokens)
	})
	return cmp.Or(err, spent)
}

func (s *Store) RevokeGrant(ctx context.Context, id store.GrantID) error {
	return s.update(ctx, func(t *tx) error { return t.revoke(id) })
}

// revoke ends a grant, if it exists, and so its tokens: none is valid without a grant. Sweep removes them, however
// many.
func (t *tx) revoke(id store.GrantID) error {
	g, ok, err := grantRow(id).read(t)
	if err != nil || !ok {
		return err
	}
	t.delete(grantKey(id))
	t.delete(grantOfKey(g.User, id))
	t.set(endedKey(id), nil)
	t.made = append(t.made, grantMark(id))
	last, _, err := read(t, consentKey(&g.Grant), clone)
	if err == nil && bytes.Equal(last, id[:]) {
		t.delete(consentKey(&g.Grant))
	}
	return err
}

func (s *Store) ExpireTokens(ctx context.Context, id store.GrantID, at time.Time) error {
	return s.inSteps(ctx, func(take func([]byte) error) error {
		all := append(tokensOf(id), byte(kindAccess))
		return scan(s.db, all, nil, func(key, _ []byte) (bool, error) { return true, take(key) })
	}, func(t *tx, keys [][]byte) error {
		t.made = append(t.made, grantMark(id))
		for _, key := range keys {
			_, k, h := splitTokenOfKey(key)
			w := tokenRow(k, h)
			tok, ok, err := w.read(t)
			if err != nil {
				return err
			}
			if ok && tok.time.After(at) {
				t.delete(expiryKey(tok.time, w.key))
				t.set(expiryKey(at, w.key), nil)
				tok.time = at
				if err := w.replace(t, &tok); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (s *Store) ExpireRefreshToken(ctx context.Context, id store.GrantID) error {
	return s.update(ctx, func(t *tx) error { return t.dropRefresh(id) })
}

// dropRefresh removes the grant's refresh token that is not spent: it has one at most.
func (t *tx) dropRefresh(id store.GrantID) error {
	refresh, ok, err := t.firstToken(id, kindRefresh)
	if err == nil && ok {
		t.delete(hashKey(kindRefresh, refresh))
		t.delete(tokenOfKey(id, kindRefresh, refresh))
	}
	return err
}

func (s *Store) GrantsOf(ctx context.Context, user liked.UserID) ([]store.Grant, error) {
	grants, err := view(ctx, s, func(r pebble.Reader) (grants []store.Grant, err error) {
		err = scan(r, num(nil, tagGrantOf, uint64(user)), nil, func(key, _ []byte) (bool, error) {
			_, id := splitGrantOfKey(key)
			g, err := grantRow(id).find(r)
			if err != nil {
				return false, err
			}
			alive, err := g.alive(r)
			if alive {
				grants = append(grants, g.Grant)
			}
			return true, err
		})
		return grants, err
	})
	slices.SortFunc(grants, func(a, b store.Grant) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return grants, err
}

func (s *Store) AddRequestToken(ctx context.Context, rt store.RequestToken) error {
	if err := valid.Texts("a request token of app", rt.App, rt.Callback); err != nil {
		return err
	}
	rt.SealedSecret = bytes.Clone(rt.SealedSecret)
	return s.update(ctx, func(t *tx) error {
		return requestTokenRow(rt.Token).put(t, &requestToken{RequestToken: rt}, rt.Expires)
	})
}

func (s *Store) RequestToken(ctx context.Context, h store.Hash) (store.RequestToken, error) {
	rt, err := requestTokenRow(h).get(ctx, s)
	return rt.RequestToken, err
}

func (s *Store) ApproveRequestToken(ctx context.Context, h store.Hash, user liked.UserID, verifier store.Hash) error {
	return s.update(ctx, func(t *tx) error {
		rt, err := requestTokenRow(h).find(t)
		if err != nil {
			return err
		}
		if rt.User != 0 {
			return liked.Errorf(liked.Conflict, "the request token was approved before")
		}
		rt.User, rt.Verifier = user, verifier
		if rt.taken, err = t.taken(user, rt.App); err != nil {
			return err
		}
		return requestTokenRow(h).replace(t, &rt)
	})
}

func (s *Store) RedeemRequestToken(ctx context.Context, h store.Hash, g store.Grant, tok store.OAuth1Token) error {
	tok.SealedSecret = bytes.Clone(tok.SealedSecret)
	return s.update(ctx, func(t *tx) error {
		rt, err := requestTokenRow(h).find(t)
		if err != nil {
			return err
		}
		if err := t.stands("request token", rt.taken, rt.User, rt.App); err != nil {
			return err
		}
		requestTokenRow(h).drop(t, rt.Expires)
		return t.addOAuth1(&g, &tok)
	})
}

func (s *Store) AddOAuth1Token(ctx context.Context, g store.Grant, tok store.OAuth1Token) error {
	tok.SealedSecret = bytes.Clone(tok.SealedSecret)
	return s.update(ctx, func(t *tx) error { return t.addOAuth1(&g, &tok) })
}

func (t *tx) addOAuth1(g *store.Grant, tok *store.OAuth1Token) error {
	if err := t.openGrant(g); err != nil {
		return err
	}
	t.set(tokenOfKey(g.ID, kindOAuth1, tok.Token), nil)
	return tokenRow(kindOAuth1, tok.Token).put(t, &token{grant: g.ID, sealed: tok.SealedSecret, access: tok.Access}, time.Time{})
}

func (s *Store) AddSession(ctx context.Context, session store.Session) error {
	return s.update(ctx, func(t *tx) error { return sessionRow(session.ID).put(t, &session, session.Expires) })
}

func (s *Store) Session(ctx context.Context, id store.Hash) (store.Session, error) {
	return sessionRow(id).get(ctx, s)
}

func (s *Store) DeleteSession(ctx context.Context, id store.Hash) error {
	return s.update(ctx, func(t *tx) error {
		session, ok, err := sessionRow(id).read(t)
		if err == nil && ok {
			sessionRow(id).drop(t, session.Expires)
		}
		return err
	})
}

func (s *Store) Sweep(ctx context.Context, now time.Time) error {
	err := s.inSteps(ctx, func(take func([]byte) error) error {
		to := num(nil, tagExpiry, uint64(max(now.UnixMilli(), 0)))
		return scanRange(s.db, []byte{tagExpiry}, to, func(key, _ []byte) (bool, error) { return true, take(key) })
	}, (*tx).sweepExpired)
	if err == nil {
		err = s.sweepTaken(ctx)
	}
	if err != nil {
		return err
	}
	return s.inSteps(ctx, func(take func([]byte) error) error {
		return scan(s.db, []byte{tagEnded}, nil, func(ended, _ []byte) (bool, error) {
			tokens := tokensOf(store.GrantID(ended[1:]))
			err := scan(s.db, tokens, nil, func(key, _ []byte) (bool, error) { return true, take(key) })
			if err == nil {
				err = take(ended)
			}
			return true, err
		})
	}, (*tx).sweepEnded)
}

// sweepExpired removes records by keys of expiryKey, and ends grants with none but spent refresh tokens.
func (t *tx) sweepExpired(keys [][]byte) error {
	swept := make(map[store.GrantID][]store.Hash) // access tokens by grant
	for _, key := range keys {
		if ok, err := exists(t, key); err != nil {
			return err
		} else if !ok {
			continue
		}
		k, h := splitExpiryKey(key)
		if k == kindAccess {
			tok, ok, err := tokenRow(k, h).read(t)
			if err != nil {
				return err
			}
			if ok {
				t.delete(tokenOfKey(tok.grant, k, h))
				swept[tok.grant] = append(swept[tok.grant], h)
			}
		}
		t.delete(hashKey(k, h))
		t.delete(key)
	}
	for id, gone := range swept {
		alive := false
		err := scan(t, tokensOf(id), nil, func(key, _ []byte) (bool, error) { // spent ones come last
			_, k, h := splitTokenOfKey(key)
			swept := k == kindAccess && slices.Contains(gone, h)
			alive = k != kindSpent && !swept
			return swept, nil
		})
		if err == nil && !alive {
			err = t.revoke(id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sweepEnded removes tokens of ended grants (keys of tokenOfKey) and keys of endedKey.
func (t *tx) sweepEnded(keys [][]byte) error {
	for _, key := range keys {
		t.delete(key)
		if key[0] == tagEnded {
			continue
		}
		_, k, h := splitTokenOfKey(key)
		switch k {
		case kindSpent:
			k = kindRefresh
		case kindAccess:
			tok, ok, err := tokenRow(k, h).read(t)
			if err != nil {
				return err
			}
			if ok {
				t.delete(expiryKey(tok.time, hashKey(k, h)))
			}
		}
		t.delete(hashKey(k, h))
	}
	return nil
}
