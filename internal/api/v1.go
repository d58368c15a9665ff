package api

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"liked"
	"liked/internal/store"
)

// v1Routes is X's API v1.1 around likes, over the same state, for clients that never migrated. Requests pass the
// checks of routes, with v1.1's refusals; parameters come in the query or as a form, and unknown ones are ignored.
//
// X's documents: "POST favorites/create", "POST favorites/destroy", "GET favorites/list" and "GET
// account/verify_credentials" and "GET application/rate_limit_status" of the API reference v1.1, and "Response codes".
var v1Routes = []route{
	{
		pattern: "POST /1.1/favorites/create.json",
		id:      "favoritesCreate",
		tag:     tagOlder,
		summary: "Like a post",
		allow:   liked.OAuth1User,
		flags:   paid,
		limits:  per24h(1000, 1000),
		query:   v1PostQuery{},
		answer:  v1Status,
		serve:   (*API).v1Create,
		postman: postmanRun{expects: map[string]any{"id_str": "{{postId}}", "favorited": true}},
	},
	{
		pattern: "POST /1.1/favorites/destroy.json",
		id:      "favoritesDestroy",
		tag:     tagOlder,
		summary: "Take a like back",
		allow:   liked.OAuth1User,
		flags:   paid,
		limits:  per24h(1000, 1000),
		query:   v1PostQuery{},
		answer:  v1Status,
		serve:   (*API).v1Destroy,
		postman: postmanRun{expects: map[string]any{"id_str": "{{postId}}", "favorited": false}},
	},
	{
		pattern: "GET /1.1/favorites/list.json",
		id:      "favoritesList",
		tag:     tagOlder,
		summary: "List what a user likes, newest like first",
		allow:   liked.OAuth1User | liked.AppOnly,
		flags:   paid | listOfLikes,
		limits:  per15m(75, 75),
		query:   v1ListQuery{},
		answer:  members{"type": "array", "items": members{"type": "object", "required": []string{"id_str", "favorite_count"}}},
		serve:   (*API).v1List,
		postman: postmanRun{as: liked.OAuth1User, values: map[string]string{"user_id": "{{userId}}"}},
	},
	{
		pattern: "GET /1.1/account/verify_credentials.json",
		id:      "accountVerifyCredentials",
		tag:     tagOlder,
		summary: "Look up the user who calls",
		allow:   liked.OAuth1User,
		limits:  per15m(75, 0),
		answer:  members{"type": "object", "required": []string{"id_str"}},
		serve:   (*API).v1Verify,
		postman: postmanRun{expects: map[string]any{"id_str": "{{userId}}"}},
	},
	{
		pattern: "GET /1.1/application/rate_limit_status.json",
		id:      "applicationRateLimitStatus",
		tag:     tagOlder,
		summary: "Tell what is left of the caller's rate limits",
		allow:   liked.OAuth1User | liked.AppOnly,
		limits:  per15m(180, 180),
		query:   v1LimitsQuery{},
		answer:  members{"type": "object", "required": []string{"rate_limit_context", "resources"}},
		serve:   (*API).v1Limits,
		postman: postmanRun{as: liked.OAuth1User | liked.AppOnly},
	},
}

var v1Status = members{"type": "object", "required": []string{"id_str", "favorited"}}

const v1Prefix = "/1.1/"

// v1Words are refusals by code.
var v1Words = map[int]struct {
	status  int
	message string
}{
	25:  {400, "Query parameters are missing."},
	32:  {401, "Could not authenticate you."},
	34:  {404, "Sorry, that page does not exist."},
	64:  {403, "Your account is suspended and is not permitted to access this feature."},
	88:  {429, "Rate limit exceeded"},
	89:  {401, "Invalid or expired token."},
	130: {503, "Over capacity"},
	131: {500, "Internal error"},
	135: {401, "Timestamp out of bounds."},
	136: {401, "You have been blocked from the author of this tweet."},
	139: {403, "You have already favorited this status."},
	144: {404, "No status found with that ID."},
	179: {403, "Sorry, you are not authorized to see this status."},
	215: {400, "Bad Authentication data."},
	220: {403, "Your credentials do not allow access to this resource."},
	261: {403, "Application cannot perform write actions."},
	326: {403, "To protect our users from spam and other malicious activity, this account is temporarily locked. " +
		"Please log in to https://twitter.com to unlock your account."},
	453: {403, "You currently have access to a subset of Twitter API v2 endpoints " +
		"and limited v1.1 endpoints (e.g. media post, oauth) only. If you need access to this endpoint, " +
		"you may need a different access level. You can learn more here: https://developer.twitter.com/en/portal/product"},
}

