package pgstore

import (
	"context"

	"liked"
	"liked/internal/store"
)

func (*Store) AddPost(ctx context.Context, p liked.Post) error { panic("not built") }

func (*Store) DeletePost(ctx context.Context, by liked.UserID, id liked.PostID) error {
	panic("not built")
}

func (*Store) LatestPosts(ctx context.Context, max int) ([]liked.Post, error) { panic("not built") }

func (*Store) NewestPosts(ctx context.Context, viewer liked.UserID, users []liked.UserID) ([]liked.PostID, error) {
	panic("not built")
}

func (*Store) Post(ctx context.Context, viewer liked.UserID, id liked.PostID) (liked.Post, error) {
	panic("not built")
}

func (*Store) Posts(ctx context.Context, viewer liked.UserID, ids []liked.PostID) ([]store.Seen, error) {
	panic("not built")
}

func (*Store) PostsBy(ctx context.Context, author liked.UserID, before liked.PostID, max int) ([]liked.Post, error) {
	panic("not built")
}

func (*Store) Publish(ctx context.Context, p liked.Post) error { panic("not built") }
