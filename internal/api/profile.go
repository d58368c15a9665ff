package api

import "liked"

// Profile is the year whose X the server answers as. X changed words and formats at the wire over time; all of it that
// matters here is in the profile's facts, and nothing else in the package asks which profile is set.
type Profile uint8

const (
	Profile2024 Profile = iota // the default, and the one that the official SDKs understand
	Profile2026
)

// ParseProfile reads a profile's name, "2024" or "2026".
func ParseProfile(name string) (Profile, error) {
	switch name {
	case "2024":
		return Profile2024, nil
	case "2026":
		return Profile2026, nil
	}
	return 0, liked.Errorf(liked.Invalid, "profile %q is not one of [2024 2026]", name)
}

func (p Profile) String() string {
	if p == Profile2026 {
		return "2026"
	}
	return "2024"
}

// facts is what a profile decides.
type facts struct {
	problems       string // base of problem type URLs; the Java SDK knows those of 2024 alone
	host           string // in location headers
	site           string // where a person unlocks an account
	server         string
	apiVersion     string
	indentGateway  bool // problems of the gateway are indented by two spaces
	typeFirst      bool // key order of the 401 body
	closedLikeBody bool // an unknown key in the body of a like is refused
	connectionHash bool
	varyEncoding   bool
	privateLikes   bool   // X made likes private in June 2024
	tagPosts       string // see tagPosts of routes.go
	newerWords     bool   // "post" is understood beside "tweet" (see fields.go)
	words          string // that parameters take (see words.go)
}

// PrivateLikes reports whether X keeps likes private in that year; that of 2024 is its first half.
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