func v1(code int, why string) *problem {
	w := v1Words[code]
	return &problem{status: w.status, body: mustEncode(object{"errors", []object{{"code", code, "message", w.message}}}), v1: true, why: why}
}

// v1Problem is v1.1's refusal for the checks that both versions share.
func (c *catalogue) v1Problem(r *http.Request, err error) *problem {
	if liked.KindOf(err) == liked.Unauthorized {
		scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		code := 32
		switch c, known := errors.AsType[interface {
			error
			Code() string // X's number, if any
		}](err); {
		case known:
			if n, err := strconv.Atoi(c.Code()); err == nil && v1Words[n].status != 0 {
				code = n
			}
		case strings.EqualFold(scheme, "Bearer"):
			code = 89
		case !strings.EqualFold(scheme, "OAuth"):
			code = 215
		}
		return v1(code, err.Error())
	}
	p := c.problemOf(err)
	if p.v1 {
		return p
	}
	code := p.code
	switch {
	case code != 0:
	case p.status >= 500:
		code = 131
	default:
		code = 25
	}
	q := v1(code, p.why)
	q.cause, q.retry = p.cause, p.retry
	return q
}

// readForm takes the parameters of v1.1.
func (c *call) readForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		return v1(25, "the parameters cannot be read: "+err.Error())
	}
	c.form, c.authorization = r.Form, r.Header.Get("Authorization")
	return nil
}

// v1ID reads an id; without one, the code is that of missing parameters.
func v1ID[ID liked.UserID | liked.PostID](form url.Values, name string, malformed int) (ID, error) {
	text := form.Get(name)
	if text == "" {
		return 0, v1(25, "the parameter "+name+" is missing")
	}
	id, err := liked.ParseID[ID](text)
	if err != nil {
		return 0, v1(malformed, name+"="+strconv.Quote(text)+": "+err.Error())
	}
	return id, nil
}

// Unlike v2, v1.1 refuses to like twice and to remove a missing like.
func (a *API) v1Create(c *call) (any, error) {
	return a.v1SetLike(c, true, 139, "the user likes the post already")
}

func (a *API) v1Destroy(c *call) (any, error) {
	return a.v1SetLike(c, false, 144, "the user does not like the post")
}

func (a *API) v1SetLike(c *call, on bool, unchanged int, why string) (any, error) {
	id, err := v1ID[liked.PostID](c.form, "id", 144)
	if err != nil {
		return nil, err
	}
	changed, err := a.Store.SetLike(c.ctx, c.who.User, id, on, a.Now())
	if err == nil && !changed {
		return nil, v1(unchanged, why)
	}
	var p liked.Post
	if err == nil {
		p, err = a.Store.Post(c.ctx, c.who.User, id)
	}
	if err != nil {
		return nil, a.v1Unseen(c, id, err)
	}
	statuses, err := a.v1Statuses(c, []liked.Post{p}, true)
	if err != nil {
		return nil, err
	}
	return statuses[0], nil
}

func (a *API) v1Unseen(c *call, id liked.PostID, err error) error {
	switch liked.KindOf(err) {
	case liked.NotFound:
		return v1(144, err.Error())
	case liked.Forbidden:
		// Without a user, protected authors are hidden; those who block this caller are not.
		if _, open := a.Store.Post(c.ctx, 0, id); open == nil {
			return v1(136, err.Error())
		}
		return v1(179, err.Error())
	}
	return err
}

// v1Reach bounds the likes that v1List searches, as X did.
const (
	v1Reach    = 3200
	v1Page     = 200
	v1Defaults = 20
)

