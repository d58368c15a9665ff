package pgstore

import (
	"context"

	"liked"
)

func (*Store) LikeLog(ctx context.Context, partition int, after liked.Seq, max int) ([]liked.LikeEvent, error) {
	panic("not built")
}

func (*Store) LogEnds(ctx context.Context) (liked.Positions, error) { panic("not built") }
