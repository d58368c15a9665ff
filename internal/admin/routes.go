package admin

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"reflect"

	"liked"
	"liked/internal/store"
	"liked/internal/strictjson"
)

// route is a row of the table of endpoints, from which /admin/openapi.json is written, too.
type route struct {
	pattern string
	does    string // a sentence
	status  int    // of a success; zero: 200
	endpoint
	query string // parameters that it takes, explained in parameters; another one is refused
	seals bool   // makes or shows a secret, so that it needs the store's key

	// Of what is no JSON object, or not only a small one:
	long    bool   // no limit of time: it depends on the store, or on the caller
	reads   string // media type of a body that the endpoint reads itself, of any size
	content string // media type of a stream
}

// endpoint is a call and the types of its bodies.
type endpoint struct {
	in, out reflect.Type // in: nil for none
	call    func(*http.Request) (any, error)
}

// anything in place of a row's parameters: they are not looked at.
const anything = "*"

// gives is an endpoint without a body.
func gives[Out any](serve func(*http.Request) (Out, error)) endpoint {
	return endpoint{out: reflect.TypeFor[Out](), call: func(r *http.Request) (any, error) { return serve(r) }}
}

// of is an endpoint about what find finds by the path.
func of[Key, Out any](find func(*http.Request) (Key, error), serve func(*http.Request, Key) (Out, error)) endpoint {
	return gives(func(r *http.Request) (out Out, err error) {
		key, err := find(r)
		if err != nil {
			return out, err
		}
		return serve(r, key)
	})
}

// takes is an endpoint whose body is one JSON object.
func takes[In, Out any](serve func(*http.Request, In) (Out, error)) endpoint {
	e := of(body[In], serve)
	e.in = reflect.TypeFor[In]()
	return e
}

// body reads one JSON object (package strictjson).
func body[T any](r *http.Request) (in T, err error) {
	text, err := io.ReadAll(r.Body)
	err = bodyError(err, text, &in)
	return in, err
}

// noBody refuses a body that says something: none of its members is known.
func noBody(r *http.Request) error {
	text, err := io.ReadAll(r.Body)
	if err == nil && len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	return bodyError(err, text, &struct{}{})
}

func bodyError(err error, text []byte, in any) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	if err == nil {
		err = strictjson.Unmarshal(text, in)
	}
	if err != nil {
		return &liked.Error{Kind: liked.Invalid, Msg: "body", Err: err}
	}
	return nil
}

