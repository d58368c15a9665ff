package pebblestore

import (
	"strings"
	"unicode/utf8"

	"liked"
	"liked/internal/store"
)

// Invalid depends on the record alone, and is checked before queueing.

// texts returns nil if all engines can store the texts: UTF-8 without NUL.
func texts(what string, id any, all ...string) error {
	for _, s := range all {
		if !utf8.ValidString(s) || strings.Contains(s, "\x00") {
			return liked.Errorf(liked.Invalid, "%s %v has text that is not UTF-8, or holds a NUL", what, id)
		}
	}
	return nil
}

func validPage(max int) error {
	if max < 1 {
		return liked.Errorf(liked.Invalid, "a page of %d", max)
	}
	return nil
}

func validUser(u *liked.User) error {
	switch n := utf8.RuneCountInString(u.Name); {
	case u.ID <= 0:
		return liked.Errorf(liked.Invalid, "the user id %d is not positive", int64(u.ID))
	case !liked.ValidUsername(u.Username):
		return liked.Errorf(liked.Invalid, "the username %q is not 1 to 15 of A-Z a-z 0-9 _", u.Username)
	case n < 1 || n > 50:
		return liked.Errorf(liked.Invalid, "the name of user %v has %d characters, not 1 to 50", u.ID, n)
	case u.State > liked.Deactivated:
		return liked.Errorf(liked.Invalid, "user %v has no known state", u.ID)
	case u.PinnedPost < 0:
		return liked.Errorf(liked.Invalid, "the post id %d is negative", int64(u.PinnedPost))
	}
	return texts("user", u.ID, u.Name, u.Description, u.Location, u.URL, u.ProfileImageURL)
}

// validName is apart from validUser: a user may keep a name from before this was refused.
func validName(u *liked.User) error {
	if i := strings.IndexFunc(u.Name, liked.BidiControl); i >= 0 {
		r, _ := utf8.DecodeRuneInString(u.Name[i:])
		return liked.Errorf(liked.Invalid, "the name of user %v has the bidirectional control %U, which makes it read as another", u.ID, r)
	}
	return nil
}

func validPost(p *liked.Post) error {
	if p.ID <= 0 {
		return liked.Errorf(liked.Invalid, "the post id %d is not positive", int64(p.ID))
	}
	return texts("post", p.ID, p.Text)
}

func validApp(a *store.App) error {
	switch {
	case a.ID <= 0:
		return liked.Errorf(liked.Invalid, "the app id %d is not positive", int64(a.ID))
	case min(len(a.ClientID), len(a.APIKey)) == 0 || max(len(a.ClientID), len(a.APIKey)) > 1000:
		return liked.Errorf(liked.Invalid, "app %v has no client id and API key of 1 to 1000 bytes", a.ID)
	case len(a.RedirectURIs) > 10:
		return liked.Errorf(liked.Invalid, "app %v has %d redirect URIs, more than 10", a.ID, len(a.RedirectURIs))
	case a.State > liked.AppSuspended || a.Tier > liked.SelfServe || a.Access > liked.ReadWriteDirectMessages:
		return liked.Errorf(liked.Invalid, "app %v has no known state, tier or access", a.ID)
	}
	return texts("app", a.ID, append([]string{a.Name, a.ClientID, a.APIKey}, a.RedirectURIs...)...)
}
