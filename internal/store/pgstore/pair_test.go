package pgstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"liked"
	"liked/internal/store"
)

// pair is two instances on one schema, as two servers have them. Each call goes to one of them.
type pair struct{ a, b *Store }

func (both *pair) one() *Store {
	if rand.IntN(2) == 0 {
		return both.a
	}
	return both.b
}

// Only one of them knows at once; the other may take 2 s.
func (both *pair) Generation(topic store.Topic) uint64 {
	return both.a.Generation(topic) + both.b.Generation(topic)
}

func (both *pair) PrincipalGeneration(app liked.AppID, user liked.UserID, grant store.GrantID) uint64 {
	return both.a.PrincipalGeneration(app, user, grant) + both.b.PrincipalGeneration(app, user, grant)
}

func (both *pair) SubscriptionGeneration(user liked.UserID) uint64 {
	return both.a.SubscriptionGeneration(user) + both.b.SubscriptionGeneration(user)
}

func (both *pair) Close() error { return errors.Join(both.a.Close(), both.b.Close()) }

// Leases are one server's.
func (both *pair) Hold(ctx context.Context, names []string, ttl time.Duration) ([]bool, error) {
	return both.a.Hold(ctx, names, ttl)
}

func (both *pair) Release(ctx context.Context, names []string) error {
	return both.a.Release(ctx, names)
}

// NewID rises for one server only.
func (both *pair) NewID(at time.Time) int64 { return both.a.NewID(at) }

func (both *pair) Liked(ctx context.Context, user liked.UserID, posts []liked.PostID) ([]bool, error) {
	return both.one().Liked(ctx, user, posts)
}

func (both *pair) LikedPosts(ctx context.Context, viewer liked.UserID, user liked.UserID, from store.Cursor,
	max int, metrics store.Metrics, space []liked.Post) (store.Page[liked.Post], error) {
	return both.one().LikedPosts(ctx, viewer, user, from, max, metrics, space)
}

func (both *pair) LikingUsers(ctx context.Context, viewer liked.UserID, post liked.PostID, from store.Cursor,
	max int, metrics store.Metrics, space []liked.User) (store.Page[liked.User], error) {
	return both.one().LikingUsers(ctx, viewer, post, from, max, metrics, space)
}

func (both *pair) SetLike(ctx context.Context, user liked.UserID, post liked.PostID, on bool, at time.Time) (changed bool, err error) {
	return both.one().SetLike(ctx, user, post, on, at)
}

func (both *pair) LikeLog(ctx context.Context, partition int, after liked.Seq, max int) ([]liked.LikeEvent, error) {
	return both.one().LikeLog(ctx, partition, after, max)
}

func (both *pair) LogEnds(ctx context.Context) (liked.Positions, error) {
	return both.one().LogEnds(ctx)
}

func (both *pair) User(ctx context.Context, id liked.UserID) (liked.User, error) {
	return both.one().User(ctx, id)
}

func (both *pair) UserByUsername(ctx context.Context, username string) (liked.User, error) {
	return both.one().UserByUsername(ctx, username)
}

func (both *pair) Users(ctx context.Context, after liked.UserID, max int) ([]liked.User, error) {
	return both.one().Users(ctx, after, max)
}

func (both *pair) UsersByID(ctx context.Context, ids []liked.UserID, m store.Metrics) ([]liked.User, error) {
	return both.one().UsersByID(ctx, ids, m)
}

func (both *pair) UsersByUsername(ctx context.Context, usernames []string, m store.Metrics) ([]liked.User, error) {
	return both.one().UsersByUsername(ctx, usernames, m)
}

func (both *pair) UsersNamed(ctx context.Context, prefix string, after string, max int) ([]liked.User, error) {
	return both.one().UsersNamed(ctx, prefix, after, max)
}

func (both *pair) LatestPosts(ctx context.Context, max int) ([]liked.Post, error) {
	return both.one().LatestPosts(ctx, max)
}

func (both *pair) NewestPosts(ctx context.Context, viewer liked.UserID, users []liked.UserID) ([]liked.PostID, error) {
	return both.one().NewestPosts(ctx, viewer, users)
}

