package pgstore

import (
	"context"

	"liked"
	"liked/internal/store"
)

func (*Store) AddDeadLetters(ctx context.Context, letters []store.DeadLetter, max int) (dropped int, err error) {
	panic("not built")
}

func (*Store) Advance(ctx context.Context, to map[liked.WebhookID]liked.Positions) error {
	panic("not built")
}

func (*Store) DeadLetters(ctx context.Context, id liked.WebhookID, after store.DeadLetter, max int) ([]store.DeadLetter, error) {
	panic("not built")
}

func (*Store) Progress(ctx context.Context, id liked.WebhookID) (store.Progress, error) {
	panic("not built")
}

func (*Store) RemoveDeadLetter(ctx context.Context, d store.DeadLetter) error { panic("not built") }
