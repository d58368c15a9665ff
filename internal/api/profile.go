package api

import (
	"slices"

	"liked"
)

// Profile is the year whose X the server imitates, in texts and formats. All differences are in its facts; nothing
// else in the package depends on the profile.
type Profile uint8

const (
	Profile2024 Profile = iota // the default; the official SDKs understand it
	Profile2026
)

var profiles = []string{"2024", "2026"}

// ParseProfile reads "2024" or "2026".
func ParseProfile(name string) (Profile, error) {
	i := slices.Index(profiles, name)
	if i < 0 {
		return 0, liked.Errorf(liked.Invalid, "profile %q is not one of %v", name, profiles)
	}
	return Profile(i), nil
}

func (p Profile) String() string { return profiles[p] }

// facts is what a profile decides.
type facts struct {
	problems       string // base of problem type URLs; the Java SDK knows only those of 2024
	host           string // in location headers
	site           string // where users unlock accounts
	server         string
	apiVersion     string
	indentGateway  bool // gateway problems are indented by two spaces
	typeFirst      bool // key order of the 401 body
	closedLikeBody bool // unknown keys in a like's body are refused
	connectionHash bool
	varyEncoding   bool
	privateLikes   bool   // X made likes private in June 2024
	tagPosts       string // replaces tagPosts (routes.go)
	newerWords     bool   // "post" is understood as "tweet" is (fields.go)
	words          string // of parameters (words.go)
}

// PrivateLikes reports whether X keeps likes private in that year; 2024 means its first half.
func (p Profile) PrivateLikes() bool { return p.facts().privateLikes }

func (p Profile) facts() facts {
	if p == Profile2026 {
		return facts{
			problems:       "https://api.x.com/2/problems/",
			host:           "https://api.x.com",
			site:           "https://x.com",
			server:         "cloudflare envoy",
			apiVersion:     "2.164",
			typeFirst:      true,
			closedLikeBody: true,
			varyEncoding:   true,
			privateLikes:   true,
			tagPosts:       "Posts",
			newerWords:     true,
			words:          words2026,
		}
	}
	return facts{
		problems:       "https://api.twitter.com/2/problems/",
		host:           "https://api.twitter.com",
		site:           "https://twitter.com",
		server:         "tsa_b",
		apiVersion:     "2.66",
		indentGateway:  true,
		connectionHash: true,
		tagPosts:       "Tweets",
		words:          words2024,
	}
}