func (both *pair) Post(ctx context.Context, viewer liked.UserID, id liked.PostID) (liked.Post, error) {
	return both.one().Post(ctx, viewer, id)
}

func (both *pair) Posts(ctx context.Context, viewer liked.UserID, ids []liked.PostID, m store.Metrics) ([]store.Seen, error) {
	return both.one().Posts(ctx, viewer, ids, m)
}

func (both *pair) PostsBy(ctx context.Context, author liked.UserID, before liked.PostID, max int) ([]liked.Post, error) {
	return both.one().PostsBy(ctx, author, before, max)
}

func (both *pair) Related(ctx context.Context, user liked.UserID, side store.Side, after liked.UserID, max int) ([]liked.User, error) {
	return both.one().Related(ctx, user, side, after, max)
}

func (both *pair) Relations(ctx context.Context, viewer liked.UserID, users []liked.UserID) ([]store.Relation, error) {
	return both.one().Relations(ctx, viewer, users)
}

func (both *pair) SetBlock(ctx context.Context, blocker liked.UserID, blocked liked.UserID, on bool) (changed bool, err error) {
	return both.one().SetBlock(ctx, blocker, blocked, on)
}

func (both *pair) SetFollow(ctx context.Context, follower liked.UserID, followed liked.UserID, on bool) (changed bool, err error) {
	return both.one().SetFollow(ctx, follower, followed, on)
}

func (both *pair) App(ctx context.Context, id liked.AppID) (store.App, error) {
	return both.one().App(ctx, id)
}

func (both *pair) AppByAPIKey(ctx context.Context, key string) (store.App, error) {
	return both.one().AppByAPIKey(ctx, key)
}

func (both *pair) AppByBearer(ctx context.Context, bearer store.Hash) (store.App, error) {
	return both.one().AppByBearer(ctx, bearer)
}

func (both *pair) AppByClientID(ctx context.Context, clientID string) (store.App, error) {
	return both.one().AppByClientID(ctx, clientID)
}

func (both *pair) Apps(ctx context.Context) ([]liked.App, error) {
	return both.one().Apps(ctx)
}

func (both *pair) Password(ctx context.Context, user liked.UserID) (encoded string, err error) {
	return both.one().Password(ctx, user)
}

func (both *pair) Code(ctx context.Context, code store.Hash) (store.Code, error) {
	return both.one().Code(ctx, code)
}

func (both *pair) AccessToken(ctx context.Context, token store.Hash) (store.AccessToken, store.Grant, error) {
	return both.one().AccessToken(ctx, token)
}

func (both *pair) GrantsOf(ctx context.Context, user liked.UserID) ([]store.Grant, error) {
	return both.one().GrantsOf(ctx, user)
}

func (both *pair) OAuth1Token(ctx context.Context, token store.Hash) (store.OAuth1Token, store.Grant, error) {
	return both.one().OAuth1Token(ctx, token)
}

func (both *pair) RefreshToken(ctx context.Context, token store.Hash) (store.RefreshToken, store.Grant, error) {
	return both.one().RefreshToken(ctx, token)
}

func (both *pair) RequestToken(ctx context.Context, token store.Hash) (store.RequestToken, error) {
	return both.one().RequestToken(ctx, token)
}

func (both *pair) Session(ctx context.Context, id store.Hash) (store.Session, error) {
	return both.one().Session(ctx, id)
}

func (both *pair) KnownSeed(ctx context.Context) (bool, error) {
	return both.one().KnownSeed(ctx)
}

func (both *pair) SealKey(ctx context.Context, name string) (kept string, err error) {
	return both.one().SealKey(ctx, name)
}

func (both *pair) Left(ctx context.Context, now time.Time, operation string, app liked.AppID, user liked.UserID,
	rules []liked.RateRule, states []liked.RateState) ([]liked.RateState, error) {
	return both.one().Left(ctx, now, operation, app, user, rules, states)
}

func (both *pair) Take(ctx context.Context, now time.Time, operation string, app liked.AppID, user liked.UserID,
	rules []liked.RateRule, states []liked.RateState) (_ []liked.RateState, ok bool, err error) {
	return both.one().Take(ctx, now, operation, app, user, rules, states)
}

