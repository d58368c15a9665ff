// Package sight is what every engine shows a viewer in the same way: why an author's posts are not seen, and where a page of
// likes begins and ends.
package sight

import (
	"slices"

	"liked"
	"liked/internal/store"
)

// Author is how a viewer sees an author's posts.
type Author int16

const (
	Visible Author = iota
	Hidden
	Blocks
	Protected
)

// Refusal returns the error for a viewer who sees the author so, nil for Visible. of is inserted after the author.
func (a Author) Refusal(viewer, author liked.UserID, of string) error {
	switch a {
	case Visible:
		return nil
	case Blocks:
		return liked.Errorf(liked.Forbidden, "user %v%s blocked user %v", author, of, viewer)
	case Protected:
		return liked.Errorf(liked.Forbidden, "user %v%s is protected and not followed by user %v", author, of, viewer)
	}
	return liked.Errorf(liked.NotFound, "user %v%s is gone or hidden", author, of)
}

// Page returns the page of the items, which were read from the cursor on in its direction. last is the position of the last
// row that was read, more whether there are rows behind it.
func Page[T any](items []T, from store.Cursor, last liked.Seq, more bool) (page store.Page[T]) {
	page.Items = items
	if from.Newer {
		slices.Reverse(page.Items)
		page.Older = store.Cursor{Seq: from.Seq}
		if more {
			page.Newer = store.Cursor{Seq: last + 1, Newer: true}
		}
		return page
	}
	if more {
		page.Older = store.Cursor{Seq: last}
	}
	if from.Seq != 0 {
		page.Newer = store.Cursor{Seq: from.Seq, Newer: true}
	}
	return page
}
