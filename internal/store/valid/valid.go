// Package valid refuses records that no engine may keep. What it says depends on the record alone.
package valid

import (
	"strings"
	"time"
	"unicode/utf8"

	"liked"
	"liked/internal/store"
)

// Texts returns nil if all engines can store the texts: UTF-8 without NUL.
func Texts(what string, id any, all ...string) error {
	for _, s := range all {
		if !utf8.ValidString(s) || strings.Contains(s, "\x00") {
			return liked.Errorf(liked.Invalid, "%s %v has text that is not UTF-8, or holds a NUL", what, id)
		}
	}
	return nil
}

func Page(max int) error {
	if max < 1 {
		return liked.Errorf(liked.Invalid, "a page of %d", max)
	}
	return nil
}

func User(u *liked.User) error {
	switch n := utf8.RuneCountInString(u.Name); {
	case u.ID <= 0:
		return liked.Errorf(liked.Invalid, "the user id %d is not positive", int64(u.ID))
	case u.Username == "":
		return liked.Errorf(liked.Invalid, "enter a username")
	case !liked.ValidUsername(u.Username):
		return liked.Errorf(liked.Invalid, "the username %q is not 1 to 15 of A-Z a-z 0-9 _", u.Username)
	case n == 0:
		return liked.Errorf(liked.Invalid, "enter a name")
	case n > 50:
		return liked.Errorf(liked.Invalid, "the name has %d characters: use at most 50", n)
	case u.State > liked.Deactivated:
		return liked.Errorf(liked.Invalid, "user %v has no known state", u.ID)
	case u.PinnedPost < 0:
		return liked.Errorf(liked.Invalid, "the post id %d is negative", int64(u.PinnedPost))
	}
	return Texts("user", u.ID, u.Name, u.Description, u.Location, u.URL, u.ProfileImageURL)
}

// Name is apart from User: a user may keep a name from before this was refused.
func Name(u *liked.User) error {
	switch seen, hidden := liked.Seen(u.Name); {
	case seen != u.Name:
		return liked.Errorf(liked.Invalid, "the name of user %v has the character %U, which nobody sees: with it the name reads as another",
			u.ID, hidden)
	case strings.TrimSpace(seen) == "":
		return liked.Errorf(liked.Invalid, "the name of user %v is blank", u.ID)
	}
	return nil
}

func Post(p *liked.Post) error {
	if p.ID <= 0 {
		return liked.Errorf(liked.Invalid, "the post id %d is not positive", int64(p.ID))
	}
	return Texts("post", p.ID, p.Text)
}

// end is in 2109. Positions have 63 bits on every engine: after the last one that is given or imported there is room for all
// that follow.
const end = 1 << 42 // ms

// At refuses a time that no like can have.
func At(at time.Time) error {
	if at.UnixMilli() >= end {
		return liked.Errorf(liked.Invalid, "the time %v is too far ahead", at)
	}
	return nil
}

func Like(l *store.Like) error {
	if l.Seq == 0 || l.Seq >= end<<20 {
		return liked.Errorf(liked.Invalid, "the like of post %v by user %v has no time, or one too far ahead", l.Post, l.User)
	}
	return nil
}

func App(a *store.App) error {
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
	return Texts("app", a.ID, append([]string{a.Name, a.ClientID, a.APIKey}, a.RedirectURIs...)...)
}

func Webhook(w *liked.Webhook) error {
	switch {
	case w.ID <= 0 || w.App <= 0:
		return liked.Errorf(liked.Invalid, "the ids of webhook %d of app %d are not positive", int64(w.ID), int64(w.App))
	case w.URL == "" || len(w.URL) > 2048:
		return liked.Errorf(liked.Invalid, "webhook %v has no URL of 1 to 2048 bytes", w.ID)
	}
	return Texts("webhook", w.ID, w.URL, w.Why)
}

func Subscription(s *liked.Subscription) error {
	switch {
	case s.ID <= 0 || s.App <= 0 || s.User <= 0 || s.Viewer < 0 || s.Webhook < 0:
		return liked.Errorf(liked.Invalid, "the ids of subscription %d are not positive", int64(s.ID))
	case s.Direction > liked.Outbound || utf8.RuneCountInString(s.Tag) > 200:
		return liked.Errorf(liked.Invalid, "subscription %v has no known direction, or a tag of more than 200 characters", s.ID)
	}
	return Texts("subscription", s.ID, s.Tag)
}
