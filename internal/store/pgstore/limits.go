package pgstore

import (
	"context"
	"time"

	"liked"
	"liked/internal/store"
)

func (*Store) GiveBack(ctx context.Context, now time.Time, operation string, app liked.AppID, user liked.UserID,
	rules []liked.RateRule) error {
	panic("not built")
}

func (*Store) Left(ctx context.Context, now time.Time, operation string, app liked.AppID, user liked.UserID,
	rules []liked.RateRule, states []liked.RateState) ([]liked.RateState, error) {
	panic("not built")
}

func (*Store) Take(ctx context.Context, now time.Time, operation string, app liked.AppID, user liked.UserID,
	rules []liked.RateRule, states []liked.RateState) (_ []liked.RateState, ok bool, err error) {
	panic("not built")
}

func (*Store) UseNonce(ctx context.Context, now time.Time, app liked.AppID, nonce store.Hash, until time.Time) (fresh bool, err error) {
	panic("not built")
}