func (both *pair) UseNonce(ctx context.Context, now time.Time, app liked.AppID, nonce store.Hash, until time.Time) (fresh bool, err error) {
	return both.one().UseNonce(ctx, now, app, nonce, until)
}

func (both *pair) Webhook(ctx context.Context, id liked.WebhookID) (liked.Webhook, error) {
	return both.one().Webhook(ctx, id)
}

func (both *pair) Webhooks(ctx context.Context, app liked.AppID) ([]liked.Webhook, error) {
	return both.one().Webhooks(ctx, app)
}

func (both *pair) CountSubscriptions(ctx context.Context, app liked.AppID, viewer liked.UserID) (int, error) {
	return both.one().CountSubscriptions(ctx, app, viewer)
}

func (both *pair) Subscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID) (liked.Subscription, error) {
	return both.one().Subscription(ctx, app, id)
}

func (both *pair) Subscriptions(ctx context.Context, app liked.AppID, viewer liked.UserID, after liked.SubscriptionID,
	max int) ([]liked.Subscription, error) {
	return both.one().Subscriptions(ctx, app, viewer, after, max)
}

func (both *pair) SubscriptionsAbout(ctx context.Context, users []liked.UserID) ([]liked.Subscription, error) {
	return both.one().SubscriptionsAbout(ctx, users)
}

func (both *pair) AddDeadLetters(ctx context.Context, letters []store.DeadLetter, max int) (dropped int, err error) {
	return both.one().AddDeadLetters(ctx, letters, max)
}

func (both *pair) DeadLetters(ctx context.Context, id liked.WebhookID, after store.DeadLetter, max int) ([]store.DeadLetter, error) {
	return both.one().DeadLetters(ctx, id, after, max)
}

func (both *pair) Progress(ctx context.Context, id liked.WebhookID) (store.Progress, error) {
	return both.one().Progress(ctx, id)
}

func (both *pair) Import(ctx context.Context, records []store.Record, keepGoing bool) (store.Imported, error) {
	return both.one().Import(ctx, records, keepGoing)
}

func (both *pair) Check(ctx context.Context) (store.Report, error) {
	return both.one().Check(ctx)
}

func (both *pair) Totals(ctx context.Context) (store.Totals, error) {
	return both.one().Totals(ctx)
}

func (both *pair) AddUser(ctx context.Context, u liked.User) error {
	return both.one().AddUser(ctx, u)
}

func (both *pair) UpdateUser(ctx context.Context, id liked.UserID, change func(*liked.User) error) error {
	return both.one().UpdateUser(ctx, id, change)
}

func (both *pair) AddPost(ctx context.Context, p liked.Post) error {
	return both.one().AddPost(ctx, p)
}

func (both *pair) DeletePost(ctx context.Context, by liked.UserID, id liked.PostID) error {
	return both.one().DeletePost(ctx, by, id)
}

func (both *pair) Publish(ctx context.Context, p liked.Post) error {
	return both.one().Publish(ctx, p)
}

func (both *pair) AddApp(ctx context.Context, app store.App) error {
	return both.one().AddApp(ctx, app)
}

func (both *pair) DeleteApp(ctx context.Context, id liked.AppID) error {
	return both.one().DeleteApp(ctx, id)
}

func (both *pair) UpdateApp(ctx context.Context, id liked.AppID, change func(*store.App) error) error {
	return both.one().UpdateApp(ctx, id, change)
}

func (both *pair) SetPassword(ctx context.Context, user liked.UserID, encoded string) error {
	return both.one().SetPassword(ctx, user, encoded)
}

func (both *pair) AddCode(ctx context.Context, c store.Code) error {
	return both.one().AddCode(ctx, c)
}

func (both *pair) RedeemCode(ctx context.Context, code store.Hash, g store.Grant, t store.Tokens, at time.Time) error {
	return both.one().RedeemCode(ctx, code, g, t, at)
}

func (both *pair) AddGrant(ctx context.Context, g store.Grant, t store.Tokens) error {
	return both.one().AddGrant(ctx, g, t)
}

func (both *pair) AddOAuth1Token(ctx context.Context, g store.Grant, t store.OAuth1Token) error {
	return both.one().AddOAuth1Token(ctx, g, t)
}

