package api

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"

	"liked"
	"liked/internal/store"
)

// likeCreate is the only event type of X's activity API here.
const likeCreate = "like.create"

var (
	subscriptionBody = &schema{properties: []property{
		{name: "event_type", typ: "string", required: true, example: likeCreate, enum: words(eventTypes)},
		{name: "filter", typ: "object", required: true, object: &schema{properties: []property{
			{name: "direction", typ: "string", enum: words("inbound outbound")},
			{name: "keyword", typ: "string"},
			{name: "user_id", typ: "string", example: exampleUser, value: "{{userId}}"},
		}}},
		{name: "tag", typ: "string", example: "friends"},
		// No example: the explorer runs examples first, before this webhook exists.
		{name: "webhook_id", typ: "string", pattern: hookPattern, value: "{{webhookId}}"},
	}}
	resubscriptionBody = &schema{properties: []property{
		{name: "tag", typ: "string", example: "friends"},
		{name: "webhook_id", typ: "string", pattern: hookPattern, example: exampleWebhook, value: "{{webhookId}}"},
	}}
)

type subscriptionObject struct {
	ID        liked.SubscriptionID `json:"subscription_id"`
	Type      string               `json:"event_type"`
	Filter    filterObject         `json:"filter"`
	CreatedAt string               `json:"created_at"`
	UpdatedAt string               `json:"updated_at"`
	Tag       string               `json:"tag,omitempty"`
	Webhook   string               `json:"webhook_id,omitempty"`
}

type filterObject struct {
	User      liked.UserID `json:"user_id"`
	Direction string       `json:"direction,omitempty"`
}

type subscribed struct {
	Subscription subscriptionObject `json:"subscription"`
}

type resubscribed struct {
	Subscription subscriptionObject `json:"subscription"`
	Total        int                `json:"total_subscriptions"`
}

// total is the meta of subscription answers.
type total struct {
	Total     int    `json:"total_subscriptions"`
	NextToken string `json:"next_token,omitempty"`
}

// newSubscriptions encodes the app's subscriptions, whose webhooks may have been removed.
func (a *API) newSubscriptions(ctx context.Context, app liked.AppID, subs ...liked.Subscription) ([]subscriptionObject, error) {
	hooks, err := a.Store.Webhooks(ctx, app)
	objects := make([]subscriptionObject, len(subs))
	for i, s := range subs {
		objects[i] = subscriptionObject{ID: s.ID, Type: likeCreate, Filter: newFilter(&s), CreatedAt: timestamp(s.CreatedAt),
			UpdatedAt: timestamp(s.UpdatedAt), Tag: s.Tag}
		if slices.ContainsFunc(hooks, func(w liked.Webhook) bool { return w.ID == s.Webhook }) {
			objects[i].Webhook = s.Webhook.String()
		}
	}
	return objects, err
}

func newFilter(s *liked.Subscription) filterObject { return filterObject{s.User, s.Direction.String()} }

// subscriptionTarget reads where a subscription leads, and its tag: nil for what the body leaves out.
func (a *API) subscriptionTarget(b body) (webhook *liked.WebhookID, tag *string, faults []fault) {
	if value, there := b.find("webhook_id"); there {
		id, err := liked.ParseID[liked.WebhookID](unquote(value))
		if err != nil { // 19 digits may overflow int64
			faults = append(faults, badValue(pair{"webhook_id", unquote(value)}, "is not valid"))
		}
		webhook = &id
	}
	if value, there := b.find("tag"); there {
		text := unquote(value)
		tag = &text
		at := object{"$.tag", []string{value}}
		switch n := utf8.RuneCountInString(text); {
		case n < 1:
			faults = append(faults, fault{at, "$.tag: must be at least 1 characters long"})
		case n > 200:
			faults = append(faults, fault{at, "$.tag: may only be 200 characters long"})
		}
	}
	return webhook, tag, faults
}

