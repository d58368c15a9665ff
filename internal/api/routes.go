package api

import (
	"net/http"
	"strings"
	"time"

	"liked"
	"liked/internal/limit"
)

// route is one endpoint. The table of routes is the only list of them: the mux, authorization, rate limits,
// validation, logs and metrics all read it.
//
// To add an endpoint, add a row and write its serve method, which runs once everything that the row says holds.
type route struct {
	pattern string           // of net/http's mux, with the method
	id      string           // operationId in X's OpenAPI document
	scopes  liked.Scope      // all of them, of an OAuth 2.0 user token
	allow   liked.Credential // kinds of credential
	paid    bool             // not in the self-serve tiers
	likes   bool             // a list of likes, which no app may see without a user where likes are private
	self    bool             // {id} must be the user who calls
	limits  []limit.Rule
	query   func(facts) []param
	body    *schema
	serve   func(*API, *call) (any, error)
}

const (
	userContext = liked.OAuth1User | liked.OAuth2User
	anyContext  = userContext | liked.AppOnly

	readScopes  = liked.TweetRead | liked.UsersRead
	likeScopes  = readScopes | liked.LikeWrite
	listScopes  = readScopes | liked.LikeRead
	writeScopes = readScopes | liked.TweetWrite
)

var routes = []route{
	{"POST /2/users/{id}/likes", "usersIdLike", likeScopes, userContext, true, false, true, likeLimits, nil, likeBody, (*API).like},
	{"DELETE /2/users/{id}/likes/{tweet_id}", "usersIdUnlike", likeScopes, userContext, true, false, true, likeLimits, nil, nil, (*API).unlike},
	{"GET /2/users/{id}/liked_tweets", "usersIdLikedTweets", listScopes, anyContext, true, true, false, per15m(75, 75), likedPostsQuery, nil, (*API).likedPosts},
	{"GET /2/tweets/{id}/liking_users", "tweetsIdLikingUsers", listScopes, anyContext, true, true, false, per15m(75, 75), likingUsersQuery, nil, (*API).likingUsers},
	{"GET /2/users/me", "findMyUser", readScopes, userContext, false, false, false, per15m(75, 0), userQuery, nil, (*API).me},
	{"GET /2/users/{id}", "findUserById", readScopes, anyContext, false, false, false, per15m(900, 300), userQuery, nil, (*API).user},
	{"GET /2/users", "findUsersById", readScopes, anyContext, false, false, false, per15m(900, 300), usersQuery, nil, (*API).users},
	{"GET /2/users/by/username/{username}", "findUserByUsername", readScopes, anyContext, false, false, false, per15m(900, 300), userQuery, nil, (*API).userByUsername},
	{"GET /2/users/by", "findUsersByUsername", readScopes, anyContext, false, false, false, per15m(900, 300), usernamesQuery, nil, (*API).usersByNames},
	{"GET /2/tweets/{id}", "findTweetById", readScopes, anyContext, false, false, false, per15m(900, 450), postQuery, nil, (*API).post},
	{"GET /2/tweets", "findTweetsById", readScopes, anyContext, false, false, false, per15m(5000, 3500), postsQuery, nil, (*API).posts},
	{"POST /2/tweets", "createTweet", writeScopes, userContext, false, false, false, postLimits, nil, postBody, (*API).createPost},
	{"DELETE /2/tweets/{id}", "deleteTweetById", writeScopes, userContext, false, false, false, per15m(50, 0), nil, nil, (*API).deletePost},
}

var (
	likeLimits = append(per15m(50, 0), per24h(1000, 0)...)
	postLimits = append(per15m(100, 0), per24h(0, 10_000)...)
)

func per15m(user, app int) []limit.Rule { return rules(quarter, user, app) }
func per24h(user, app int) []limit.Rule { return rules(day, user, app) }

func rules(window time.Duration, user, app int) (rules []limit.Rule) {
	if user > 0 {
		rules = append(rules, limit.Rule{Window: window, Max: user})
	}
	if app > 0 {
		rules = append(rules, limit.Rule{App: true, Window: window, Max: app})
	}
	return rules
}

// Operations lists the operationId of every endpoint.
func Operations() []string {
	var ids []string
	for _, table := range [][]route{routes, v1Routes} {
		for _, rt := range table {
			ids = append(ids, rt.id)
		}
	}
	return ids
}

func (rt *route) method() string { method, _, _ := strings.Cut(rt.pattern, " "); return method }
func (rt *route) path() string   { _, path, _ := strings.Cut(rt.pattern, " "); return path }
func (rt *route) writes() bool   { return rt.method() != http.MethodGet }

// pathParams lists the names of the pattern's wildcards, which are ids and a username.
func (rt *route) pathParams() (names []string) {
	for segment := range strings.SplitSeq(rt.path(), "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}