// v1List lists a user's likes, newest like first. since_id and max_id are of posts.
func (a *API) v1List(c *call) (any, error) {
	number := func(name string, otherwise int64) (int64, error) {
		if c.form.Get(name) == "" {
			return otherwise, nil
		}
		n, err := v1ID[liked.PostID](c.form, name, 25)
		return int64(n), err
	}
	count, err1 := number("count", v1Defaults)
	since, err2 := number("since_id", 0)
	most, err3 := number("max_id", 1<<63-1)
	user, err4 := a.v1User(c)
	if err := cmp.Or(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	count = min(count, v1Page)
	posts := []liked.Post{}
	if a.PrivateLikes && user != c.who.User {
		count = 0
	}
	for from, looked := (store.Cursor{}), 0; int64(len(posts)) < count && looked < v1Reach; looked += v1Page {
		page, err := a.Store.LikedPosts(c.ctx, c.who.User, user, from, v1Page, store.WithMetrics, nil)
		switch {
		case err == nil:
		case liked.KindOf(err) == liked.NotFound:
			return nil, v1(34, err.Error())
		case liked.KindOf(err) == liked.Forbidden:
			return nil, v1(179, err.Error())
		default:
			return nil, err
		}
		for _, p := range page.Items {
			if id := int64(p.ID); id > since && id <= most && int64(len(posts)) < count {
				posts = append(posts, p)
			}
		}
		if from = page.Older; from == (store.Cursor{}) {
			break
		}
	}
	return a.v1Statuses(c, posts, true)
}

// v1User is user_id, else screen_name, else the caller.
func (a *API) v1User(c *call) (liked.UserID, error) {
	switch name := c.form.Get("screen_name"); {
	case c.form.Get("user_id") != "":
		return v1ID[liked.UserID](c.form, "user_id", 34)
	case name != "":
		u, err := a.Store.UserByUsername(c.ctx, strings.TrimPrefix(name, "@"))
		if err != nil && liked.KindOf(err) == liked.NotFound {
			return 0, v1(34, err.Error())
		}
		return u.ID, err
	case c.who.User == 0:
		return 0, v1(25, "an app must name the user: user_id or screen_name")
	}
	return c.who.User, nil
}

// v1Verify shows the caller, with the newest post unless declined.
func (a *API) v1Verify(c *call) (any, error) {
	u, err := a.Store.User(c.ctx, c.who.User)
	if err != nil {
		return nil, err
	}
	var status object
	if skip := c.form.Get("skip_status"); skip != "true" && skip != "t" && skip != "1" {
		newest, err := a.Store.NewestPosts(c.ctx, u.ID, []liked.UserID{u.ID})
		if err != nil {
			return nil, err
		}
		seen, err := a.Store.Posts(c.ctx, u.ID, newest, store.WithMetrics)
		if err != nil {
			return nil, err
		}
		if seen[0].Err == nil { // there is a post, and it was not deleted meanwhile
			statuses, err := a.v1Statuses(c, []liked.Post{seen[0].Post}, false)
			if err != nil {
				return nil, err
			}
			status = statuses[0]
		}
	}
	return newV1User(&u, false, wantsEntities(c.form), status), nil
}

// v1Limits tells what is left of the caller's limits per 15 minutes, by families, which begin X's paths; of all of them,
// or of those in resources. Endpoints of v2 have their method in their name, as X's lists had them.
func (a *API) v1Limits(c *call) (any, error) {
	families := map[string]map[string]object{}
	names := strings.FieldsFunc(c.form.Get("resources"), func(r rune) bool { return r == ',' || r == ' ' })
	for _, rt := range a.table.Load().endpoints {
		name := v1Names.Replace(rt.address())
		family := strings.FieldsFunc(name, func(r rune) bool { return r == '/' })[0]
		if rt.tag != tagOlder {
			name += "&" + rt.method()
		}
		rules := slices.DeleteFunc(slices.Clone(rt.rules(c.who)), func(r liked.RateRule) bool { return r.Window != quarter })
		if len(rules) == 0 || len(names) > 0 && !slices.Contains(names, family) {
			continue
		}
		left, err := a.Store.Left(c.ctx, a.Now(), rt.id, c.who.App, c.who.User, rules, nil)
		if err != nil {
			return nil, err
		}
		if families[family] == nil {
			families[family] = map[string]object{}
		}
		families[family][name] = object{"limit", left[0].Max, "remaining", left[0].Remaining, "reset", left[0].Reset.Unix()}
	}
	if c.who.User == 0 {
		app, err := a.Store.App(c.ctx, c.who.App)
		return object{"rate_limit_context", object{"application", app.APIKey}, "resources", families}, err
	}
	token := c.form.Get("oauth_token")
	if _, sent, ok := strings.Cut(c.authorization, "oauth_token="); ok {
		token, _, _ = strings.Cut(strings.TrimPrefix(sent, `"`), `"`)
	}
	return object{"rate_limit_context", object{"access_token", token}, "resources", families}, nil
}

// v1Names makes X's names in lists of limits of addresses.
var v1Names = strings.NewReplacer("/1.1/", "/", ".json", "", "/2/", "/", "{", ":", "}", "")
