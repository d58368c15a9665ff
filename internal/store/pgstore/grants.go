package pgstore

import (
	"context"
	"time"

	"liked"
	"liked/internal/store"
)

func (*Store) AddCode(ctx context.Context, c store.Code) error { panic("not built") }

func (*Store) Code(ctx context.Context, code store.Hash) (store.Code, error) { panic("not built") }

func (*Store) RedeemCode(ctx context.Context, code store.Hash, g store.Grant, t store.Tokens, at time.Time) error {
	panic("not built")
}

func (*Store) AccessToken(ctx context.Context, token store.Hash) (store.AccessToken, store.Grant, error) {
	panic("not built")
}

func (*Store) AddGrant(ctx context.Context, g store.Grant, t store.Tokens) error {
	panic("not built")
}

func (*Store) AddOAuth1Token(ctx context.Context, g store.Grant, t store.OAuth1Token) error {
	panic("not built")
}

func (*Store) ExpireTokens(ctx context.Context, id store.GrantID, at time.Time) error {
	panic("not built")
}

func (*Store) GrantsOf(ctx context.Context, user liked.UserID) ([]store.Grant, error) {
	panic("not built")
}

func (*Store) OAuth1Token(ctx context.Context, token store.Hash) (store.OAuth1Token, store.Grant, error) {
	panic("not built")
}

func (*Store) RefreshToken(ctx context.Context, token store.Hash) (store.RefreshToken, store.Grant, error) {
	panic("not built")
}

func (*Store) RevokeGrant(ctx context.Context, id store.GrantID) error { panic("not built") }

func (*Store) RotateRefreshToken(ctx context.Context, token store.Hash, t store.Tokens, at time.Time, grace time.Duration) error {
	panic("not built")
}

func (*Store) Withdraw(ctx context.Context, user liked.UserID, app liked.AppID) error {
	panic("not built")
}

func (*Store) AddRequestToken(ctx context.Context, t store.RequestToken) error { panic("not built") }

func (*Store) ApproveRequestToken(ctx context.Context, token store.Hash, user liked.UserID, verifier store.Hash) error {
	panic("not built")
}

func (*Store) RedeemRequestToken(ctx context.Context, token store.Hash, g store.Grant, t store.OAuth1Token) error {
	panic("not built")
}

func (*Store) RequestToken(ctx context.Context, token store.Hash) (store.RequestToken, error) {
	panic("not built")
}

func (*Store) AddSession(ctx context.Context, s store.Session) error { panic("not built") }

func (*Store) DeleteSession(ctx context.Context, id store.Hash) error { panic("not built") }

func (*Store) Session(ctx context.Context, id store.Hash) (store.Session, error) {
	panic("not built")
}

func (*Store) Sweep(ctx context.Context, now time.Time) error { panic("not built") }