func (both *pair) ExpireTokens(ctx context.Context, id store.GrantID, at time.Time) error {
	return both.one().ExpireTokens(ctx, id, at)
}

func (both *pair) RevokeGrant(ctx context.Context, id store.GrantID) error {
	return both.one().RevokeGrant(ctx, id)
}

func (both *pair) RotateRefreshToken(ctx context.Context, token store.Hash, t store.Tokens, at time.Time, grace time.Duration) error {
	return both.one().RotateRefreshToken(ctx, token, t, at, grace)
}

func (both *pair) Withdraw(ctx context.Context, user liked.UserID, app liked.AppID) error {
	return both.one().Withdraw(ctx, user, app)
}

func (both *pair) AddRequestToken(ctx context.Context, t store.RequestToken) error {
	return both.one().AddRequestToken(ctx, t)
}

func (both *pair) ApproveRequestToken(ctx context.Context, token store.Hash, user liked.UserID, verifier store.Hash) error {
	return both.one().ApproveRequestToken(ctx, token, user, verifier)
}

func (both *pair) RedeemRequestToken(ctx context.Context, token store.Hash, g store.Grant, t store.OAuth1Token) error {
	return both.one().RedeemRequestToken(ctx, token, g, t)
}

func (both *pair) AddSession(ctx context.Context, s store.Session) error {
	return both.one().AddSession(ctx, s)
}

func (both *pair) DeleteSession(ctx context.Context, id store.Hash) error {
	return both.one().DeleteSession(ctx, id)
}

func (both *pair) SetKnownSeed(ctx context.Context) error {
	return both.one().SetKnownSeed(ctx)
}

func (both *pair) SetSealKey(ctx context.Context, name string) error {
	return both.one().SetSealKey(ctx, name)
}

func (both *pair) GiveBack(ctx context.Context, now time.Time, operation string, app liked.AppID, user liked.UserID,
	rules []liked.RateRule) error {
	return both.one().GiveBack(ctx, now, operation, app, user, rules)
}

func (both *pair) AddWebhook(ctx context.Context, w liked.Webhook, max int) error {
	return both.one().AddWebhook(ctx, w, max)
}

func (both *pair) DeleteWebhook(ctx context.Context, id liked.WebhookID) error {
	return both.one().DeleteWebhook(ctx, id)
}

func (both *pair) UpdateWebhook(ctx context.Context, id liked.WebhookID, change func(*liked.Webhook) error) error {
	return both.one().UpdateWebhook(ctx, id, change)
}

func (both *pair) AddSubscription(ctx context.Context, s liked.Subscription, max int) error {
	return both.one().AddSubscription(ctx, s, max)
}

func (both *pair) DeleteSubscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID) error {
	return both.one().DeleteSubscription(ctx, app, id)
}

func (both *pair) UpdateSubscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID,
	change func(*liked.Subscription) error) error {
	return both.one().UpdateSubscription(ctx, app, id, change)
}

func (both *pair) Advance(ctx context.Context, to map[liked.WebhookID]liked.Positions) error {
	return both.one().Advance(ctx, to)
}

func (both *pair) RemoveDeadLetter(ctx context.Context, d store.DeadLetter) error {
	return both.one().RemoveDeadLetter(ctx, d)
}

func (both *pair) Settle(ctx context.Context) error {
	return both.one().Settle(ctx)
}

func (both *pair) Export(ctx context.Context, each func(store.Record) error) error {
	return both.one().Export(ctx, each)
}

func (both *pair) Sweep(ctx context.Context, now time.Time) error {
	return both.one().Sweep(ctx, now)
}

func (both *pair) Windows(ctx context.Context, now time.Time, of store.Callers) ([]store.Window, error) {
	return both.one().Windows(ctx, now, of)
}

func (both *pair) ResetWindows(ctx context.Context, of store.Callers) (int, error) {
	return both.one().ResetWindows(ctx, of)
}

func (both *pair) ExpireRefreshToken(ctx context.Context, id store.GrantID) error {
	return both.one().ExpireRefreshToken(ctx, id)
}

func (both *pair) ExpireCodes(ctx context.Context, code store.Hash, user liked.UserID, app liked.AppID, at time.Time) error {
	return both.one().ExpireCodes(ctx, code, user, app, at)
}
