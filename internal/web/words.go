package web

import (
	_ "embed"
	"slices"
	"strings"

	"liked"
)

// right is something that an app may be allowed, in words for the user who is asked.
type right struct {
	scope  liked.Scope
	access int // OAuth 1.0a: least permission that grants it; 1 read, 2 read-write, 3 with direct messages, 0 none
	words  string
}

// rights is all that an app can be allowed, closest to likes first. OAuth 1.0a tokens do not expire, hence the access of
// offline.access.
var rights = func() (all []right) {
	for line := range strings.Lines(rightsText) {
		scope, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		access, words, _ := strings.Cut(rest, " ")
		s, err := liked.ParseScope(scope)
		if err != nil {
			panic(err)
		}
		all = append(all, right{s, int(access[0] - '0'), words})
	}
	return all
}()

//go:embed rights.txt
var rightsText string

// notable rights are mentioned if an app lacks them: users fear them most.
const notable liked.Scope = liked.LikeWrite | liked.TweetWrite | liked.DMRead

// can describes what the scopes (OAuth 2.0) or the permission (OAuth 1.0a) allow. A scope without words is shown by its
// name, so that nothing is allowed unsaid.
func can(scopes liked.Scope, access string) (said []string) {
	for _, r := range rights {
		if r.allowed(scopes, access) {
			said = append(said, r.words)
		}
		scopes &^= r.scope
	}
	return append(said, strings.Fields(scopes.String())...)
}

// cannot describes the most important rights that they do not allow, and what no app may do.
func cannot(scopes liked.Scope, access string) (said []string) {
	for _, r := range rights {
		if notable.Has(r.scope) && !r.allowed(scopes, access) {
			said = append(said, r.words)
		}
	}
	return append(said, "See or change your password")
}

func (r right) allowed(scopes liked.Scope, access string) bool {
	if access == "" {
		return scopes.Has(r.scope)
	}
	return r.access != 0 && r.access <= 1+slices.Index(accessLevels(), access)
}

// accessLevels are the permissions of OAuth 1.0a. Each includes those before it.
func accessLevels() []string { return []string{"read", "read-write", "read-write-directmessages"} }

// accessName is a permission's name on forms.
func accessName(access string) string {
	names := []string{"Read", "Read and write", "Read, write and direct messages"}
	if i := slices.Index(accessLevels(), access); i >= 0 {
		return names[i]
	}
	return access
}