// subscribe subscribes an app to likes, a private event: where likes are private, only the user may subscribe to
// their likes and those of their posts.
func (a *API) subscribe(c *call) (any, error) {
	s := liked.Subscription{App: c.who.App, Viewer: c.who.User}
	webhook, tag, faults := a.subscriptionTarget(c.body)
	if webhook != nil {
		s.Webhook = *webhook
	}
	if tag != nil {
		s.Tag = *tag
	}
	refuse := func(at, value, what string) {
		faults = append(faults, fault{object{at, []string{value}}, at + ": " + what})
	}
	if event, _ := c.body.find("event_type"); unquote(event) != likeCreate {
		refuse("$.event_type", event, "does not have a value in the enumeration ["+likeCreate+"]")
	}
	text, _ := c.body.find("filter")
	filter, _ := splitObject(text, nil) // checked by readBody
	if keyword, there := filter.find("keyword"); there {
		refuse("$.filter.keyword", keyword, "is not defined in the schema and the schema does not allow additional properties")
	}
	s.Direction, _ = liked.ParseDirection(filter.text("direction"))
	var err error
	if user, there := filter.find("user_id"); !there {
		faults = append(faults, fault{object{}, "$.filter.user_id: is missing but it is required"})
	} else if s.User, err = liked.ParseID[liked.UserID](unquote(user)); err != nil || s.User == 0 {
		refuse("$.filter.user_id", user, "does not match the regex pattern "+idPattern.String())
	}
	if len(faults) > 0 {
		return nil, a.invalid("", faults...)
	}
	switch {
	case c.who.Credential == liked.OAuth2User && !c.who.Scopes.Has(liked.LikeRead):
		return nil, a.forbidden.because("the token lacks the scope like.read, which " + likeCreate + " needs")
	case a.PrivateLikes && c.who.Credential == liked.AppOnly:
		return nil, a.unsupported(liked.AppOnly, userContext)
	case a.PrivateLikes && s.User != c.who.User:
		return nil, notPermitted.because("likes are private: only the user themselves may subscribe to them; " +
			"with --no-private-likes every caller may")
	}
	if found, err := a.Store.UsersByID(c.ctx, []liked.UserID{s.User}, store.WithoutMetrics); err != nil {
		return nil, err
	} else if len(found) == 0 || found[0].State.Hidden() {
		return nil, a.invalid("", badValue(pair{"filter.user_id", s.User.String()}, "is no user"))
	}
	if s, err = a.Hooks.Subscribe(c.ctx, s); err != nil {
		return nil, a.hookProblem(err, subscriptionReasons)
	}
	objects, err := a.newSubscriptions(c.ctx, s.App, s)
	if err != nil {
		return nil, err
	}
	return document{Data: subscribed{objects[0]}}, nil
}

var subscriptionReasons = map[liked.Kind]string{liked.NotFound: "WebhookIdInvalid", liked.Conflict: "DuplicateSubscriptionFailed",
	liked.Forbidden: "SubscriptionLimitExceeded"}

// subscriptions lists those of the app, or those that the calling user made.
func (a *API) subscriptions(c *call) (any, error) {
	l := list{"subscriptions", int64(c.who.App)}
	in := c.query.(*subscriptionsQuery)
	from, max, err := a.page(l, in.MaxResults, in.Token)
	if err != nil {
		return nil, err
	}
	n, err := a.Store.CountSubscriptions(c.ctx, c.who.App, c.who.User)
	if err != nil {
		return nil, err
	}
	answer := total{Total: n}
	subs, err := a.Store.Subscriptions(c.ctx, c.who.App, c.who.User, liked.SubscriptionID(from.Seq), max+1)
	if err != nil {
		return nil, err
	}
	if len(subs) > max {
		subs = subs[:max]
		answer.NextToken = a.token(l, store.Cursor{Seq: liked.Seq(subs[max-1].ID)})
	}
	objects, err := a.newSubscriptions(c.ctx, c.who.App, subs...)
	if err != nil {
		return nil, err
	}
	return document{Data: objects, Meta: answer}, nil
}

func (a *API) resubscribe(c *call) (any, error) {
	webhook, tag, faults := a.subscriptionTarget(c.body)
	if len(faults) > 0 {
		return nil, a.invalid("", faults...)
	}
	id := liked.SubscriptionID(c.ids[0])
	if _, err := a.Store.Subscription(c.ctx, c.who.App, id); err != nil {
		return nil, a.subscriptionProblem(id, err)
	}
	s, err := a.Hooks.Resubscribe(c.ctx, c.who.App, id, webhook, tag)
	if err != nil {
		return nil, a.hookProblem(err, subscriptionReasons)
	}
	objects, err := a.newSubscriptions(c.ctx, s.App, s)
	if err != nil {
		return nil, err
	}
	n, err := a.Store.CountSubscriptions(c.ctx, s.App, 0)
	if err != nil {
		return nil, err
	}
	return document{Data: resubscribed{objects[0], n}}, nil
}

func (a *API) unsubscribe(c *call) (any, error) {
	id := liked.SubscriptionID(c.ids[0])
	if err := a.Store.DeleteSubscription(c.ctx, c.who.App, id); err != nil {
		return nil, a.subscriptionProblem(id, err)
	}
	n, err := a.Store.CountSubscriptions(c.ctx, c.who.App, 0)
	if err != nil {
		return nil, err
	}
	return document{Data: deletion{true}, Meta: total{Total: n}}, nil
}

// subscriptionProblem turns NotFound into X's refusal.
func (a *API) subscriptionProblem(id liked.SubscriptionID, err error) error {
	if liked.KindOf(err) != liked.NotFound {
		return err
	}
	return a.invalid("", fault{object{"subscription_id", []string{id.String()}},
		"SubscriptionIdInvalid: the app has no subscription " + id.String()})
}