func (h *Handler) routes() []route {
	const page = "max after"
	follow, block := store.Relations.SetFollow, store.Relations.SetBlock
	return []route{
		{pattern: "POST /admin/users", status: 201, endpoint: takes(h.addUser), does: "Adds an account."},
		{pattern: "GET /admin/users", endpoint: gives(h.users), query: "username ids " + page,
			does: "Lists accounts in order of id, by the beginning of a username, or those of some ids."},
		{pattern: "GET /admin/users/{user}", endpoint: of(h.pathUser, h.getUser), does: "Shows an account."},
		{pattern: "PUT /admin/users/{user}", endpoint: takes(h.setUser),
			does: "Makes an account what is said; members left out stay. Without such an account it is added, by this id or username."},
		{pattern: "PATCH /admin/users/{user}", endpoint: takes(h.changeUser), does: "Changes an account; members left out stay."},
		{pattern: "GET /admin/users/{user}/following", endpoint: h.related(store.Following), query: page,
			does: "Lists whom the user follows."},
		{pattern: "GET /admin/users/{user}/followers", endpoint: h.related(store.Followers), query: page,
			does: "Lists who follows the user."},
		{pattern: "GET /admin/users/{user}/blocking", endpoint: h.related(store.Blocking), query: page,
			does: "Lists whom the user blocks."},
		{pattern: "GET /admin/users/{user}/blocked-by", endpoint: h.related(store.BlockedBy), query: page,
			does: "Lists who blocks the user."},
		{pattern: "PUT /admin/users/{user}/following/{target}", endpoint: h.relate(follow, true),
			does: "Makes the user follow the target."},
		{pattern: "DELETE /admin/users/{user}/following/{target}", endpoint: h.relate(follow, false), does: "Ends that."},
		{pattern: "PUT /admin/users/{user}/blocking/{target}", endpoint: h.relate(block, true),
			does: "Makes the user block the target."},
		{pattern: "DELETE /admin/users/{user}/blocking/{target}", endpoint: h.relate(block, false), does: "Ends that."},
		{pattern: "POST /admin/posts", status: 201, endpoint: takes(h.addPost),
			does: "Adds a post, whatever rules there are for its author."},
		{pattern: "GET /admin/posts", endpoint: gives(h.posts), query: "author contains max before",
			does: "Lists posts, the highest id first. With contains, a page is of 1,000 posts: it may be short, or empty, and have a next."},
		{pattern: "GET /admin/posts/{post}", endpoint: of(pathPost, h.getPost), does: "Shows a post, whoever may see it."},
		{pattern: "PUT /admin/posts/{post}", endpoint: takes(h.setPost),
			does: "Makes a post be there. A post never changes: 409 if it is another one."},
		{pattern: "DELETE /admin/posts/{post}", endpoint: of(pathPost, h.deletePost), does: "Deletes a post."},
		{pattern: "POST /admin/apps", status: 201, endpoint: takes(h.addApp), seals: true,
			does: "Adds an app and shows its secrets, once."},
		{pattern: "GET /admin/apps", endpoint: gives(h.apps), does: "Lists the apps, without secrets."},
		{pattern: "GET /admin/apps/{app}", endpoint: of(h.pathApp, h.getApp), does: "Shows an app, without secrets."},
		{pattern: "PUT /admin/apps/{app}", endpoint: takes(h.setApp), seals: true,
			does: "Makes an app what is said; members left out stay. Without such an app it is added, by this id or this name."},
		{pattern: "PATCH /admin/apps/{app}", endpoint: takes(h.changeApp), does: "Changes an app; members left out stay."},
		{pattern: "DELETE /admin/apps/{app}", endpoint: of(h.pathApp, h.deleteApp),
			does: "Deletes an app with its grants, tokens and webhooks."},
		{pattern: "POST /admin/apps/{app}/secrets", endpoint: takes(h.renewApp), seals: true,
			does: "Replaces a credential of an app and shows it, once."},
		{pattern: "POST /admin/tokens", status: 201, endpoint: takes(h.issueToken), seals: true,
			does: "Issues a credential of an app and shows it, once."},
		{pattern: "POST /admin/tokens/expire", endpoint: takes(h.expireToken),
			does: "Ends tokens as if their time had come: one, or all of a kind of a user and an app."},
		{pattern: "POST /admin/tokens/revoke", endpoint: takes(h.revokeToken), does: "Revokes a token, and what belongs to it."},
		{pattern: "POST /admin/webhooks", status: 201, endpoint: takes(h.addWebhook), seals: true,
			does: "Adds a webhook, which is challenged at once."},
		{pattern: "GET /admin/webhooks", endpoint: gives(h.webhooks), does: "Lists the webhooks of all apps."},
		{pattern: "DELETE /admin/webhooks/{webhook}", endpoint: of(pathWebhook, h.removeWebhook), does: "Removes a webhook."},
		{pattern: "POST /admin/webhooks/{webhook}/validate", endpoint: of(pathWebhook, h.validateWebhook), seals: true,
			does: "Challenges a webhook now."},
		{pattern: "POST /admin/webhooks/{webhook}/replay", endpoint: takes(h.replayWebhook), seals: true,
			does: "Delivers dead letters, or the likes of a period, again."},
		{pattern: "POST /admin/webhooks/{webhook}/test", endpoint: takes(h.testWebhook), seals: true,
			does: "Sends a webhook a like that did not happen, signed as any other, once."},
		{pattern: "POST /admin/webhooks/{webhook}/redeliver", endpoint: takes(h.redeliver), seals: true,
			does: "Delivers one like of the log, or one dead letter, again, once."},
		{pattern: "GET /admin/webhooks/{webhook}/dead", endpoint: of(pathWebhook, h.deadLetters), query: "after",
			does: "Lists the likes that a webhook did not accept."},
		{pattern: "GET /admin/apps/{app}/subscriptions", endpoint: of(h.pathApp, h.subscriptions), query: page,
			does: "Lists what an app subscribes to, in order of id."},
		{pattern: "POST /admin/apps/{app}/subscriptions", status: 201, endpoint: takes(h.addSubscription),
			does: "Subscribes an app to the likes of a user, as that user. Deliveries need the user's consent to read likes."},
		{pattern: "DELETE /admin/apps/{app}/subscriptions/{subscription}", endpoint: of(h.pathApp, h.removeSubscription),
			does: "Removes a subscription."},
		{pattern: "POST /admin/check", endpoint: gives(h.check), long: true, does: "Proves that the store agrees with itself."},
		{pattern: "GET /admin/export", endpoint: gives(h.export), long: true, content: "application/x-ndjson",
			does: "Sends all users, posts and likes of one moment."},
		{pattern: "POST /admin/import", endpoint: gives(h.importing), query: "skip_bad settle", long: true, reads: "application/x-ndjson",
			does: "Adds records that are missing."},
		{pattern: "POST /admin/backup", endpoint: gives(h.backup), long: true, reads: "application/json", content: "application/x-tar",
			does: "Sends the files of the store."},
	}
}
