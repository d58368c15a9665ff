package api

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"liked"
)

// route is one endpoint. The table of routes is the only list of them, read by the mux, authorization, rate limits,
// validation, the description, the Postman collection, logs and metrics. In its order all requests succeed: writes
// before reads, reads before deletions.
//
// To add an endpoint, add a row and its serve method, which runs once the row's demands are met.
type route struct {
	pattern string // of net/http's mux, with method
	id      string // operationId in X's OpenAPI document
	tag     string // group in the description
	summary string
	allow   liked.Credential // accepted credentials; zero: none needed
	scopes  liked.Scope      // all required, of OAuth 2.0 user tokens
	flags   flags
	limits  []liked.RateRule
	query   any // a value of its query type; nil: no query
	body    *schema
	answer  any // a value of its data's type, or a schema of the whole
	meta    any // a value of its meta's type; nil: that of pages, if it has pages
	serve   func(*API, *call) (any, error)
	postman postmanRun
}

// postmanRun is what Postman needs beyond OpenAPI, described as x-liked-run. Texts may hold Postman's {{variables}}.
type postmanRun struct {
	// as is the credentials to send it with, one request each. Zero is OAuth 2.0, of a user if allowed, else OAuth
	// 1.0a.
	as      liked.Credential
	values  map[string]string // of parameters, unless their form gives one
	expects map[string]any    // members of the answer, to what is expected
	sets    map[string]string // variables for later requests, to members of the answer
}

type flags uint8

const (
	paid        flags = 1 << iota // not in the self-serve tiers
	listOfLikes                   // closed to app-only callers where likes are private
	ownPath                       // the first id of the path must be the caller's
	creates                       // success is a 201 with a Location
	streaming                     // answers event by event until the client leaves
)

