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
	summary string           // of what it does
	scopes  liked.Scope      // all of them, of an OAuth 2.0 user token
	allow   liked.Credential // kinds of credential; zero: nobody needs one
	paid    bool             // not in the self-serve tiers
	likes   bool             // a list of likes, which no app may see without a user where likes are private
	self    bool             // {id} must be the user who calls
	limits  []limit.Rule
	query   func(facts) []param
	body    *schema
	answer  any // a value of the type of what succeeds: the data of a document, streamed or not, or nil for JSON that is none
	serve   func(*API, *call) (any, error)
}

const (
	userContext = liked.OAuth1User | liked.OAuth2User
	anyContext  = userContext | liked.AppOnly
	appContext  = liked.OAuth1User | liked.AppOnly

	readScopes  = liked.TweetRead | liked.UsersRead
	likeScopes  = readScopes | liked.LikeWrite
	listScopes  = readScopes | liked.LikeRead
	writeScopes = readScopes | liked.TweetWrite
)

var routes = []route{
	{"POST /2/users/{id}/likes", "usersIdLike", "Like a post", likeScopes, userContext, true, false, true, likeLimits, nil, likeBody, likeState{}, (*API).like},
	{"DELETE /2/users/{id}/likes/{tweet_id}", "usersIdUnlike", "Take a like back", likeScopes, userContext, true, false, true, likeLimits, nil, nil, likeState{}, (*API).unlike},
	{"GET /2/users/{id}/liked_tweets", "usersIdLikedTweets", "List the posts that a user likes, newest like first", listScopes, anyContext, true, true, false, per15m(75, 75), likedPostsQuery, nil, []postObject{}, (*API).likedPosts},
	{"GET /2/tweets/{id}/liking_users", "tweetsIdLikingUsers", "List the users who like a post, newest like first", listScopes, anyContext, true, true, false, per15m(75, 75), likingUsersQuery, nil, []userObject{}, (*API).likingUsers},
	{"GET /2/users/me", "findMyUser", "Look up the user who calls", readScopes, userContext, false, false, false, per15m(75, 0), userQuery, nil, userObject{}, (*API).me},
	{"GET /2/users/{id}", "findUserById", "Look up a user", readScopes, anyContext, false, false, false, per15m(900, 300), userQuery, nil, userObject{}, (*API).user},
	{"GET /2/users", "findUsersById", "Look up users", readScopes, anyContext, false, false, false, per15m(900, 300), usersQuery, nil, []userObject{}, (*API).users},
	{"GET /2/users/by/username/{username}", "findUserByUsername", "Look up a user by username", readScopes, anyContext, false, false, false, per15m(900, 300), userQuery, nil, userObject{}, (*API).userByUsername},
	{"GET /2/users/by", "findUsersByUsername", "Look up users by username", readScopes, anyContext, false, false, false, per15m(900, 300), usernamesQuery, nil, []userObject{}, (*API).usersByNames},
	{"GET /2/tweets/{id}", "findTweetById", "Look up a post", readScopes, anyContext, false, false, false, per15m(900, 450), postQuery, nil, postObject{}, (*API).post},
	{"GET /2/tweets", "findTweetsById", "Look up posts", readScopes, anyContext, false, false, false, per15m(5000, 3500), postsQuery, nil, []postObject{}, (*API).posts},
	{"POST /2/tweets", "createTweet", "Publish a post", writeScopes, userContext, false, false, false, postLimits, nil, postBody, created{document{Data: postObject{}}, ""}, (*API).createPost},
	{"DELETE /2/tweets/{id}", "deleteTweetById", "Delete a post", writeScopes, userContext, false, false, false, per15m(50, 0), nil, nil, deletion{}, (*API).deletePost},
	{"GET /2/likes/firehose/stream", "streamLikesFirehose", "Stream all public likes", 0, liked.AppOnly, true, false, false, per15m(0, attempts*liked.Partitions), firehoseQuery, nil, streamed{likeObject{}}, (*API).firehose},
	{"GET /2/likes/sample10/stream", "streamLikesSample10", "Stream a tenth of all public likes", 0, liked.AppOnly, true, false, false, per15m(0, attempts*samplePartitions), sampleQuery, nil, streamed{likeObject{}}, (*API).sample},
	{"GET /2/likes/compliance/stream", "streamLikesCompliance", "Stream the likes that are taken back", 0, liked.AppOnly, true, false, false, per15m(0, attempts), complianceQuery, nil, streamed{unlikeObject{}}, (*API).compliance},
	{"POST /2/webhooks", "createWebhooks", "Register a webhook, which is challenged at once", 0, appContext, false, false, false, per15m(450, 450), nil, webhookBody, webhookObject{}, (*API).createWebhook},
	{"GET /2/webhooks", "getWebhooks", "List the app's webhooks", 0, liked.AppOnly, false, false, false, per15m(0, 450), webhooksQuery, nil, listed{[]webhookObject{}, counted{}}, (*API).webhooks},
	{"PUT /2/webhooks/{webhook_id}", "validateWebhooks", "Challenge a webhook, which a right answer makes valid again", 0, appContext, false, false, false, per15m(450, 450), nil, nil, validity{}, (*API).validateWebhook},
	{"DELETE /2/webhooks/{webhook_id}", "deleteWebhooks", "Remove a webhook", 0, appContext, false, false, false, per15m(450, 450), nil, nil, deletion{}, (*API).deleteWebhook},
	{"POST /2/webhooks/replay", "createWebhookReplayJob", "Deliver to a webhook once more what happened in a time", 0, liked.AppOnly, false, false, false, per15m(0, 100), nil, replayBody, replayJob{}, (*API).replayWebhook},
	{"POST /2/activity/subscriptions", "createActivitySubscription", "Subscribe to a user's likes", 0, anyContext, false, false, false, per15m(500, 500), nil, subscriptionBody, subscribed{}, (*API).subscribe},
	{"GET /2/activity/subscriptions", "getActivitySubscriptions", "List subscriptions", liked.LikeRead | liked.TweetRead, anyContext, false, false, false, per15m(500, 500), subscriptionsQuery, nil, listed{[]subscriptionObject{}, total{}}, (*API).subscriptions},
	{"PUT /2/activity/subscriptions/{subscription_id}", "updateActivitySubscription", "Change where a subscription leads, and its tag", 0, liked.AppOnly, false, false, false, per15m(0, 500), nil, resubscriptionBody, resubscribed{}, (*API).resubscribe},
	{"DELETE /2/activity/subscriptions/{subscription_id}", "deleteActivitySubscription", "End a subscription", 0, liked.AppOnly, false, false, false, per15m(0, 500), nil, nil, listed{deletion{}, total{}}, (*API).unsubscribe},
	{"GET /2/openapi.json", "getOpenApiSpec", "Describe this API, in OpenAPI 3.0", 0, 0, false, false, false, nil, nil, nil, nil, (*API).openAPI},
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
func (rt *route) streams() bool  { _, ok := rt.answer.(streamed); return ok }

// listed is, in the table of routes, data that comes with a meta of its own.
type listed struct{ data, meta any }

// pathParams lists the names of the pattern's wildcards, which are ids and a username.
func (rt *route) pathParams() (names []string) {
	for segment := range strings.SplitSeq(rt.path(), "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}
