package webhook

import (
	"context"

	"liked"
	"liked/internal/store"
)

// MaxRemembered is the most users and subscriptions that are remembered.
const MaxRemembered = 2 * maxYoung

// Remember asks for the subscriptions about n users, and returns how many users and subscriptions are remembered then.
func Remember(ctx context.Context, s store.Store, n int) (remembered int, err error) {
	c := subscribers{store: s}
	for id := 1; id <= n; id += 100 {
		var entries []liked.LikeEvent
		for i := range 100 {
			entries = append(entries, liked.LikeEvent{On: true, User: liked.UserID(id + i), Author: 1})
		}
		if _, err := c.of(ctx, entries); err != nil {
			return 0, err
		}
	}
	for _, known := range []map[liked.UserID]subscribed{c.young, c.old} {
		for _, s := range known {
			remembered += 1 + len(s.subs)
		}
	}
	return remembered, nil
}