// X's documentation groups, but Activity is in Webhooks, the only target of subscriptions here.
const (
	tagLikes    = "Likes"
	tagUsers    = "Users"
	tagPosts    = "Posts" // facts.tagPosts is the profile's word
	tagStream   = "Stream"
	tagWebhooks = "Webhooks"
	tagGeneral  = "General"
	tagOlder    = "API 1.1"
)

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
	{
		pattern: "POST /2/users/{id}/likes",
		id:      "usersIdLike",
		tag:     tagLikes,
		summary: "Like a post",
		allow:   userContext,
		scopes:  likeScopes,
		flags:   paid | ownPath,
		limits:  likeLimits,
		body:    likeBody,
		answer:  likeState{},
		serve:   (*API).like,
		postman: postmanRun{as: userContext, expects: map[string]any{"data.liked": true}},
	},
	{
		pattern: "GET /2/users/{id}/liked_tweets",
		id:      "usersIdLikedTweets",
		tag:     tagLikes,
		summary: "List the posts that a user likes, newest like first",
		allow:   anyContext,
		scopes:  listScopes,
		flags:   paid | listOfLikes,
		limits:  per15m(75, 75),
		query:   likedPostsQuery{},
		answer:  []postObject{},
		serve:   (*API).likedPosts,
		postman: postmanRun{as: liked.OAuth2User | liked.AppOnly},
	},
	{
		pattern: "GET /2/tweets/{id}/liking_users",
		id:      "tweetsIdLikingUsers",
		tag:     tagLikes,
		summary: "List the users who like a post, newest like first",
		allow:   anyContext,
		scopes:  listScopes,
		flags:   paid | listOfLikes,
		limits:  per15m(75, 75),
		query:   likingUsersQuery{},
		answer:  []userObject{},
		serve:   (*API).likingUsers,
		postman: postmanRun{as: liked.OAuth2User | liked.AppOnly, values: map[string]string{"id": "{{ownPostId}}"}},
	},
	{
		pattern: "DELETE /2/users/{id}/likes/{tweet_id}",
		id:      "usersIdUnlike",
		tag:     tagLikes,
		summary: "Take a like back",
		allow:   userContext,
		scopes:  likeScopes,
		flags:   paid | ownPath,
		limits:  likeLimits,
		answer:  likeState{},
		serve:   (*API).unlike,
		postman: postmanRun{as: userContext, expects: map[string]any{"data.liked": false}},
	},
	{
		pattern: "GET /2/users/me",
		id:      "findMyUser",
		tag:     tagUsers,
		summary: "Look up the user who calls",
		allow:   userContext,
		scopes:  readScopes,
		limits:  per15m(75, 0),
		query:   userView{},
		answer:  userObject{},
		serve:   (*API).user,
	},
	{
		pattern: "GET /2/users/{id}",
		id:      "findUserById",
		tag:     tagUsers,
		summary: "Look up a user",
		allow:   anyContext,
		scopes:  readScopes,
		limits:  per15m(900, 300),
		query:   userView{},
		answer:  userObject{},
		serve:   (*API).user,
	},
	{
		pattern: "GET /2/users",
		id:      "findUsersById",
		tag:     tagUsers,
		summary: "Look up users",
		allow:   anyContext,
		scopes:  readScopes,
		limits:  per15m(900, 300),
		query:   usersQuery{},
		answer:  []userObject{},
		serve:   (*API).users,
	},
	{
		pattern: "GET /2/users/by/username/{username}",
		id:      "findUserByUsername",
		tag:     tagUsers,
		summary: "Look up a user by username",
		allow:   anyContext,
		scopes:  readScopes,
		limits:  per15m(900, 300),
		query:   userView{},
		answer:  userObject{},
		serve:   (*API).userByUsername,
	},
	{
		pattern: "GET /2/users/by",
		id:      "findUsersByUsername",
		tag:     tagUsers,
		summary: "Look up users by username",
		allow:   anyContext,
		scopes:  readScopes,
		limits:  per15m(900, 300),
		query:   usernamesQuery{},
		answer:  []userObject{},
		serve:   (*API).usersByNames,
	},
	{
		pattern: "POST /2/tweets",
		id:      "createTweet",
		tag:     tagPosts,
		summary: "Publish a post",
		allow:   userContext,
		scopes:  writeScopes,
		flags:   creates,
		limits:  postLimits,
		body:    postBody,
		answer:  postObject{},
		serve:   (*API).createPost,
		postman: postmanRun{sets: map[string]string{"newPostId": "data.id"}},
	},
	{
		pattern: "GET /2/tweets/{id}",
		id:      "findTweetById",
		tag:     tagPosts,
		summary: "Look up a post",
		allow:   anyContext,
		scopes:  readScopes,
		limits:  per15m(900, 450),
		query:   postView{},
		answer:  postObject{},
		serve:   (*API).post,
	},
	{
		pattern: "GET /2/tweets",
		id:      "findTweetsById",
		tag:     tagPosts,
		summary: "Look up posts",
		allow:   anyContext,
		scopes:  readScopes,
		limits:  per15m(5000, 3500),
		query:   postsQuery{},
		answer:  []postObject{},
		serve:   (*API).posts,
	},
	{
		pattern: "DELETE /2/tweets/{id}",
		id:      "deleteTweetById",
		tag:     tagPosts,
		summary: "Delete a post",
		allow:   userContext,
		scopes:  writeScopes,
		limits:  per15m(50, 0),
		answer:  deletion{},
		serve:   (*API).deletePost,
		postman: postmanRun{values: map[string]string{"id": "{{newPostId}}"}, expects: map[string]any{"data.deleted": true}},
	},
	{
		pattern: "GET /2/likes/firehose/stream",
		id:      "streamLikesFirehose",
		tag:     tagStream,
		summary: "Stream all public likes",
		allow:   liked.AppOnly,
		flags:   paid | streaming,
		limits:  per15m(0, attempts*liked.Partitions),
		query:   firehoseQuery{},
		answer:  likeObject{},
		serve:   (*API).firehose,
	},
	{
		pattern: "GET /2/likes/sample10/stream",
		id:      "streamLikesSample10",
		tag:     tagStream,
		summary: "Stream a tenth of all public likes",
		allow:   liked.AppOnly,
		flags:   paid | streaming,
		limits:  per15m(0, attempts*samplePartitions),
		query:   sampleQuery{},
		answer:  likeObject{},
		serve:   (*API).sample,
	},
	{
		pattern: "GET /2/likes/compliance/stream",
		id:      "streamLikesCompliance",
		tag:     tagStream,
		summary: "Stream the likes that are taken back",
		allow:   liked.AppOnly,
		flags:   paid | streaming,
		limits:  per15m(0, attempts),
		query:   spanQuery{},
		answer:  unlikeObject{},
		serve:   (*API).compliance,
	},
	{
		pattern: "GET /2/connections",
		id:      "getConnectionHistory",
		tag:     tagStream,
		summary: "List the app's connections to streams, and why they ended",
		allow:   liked.AppOnly,
		flags:   paid,
		limits:  per15m(0, 450),
		query:   connectionsQuery{},
		answer:  []connectionObject{},
		meta:    meta{},
		serve:   (*API).connections,
	},
	{
		pattern: "DELETE /2/connections/{endpoint_id}",
		id:      "deleteConnectionsByEndpoint",
		tag:     tagStream,
		summary: "End the app's connections to a stream",
		allow:   liked.AppOnly,
		flags:   paid,
		limits:  per15m(0, terminations),
		answer:  terminated{},
		serve:   (*API).terminateEndpoint,
		postman: postmanRun{values: map[string]string{"endpoint_id": "likes_firehose_stream"}, expects: map[string]any{"data.failed_kills": 0}},
	},
	{
		pattern: "DELETE /2/connections/all",
		id:      "deleteAllConnections",
		tag:     tagStream,
		summary: "End all connections of the app to streams",
		allow:   liked.AppOnly,
		flags:   paid,
		limits:  per15m(0, terminations),
		answer:  terminated{},
		serve:   (*API).terminateAll,
		postman: postmanRun{expects: map[string]any{"data.failed_kills": 0}},
	},
	{
		pattern: "DELETE /2/connections",
		id:      "deleteConnectionsByUuids",
		tag:     tagStream,
		summary: "End connections of the app to streams",
		allow:   liked.AppOnly,
		flags:   paid,
		limits:  per15m(0, terminations),
		body:    terminateBody,
		answer:  terminated{},
		serve:   (*API).terminateByID,
	},
	{
		pattern: "POST /2/webhooks",
		id:      "createWebhooks",
		tag:     tagWebhooks,
		summary: "Register a webhook, which is challenged at once",
		allow:   appContext,
		limits:  per15m(450, 450),
		body:    webhookBody,
		answer:  webhookObject{},
		serve:   (*API).createWebhook,
		postman: postmanRun{sets: map[string]string{"webhookId": "data.id"}},
	},
	{
		pattern: "GET /2/webhooks",
		id:      "getWebhooks",
		tag:     tagWebhooks,
		summary: "List the app's webhooks",
		allow:   liked.AppOnly,
		limits:  per15m(0, 450),
		query:   webhooksQuery{},
		answer:  []webhookObject{},
		meta:    counted{},
		serve:   (*API).webhooks,
	},
	{
		pattern: "PUT /2/webhooks/{webhook_id}",
		id:      "validateWebhooks",
		tag:     tagWebhooks,
		summary: "Challenge a webhook, which a right answer makes valid again",
		allow:   appContext,
		limits:  per15m(450, 450),
		answer:  validity{},
		serve:   (*API).validateWebhook,
		postman: postmanRun{expects: map[string]any{"data.valid": true}},
	},
	{
		pattern: "POST /2/webhooks/replay",
		id:      "createWebhookReplayJob",
		tag:     tagWebhooks,
		summary: "Deliver to a webhook once more what happened in a time",
		allow:   liked.AppOnly,
		limits:  per15m(0, 100),
		body:    replayBody,
		answer:  replayJob{},
		serve:   (*API).replayWebhook,
	},
	{
		pattern: "POST /2/activity/subscriptions",
		id:      "createActivitySubscription",
		tag:     tagWebhooks,
		summary: "Subscribe to a user's likes",
		allow:   anyContext,
		limits:  per15m(500, 500),
		body:    subscriptionBody,
		answer:  subscribed{},
		serve:   (*API).subscribe,
		postman: postmanRun{sets: map[string]string{"subscriptionId": "data.subscription.subscription_id"}},
	},
	{
		pattern: "GET /2/activity/subscriptions",
		id:      "getActivitySubscriptions",
		tag:     tagWebhooks,
		summary: "List subscriptions",
		allow:   anyContext,
		scopes:  liked.LikeRead | liked.TweetRead,
		limits:  per15m(500, 500),
		query:   subscriptionsQuery{},
		answer:  []subscriptionObject{},
		meta:    total{},
		serve:   (*API).subscriptions,
	},
	{
		pattern: "PUT /2/activity/subscriptions/{subscription_id}",
		id:      "updateActivitySubscription",
		tag:     tagWebhooks,
		summary: "Change where a subscription leads, and its tag",
		allow:   liked.AppOnly,
		limits:  per15m(0, 500),
		body:    resubscriptionBody,
		answer:  resubscribed{},
		serve:   (*API).resubscribe,
	},
	{
		pattern: "DELETE /2/activity/subscriptions/{subscription_id}",
		id:      "deleteActivitySubscription",
		tag:     tagWebhooks,
		summary: "End a subscription",
		allow:   liked.AppOnly,
		limits:  per15m(0, 500),
		answer:  deletion{},
		meta:    total{},
		serve:   (*API).unsubscribe,
		postman: postmanRun{expects: map[string]any{"data.deleted": true}},
	},
	{
		pattern: "DELETE /2/webhooks/{webhook_id}",
		id:      "deleteWebhooks",
		tag:     tagWebhooks,
		summary: "Remove a webhook",
		allow:   appContext,
		limits:  per15m(450, 450),
		answer:  deletion{},
		serve:   (*API).deleteWebhook,
		postman: postmanRun{expects: map[string]any{"data.deleted": true}},
	},
	{
		pattern: "GET /2/openapi.json",
		id:      "getOpenApiSpec",
		tag:     tagGeneral,
		summary: "Describe this API, in OpenAPI 3.0",
		answer:  members{"type": "object"},
		serve:   (*API).openAPI,
	},
}

