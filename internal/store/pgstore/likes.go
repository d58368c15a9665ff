package pgstore

import (
	"context"
	"time"

	"liked"
	"liked/internal/store"
)

func (*Store) Liked(ctx context.Context, user liked.UserID, posts []liked.PostID) ([]bool, error) {
	panic("not built")
}

func (*Store) LikedPosts(ctx context.Context, viewer liked.UserID, user liked.UserID, from store.Cursor,
	max int) (store.Page[liked.Post], error) {
	panic("not built")
}

func (*Store) LikingUsers(ctx context.Context, viewer liked.UserID, post liked.PostID, from store.Cursor,
	max int) (store.Page[liked.User], error) {
	panic("not built")
}

func (*Store) SetLike(ctx context.Context, user liked.UserID, post liked.PostID, on bool, at time.Time) (changed bool, err error) {
	panic("not built")
}
