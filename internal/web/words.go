package web

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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

// group is rights of one kind.
type group struct {
	Title  string
	Rights []said
}

// said is a right as it is shown.
type said struct {
	Scope  liked.Scope
	Words  string
	Writes bool // changes something
}

// groups describes what the scopes (OAuth 2.0) or the permission (OAuth 1.0a) allow. A scope without words is shown by its
// name, as one that writes, so that nothing is allowed unsaid.
func groups(scopes liked.Scope, access string) (all []group) {
	see, act := group{Title: "See"}, group{Title: "Act for you"}
	messages, long := group{Title: "Your direct messages"}, group{Title: "How long"}
	add := func(s said) {
		name := s.Scope.String()
		to := &act
		switch s.Writes = !strings.HasSuffix(name, ".read"); {
		case strings.HasPrefix(name, "dm."):
			to = &messages
		case s.Scope == liked.OfflineAccess:
			to, s.Writes = &long, false
		case s.Scope == liked.UsersEmail:
			to, s.Writes = &see, false
		case !s.Writes:
			to = &see
		}
		to.Rights = append(to.Rights, s)
	}
	for _, r := range rights {
		if r.allowed(scopes, access) {
			add(said{Scope: r.scope, Words: r.words})
		}
		scopes &^= r.scope
	}
	for name := range strings.FieldsSeq(scopes.String()) {
		scope, _ := liked.ParseScope(name)
		add(said{Scope: scope, Words: name})
	}
	return slices.DeleteFunc([]group{see, act, messages, long}, func(g group) bool { return len(g.Rights) == 0 })
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

// Lasts is a duration in words, in its two largest units.
func Lasts(d time.Duration) string {
	var parts []string
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		n := d / unit.size
		d %= unit.size
		switch {
		case n == 1:
			parts = append(parts, "1 "+unit.name)
		case n > 1:
			parts = append(parts, strconv.FormatInt(int64(n), 10)+" "+unit.name+"s")
		}
	}
	if len(parts) == 0 {
		return "less than a second"
	}
	return strings.Join(parts[:min(len(parts), 2)], " and ")
}

// Sentence begins a text as a sentence.
func Sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

// Lines returns what stands in a field that takes one thing a line.
func Lines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