var (
	likeLimits = append(per15m(50, 0), per24h(1000, 0)...)
	postLimits = append(per15m(100, 0), per24h(0, 10_000)...)
)

func per15m(user, app int) []liked.RateRule { return rules(quarter, user, app) }
func per24h(user, app int) []liked.RateRule { return rules(day, user, app) }

func rules(window time.Duration, user, app int) (rules []liked.RateRule) {
	if user > 0 {
		rules = append(rules, liked.RateRule{Window: window, Max: user})
	}
	if app > 0 {
		rules = append(rules, liked.RateRule{App: true, Window: window, Max: app})
	}
	return rules
}

var allRoutes = slices.Concat(routes, v1Routes)

// Operations lists all operationIds.
func Operations() (ids []string) {
	for _, rt := range allRoutes {
		ids = append(ids, rt.id)
	}
	return ids
}

// AnswersAtOnce reports whether a decoded path is in a section without streams: its handlers answer in one piece, and
// need no notice when the client leaves.
func AnswersAtOnce(path string) bool { return atOnce[section(path)] }

// atOnce has the sections; true: none of its endpoints streams.
var atOnce = func() map[string]bool {
	sections := make(map[string]bool)
	for _, rt := range allRoutes {
		of := section(rt.address())
		quick, known := sections[of]
		sections[of] = (quick || !known) && !rt.is(streaming)
	}
	return sections
}()

