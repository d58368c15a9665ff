package webhook

import (
	"context"

	"liked"
	"liked/internal/store"
)

// MaxRemembered is the most users and subscriptions that are remembered.
const MaxRemembered = maxKnown

// Remember asks for the subscriptions about n users, and returns how many users and subscriptions are remembered then.
func Remember(ctx context.Context, s store.Store, n int) (remembered int, err error) {
	c := subscribers{store: s}
	for id := 1; id <= n; id += 100 {
		users := []liked.UserID{1}
		for i := range 100 {
			users = append(users, liked.UserID(id+i))
		}
		if _, err := c.about(ctx, users); err != nil {
			return 0, err
		}
	}
	for _, s := range c.known {
		remembered += 1 + len(s.subs)
	}
	return remembered, nil
}
