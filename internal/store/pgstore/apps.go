package pgstore

import (
	"context"

	"liked"
	"liked/internal/store"
)

func (*Store) AddApp(ctx context.Context, app store.App) error { panic("not built") }

func (*Store) App(ctx context.Context, id liked.AppID) (store.App, error) { panic("not built") }

func (*Store) AppByAPIKey(ctx context.Context, key string) (store.App, error) { panic("not built") }

func (*Store) AppByBearer(ctx context.Context, bearer store.Hash) (store.App, error) {
	panic("not built")
}

func (*Store) AppByClientID(ctx context.Context, clientID string) (store.App, error) {
	panic("not built")
}

func (*Store) Apps(ctx context.Context) ([]liked.App, error) { panic("not built") }

func (*Store) DeleteApp(ctx context.Context, id liked.AppID) error { panic("not built") }

func (*Store) UpdateApp(ctx context.Context, id liked.AppID, change func(*store.App) error) error {
	panic("not built")
}

func (*Store) KnownSeed(ctx context.Context) (bool, error) { panic("not built") }

func (*Store) SealKey(ctx context.Context, name string) (kept string, err error) {
	panic("not built")
}

func (*Store) SetKnownSeed(ctx context.Context) error { panic("not built") }

func (*Store) SetSealKey(ctx context.Context, name string) error { panic("not built") }