// section is a path's first two segments, as /2/users.
func section(path string) string {
	version, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	first, _, _ := strings.Cut(rest, "/")
	return path[:min(len(path), len("/")+len(version)+len("/")+len(first))]
}

func (rt *route) is(f flags) bool { return rt.flags&f != 0 }
func (rt *route) method() string  { method, _, _ := strings.Cut(rt.pattern, " "); return method }
func (rt *route) address() string { _, path, _ := strings.Cut(rt.pattern, " "); return path }
func (rt *route) writes() bool    { return rt.method() != http.MethodGet }

var wildcards = map[string]form{
	"users/{id}":                      userID,
	"tweets/{id}":                     postID,
	"likes/{tweet_id}":                postID,
	"username/{username}":             username,
	"webhooks/{webhook_id}":           webhookID,
	"subscriptions/{subscription_id}": subscriptionID,
	"connections/{endpoint_id}":       word, // of endpoints
}

func (rt *route) pathParams() (params []param) {
	before := ""
	for segment := range strings.SplitSeq(rt.address(), "/") {
		if segment != "" && segment[0] == '{' {
			p := param{name: strings.Trim(segment, "{}"), form: wildcards[before+"/"+segment]}
			if p.form == word {
				p.enum = Profile2026.facts().paramWords()["endpoints"]
			}
			params = append(params, p)
		}
		before = segment
	}
	return params
}
