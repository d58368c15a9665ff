package pgstore

import (
	"context"

	"liked"
)

func (*Store) AddUser(ctx context.Context, u liked.User) error { panic("not built") }

func (*Store) UpdateUser(ctx context.Context, id liked.UserID, change func(*liked.User) error) error {
	panic("not built")
}

func (*Store) User(ctx context.Context, id liked.UserID) (liked.User, error) { panic("not built") }

func (*Store) UserByUsername(ctx context.Context, username string) (liked.User, error) {
	panic("not built")
}

func (*Store) Users(ctx context.Context, after liked.UserID, max int) ([]liked.User, error) {
	panic("not built")
}

func (*Store) UsersByID(ctx context.Context, ids []liked.UserID) ([]liked.User, error) {
	panic("not built")
}

func (*Store) UsersByUsername(ctx context.Context, usernames []string) ([]liked.User, error) {
	panic("not built")
}

func (*Store) UsersNamed(ctx context.Context, prefix string, after string, max int) ([]liked.User, error) {
	panic("not built")
}

func (*Store) Password(ctx context.Context, user liked.UserID) (encoded string, err error) {
	panic("not built")
}

func (*Store) SetPassword(ctx context.Context, user liked.UserID, encoded string) error {
	panic("not built")
}
