package pgstore

import (
	"context"

	"liked"
	"liked/internal/store"
)

func (*Store) Related(ctx context.Context, user liked.UserID, side store.Side, after liked.UserID, max int) ([]liked.User, error) {
	panic("not built")
}

func (*Store) Relations(ctx context.Context, viewer liked.UserID, users []liked.UserID) ([]store.Relation, error) {
	panic("not built")
}

func (*Store) SetBlock(ctx context.Context, blocker liked.UserID, blocked liked.UserID, on bool) (changed bool, err error) {
	panic("not built")
}

func (*Store) SetFollow(ctx context.Context, follower liked.UserID, followed liked.UserID, on bool) (changed bool, err error) {
	panic("not built")
}