type activityObject struct {
	UUID     string          `json:"event_uuid"`
	Filter   filterObject    `json:"filter"`
	Type     string          `json:"event_type"`
	Tag      string          `json:"tag,omitempty"`
	Payload  activityPayload `json:"payload"`
	Includes *includes       `json:"includes,omitempty"`
}

type activityPayload struct {
	likeObject
	TimestampMS int64 `json:"timestamp_ms,string"`
}

// integers are the members of an event with an integer. X doubles them as strings.
var integers = regexp.MustCompile(`"([a-z_]+)":(-?[0-9]+)([,}])`)

// Activity returns the writer of webhook events: the body for a like and a subscription, or nil if the subscriber may
// not see it (any longer). It needs Store, Profile, PageKey and PrivateLikes.
func Activity(o Options) (write func(context.Context, liked.Subscription, liked.LikeEvent) ([]byte, error)) {
	v := activity{
		API: &API{Options: o, catalogue: newCatalogue(o.Profile.facts()), ids: o.likeIDs()},
		wanted: newWanted(nil,
			words("author_id conversation_id created_at in_reply_to_user_id lang public_metrics referenced_tweets reply_settings"),
			nil,
			words(`created_at description location most_recent_tweet_id pinned_tweet_id profile_image_url protected public_metrics
				url verified`)),
	}
	return v.write
}

type activity struct {
	*API
	wanted
}

func (v *activity) write(ctx context.Context, s liked.Subscription, e liked.LikeEvent) ([]byte, error) {
	ok, err := v.consented(ctx, &s)
	if err != nil || !ok {
		return nil, err
	}
	mine := s.Viewer == e.User || s.Viewer == e.Author && s.Viewer != 0
	if v.PrivateLikes && !mine {
		return nil, nil
	}
	seen, err := v.Store.Posts(ctx, s.Viewer, []liked.PostID{e.Post}, v.postMetrics())
	if err != nil || seen[0].Err != nil && !mine {
		return nil, err
	}
	people, err := v.visible(ctx, s.Viewer, e.User, e.Author)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(people, func(u liked.User) bool { return u.ID == e.User }) {
		return nil, nil
	}
	like := v.newLike(&e)
	like.LikedTweetAuthor = e.Author
	users, err := v.userObjects(&call{ctx: ctx, who: liked.Principal{User: s.Viewer}}, &v.wanted, people)
	if err != nil {
		return nil, err
	}
	event := activityObject{UUID: eventUUID(&s, &e), Filter: newFilter(&s), Type: likeCreate, Tag: s.Tag,
		Payload: activityPayload{like, like.TimestampMS}, Includes: &includes{Users: users}}
	if seen[0].Err == nil {
		event.Includes.Tweets = []*postObject{v.newPost(&seen[0].Post)}
	}
	text, err := encode(document{Data: event})
	return integers.ReplaceAll(text, []byte(`"$1":$2,"${1}_str":"$2"$3`)), err
}

// consented reports whether the subscriber still consents to the app.
func (v *activity) consented(ctx context.Context, s *liked.Subscription) (bool, error) {
	if s.Viewer == 0 {
		return !v.PrivateLikes, nil
	}
	grants, err := v.Store.GrantsOf(ctx, s.Viewer)
	return slices.ContainsFunc(grants, func(g store.Grant) bool {
		return g.App == s.App && (g.OAuth1 || g.Scopes.Has(liked.LikeRead))
	}), err
}

// visible returns the liker and the author, in this order, except those hidden from the viewer.
func (v *activity) visible(ctx context.Context, viewer, liker, author liked.UserID) (people []liked.User, err error) {
	found, err := v.Store.UsersByID(ctx, slices.Compact([]liked.UserID{liker, author}), v.userMetrics())
	if err != nil {
		return nil, err
	}
	relations := make([]store.Relation, len(found)) // none of a viewer who is no user
	if viewer != 0 {
		var ids []liked.UserID
		for _, u := range found {
			ids = append(ids, u.ID)
		}
		if relations, err = v.Store.Relations(ctx, viewer, ids); err != nil {
			return nil, err
		}
	}
	for i, u := range found {
		if u.ID == viewer || !u.State.Hidden() && !relations[i].BlockedBy && (!u.Protected || relations[i].Follows) {
			people = append(people, u)
		}
	}
	return people, nil
}

// eventUUID is constant over deliveries of a like to a subscription, and differs between subscriptions.
func eventUUID(s *liked.Subscription, e *liked.LikeEvent) string {
	text := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(e.Seq)), uint64(s.ID))
	sum := sha256.Sum256(text)
	return strconv.FormatUint(binary.BigEndian.Uint64(sum[:])>>1, 10)
}
