package storetest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"liked"
	"liked/internal/store"
)

var hookTests = []test{
	{"webhooks", hookWebhooks},
	{"subscriptions", hookSubscriptions},
	{"subscriptions by user", hookAbout},
	{"a subscription begins where the log ends", hookBegins},
	{"offsets never go back", hookOffsets},
	{"generation", hookGeneration},
	{"dead letters", hookDeadLetters},
	{"pages of dead letters", hookLetterPages},
	{"survive crashes", hookCrash},
	{"many at once", hookRace},
}

func newWebhook(n, app int) liked.Webhook {
	return liked.Webhook{ID: liked.WebhookID(n), App: liked.AppID(app), URL: "https://example.com/" + string(rune('a'+n)), CreatedAt: start,
		Valid: true, Checked: start.Add(time.Minute)}
}

func newSubscription(n, app, user int) liked.Subscription {
	return liked.Subscription{
		ID: liked.SubscriptionID(n), App: liked.AppID(app), Viewer: uid(user), User: uid(user), Webhook: 1, Tag: "é",
		CreatedAt: start, UpdatedAt: start,
	}
}

func hookWebhooks(t *T) {
	s := t.open()
	t.fails(s.AddWebhook(t.ctx, newWebhook(1, 1), 2), liked.NotFound)
	t.ok(s.AddApp(t.ctx, newApp(1)))
	t.ok(s.AddApp(t.ctx, newApp(2)))
	t.fails(s.AddWebhook(t.ctx, liked.Webhook{ID: 1, App: 1}, 2), liked.Invalid)
	t.fails(s.AddWebhook(t.ctx, newWebhook(0, 1), 2), liked.Invalid)
	t.fails(s.AddWebhook(t.ctx, newWebhook(1, 1), 0), liked.Forbidden)
	t.ok(s.AddWebhook(t.ctx, newWebhook(2, 1), 2))
	t.fails(s.AddWebhook(t.ctx, newWebhook(2, 2), 2), liked.Conflict)
	twice := newWebhook(3, 1)
	twice.URL = newWebhook(2, 1).URL
	t.fails(s.AddWebhook(t.ctx, twice, 2), liked.Conflict)
	twice.App = 2
	t.ok(s.AddWebhook(t.ctx, twice, 2))
	t.ok(s.AddWebhook(t.ctx, newWebhook(1, 1), 2))
	t.fails(s.AddWebhook(t.ctx, newWebhook(4, 1), 2), liked.Forbidden)

	changed := newWebhook(1, 1)
	changed.Valid, changed.Why = false, "it said 500"
	changed.Replay = liked.Replay{ID: 7, CreatedAt: start, Dead: true, From: start, To: start.Add(time.Hour)}
	t.ok(s.UpdateWebhook(t.ctx, 1, func(w *liked.Webhook) error { *w = changed; return nil }))
	want := []liked.Webhook{changed, newWebhook(2, 1), twice}
	for range 2 {
		all, err := s.Webhooks(t.ctx, 0)
		t.ok(err)
		same(t, "webhooks", all, want)
		s = t.Reopen(t, s)
		t.end(s)
	}
	own := liked.Errorf(liked.Forbidden, "no")
	if err := s.UpdateWebhook(t.ctx, 1, func(w *liked.Webhook) error { w.Valid = true; return own }); err != own {
		t.Errorf("got error %v, want that of change", err)
	}
	t.fails(s.UpdateWebhook(t.ctx, 1, func(w *liked.Webhook) error { w.URL = "x"; return nil }), liked.Invalid)
	t.fails(s.UpdateWebhook(t.ctx, 9, func(*liked.Webhook) error { return nil }), liked.NotFound)
	t.ok(s.DeleteWebhook(t.ctx, 1))
	t.fails(s.DeleteWebhook(t.ctx, 1), liked.NotFound)
	_, err := s.Progress(t.ctx, 1)
	t.fails(err, liked.NotFound)
	all, err := s.Webhooks(t.ctx, 0)
	t.ok(err)
	same(t, "webhooks that are left", all, want[1:])
	for app, want := range map[liked.AppID][]liked.Webhook{1: want[1:2], 2: want[2:], 3: nil} {
		own, err := s.Webhooks(t.ctx, app)
		t.ok(err)
		same(t, "webhooks of an app", own, want)
	}
	w, err := s.Webhook(t.ctx, 2)
	t.ok(err)
	same(t, "webhook", w, want[1])
	_, err = s.Webhook(t.ctx, 1)
	t.fails(err, liked.NotFound)
}

func hookSubscriptions(t *T) {
	s := t.open()
	t.fails(s.AddSubscription(t.ctx, newSubscription(1, 1, 1), 9), liked.NotFound)
	t.ok(s.AddApp(t.ctx, newApp(1)))
	t.ok(s.AddApp(t.ctx, newApp(2)))
	bad := newSubscription(1, 1, 1)
	bad.Tag = string(slices.Repeat([]byte("x"), 201))
	t.fails(s.AddSubscription(t.ctx, bad, 9), liked.Invalid)
	for n := 1; n <= 5; n++ {
		t.ok(s.AddSubscription(t.ctx, newSubscription(n, 1, n), 5))
	}
	t.fails(s.AddSubscription(t.ctx, newSubscription(6, 1, 6), 5), liked.Forbidden)
	t.fails(s.AddSubscription(t.ctx, newSubscription(5, 1, 6), 9), liked.Conflict)
	t.fails(s.AddSubscription(t.ctx, newSubscription(6, 1, 5), 9), liked.Conflict)
	inbound := newSubscription(6, 1, 5)
	inbound.Direction = liked.Inbound
	t.ok(s.AddSubscription(t.ctx, inbound, 9))
	t.ok(s.AddSubscription(t.ctx, newSubscription(6, 2, 5), 1))

	ids := func(from, max int) (ids []int) {
		t.Helper()
		subs, err := s.Subscriptions(t.ctx, 1, 0, liked.SubscriptionID(from), max)
		t.ok(err)
		for _, sub := range subs {
			ids = append(ids, int(sub.ID))
		}
		return ids
	}
	same(t, "page", ids(2, 3), []int{3, 4, 5})
	same(t, "last page", ids(5, 3), []int{6})
	same(t, "after the last", ids(6, 3), nil)
	_, err := s.Subscriptions(t.ctx, 1, 0, 0, 0)
	t.fails(err, liked.Invalid)

	moved := newSubscription(1, 1, 1)
	moved.Webhook, moved.Tag, moved.UpdatedAt = 2, "", start.Add(time.Hour)
	t.ok(s.UpdateSubscription(t.ctx, 1, 1, func(sub *liked.Subscription) error { *sub = moved; return nil }))
	t.ok(s.AddSubscription(t.ctx, newSubscription(7, 1, 1), 9)) // its place is free
	t.fails(s.UpdateSubscription(t.ctx, 1, 1, func(sub *liked.Subscription) error { sub.Webhook = 1; return nil }), liked.Conflict)
	t.fails(s.UpdateSubscription(t.ctx, 1, 1, func(sub *liked.Subscription) error { sub.User = uid(9); return nil }), liked.Invalid)
	t.fails(s.UpdateSubscription(t.ctx, 2, 1, func(*liked.Subscription) error { return nil }), liked.NotFound)
	s = t.Reopen(t, s)
	t.end(s)
	subs, err := s.Subscriptions(t.ctx, 1, 0, 0, 1)
	t.ok(err)
	same(t, "subscription", subs, []liked.Subscription{moved})
	t.ok(s.DeleteSubscription(t.ctx, 1, 1))
	t.fails(s.DeleteSubscription(t.ctx, 1, 1), liked.NotFound)
	same(t, "what is left", ids(0, 9), []int{2, 3, 4, 5, 6, 7})
}

// hookAbout finds subscriptions by whom they are about and by who made them, and counts them.
func hookAbout(t *T) {
	s := t.open()
	t.ok(s.AddApp(t.ctx, newApp(1)))
	t.ok(s.AddApp(t.ctx, newApp(2)))
	all := map[string]liked.Subscription{}
	expect := func() {
		t.Helper()
		about, counts := map[liked.UserID][]liked.Subscription{}, map[[2]int64]int{}
		for _, key := range slices.Sorted(maps.Keys(all)) {
			sub := all[key]
			about[sub.User] = append(about[sub.User], sub)
			counts[[2]int64{int64(sub.App), 0}]++
			if sub.Viewer != 0 {
				counts[[2]int64{int64(sub.App), int64(sub.Viewer)}]++
			}
		}
		for user := 1; user <= 4; user++ {
			got, err := s.SubscriptionsAbout(t.ctx, []liked.UserID{uid(9), uid(user), uid(user)})
			t.ok(err)
			same(t, "subscriptions about a user", got, about[uid(user)])
		}
		got, err := s.SubscriptionsAbout(t.ctx, []liked.UserID{uid(2), uid(1)})
		t.ok(err)
		same(t, "subscriptions about two", got, append(slices.Clip(about[uid(1)]), about[uid(2)]...))
		for app := liked.AppID(1); app <= 3; app++ {
			for _, viewer := range []liked.UserID{0, uid(1), uid(7), uid(8)} {
				n, err := s.CountSubscriptions(t.ctx, app, viewer)
				t.ok(err)
				same(t, "count", n, counts[[2]int64{int64(app), int64(viewer)}])
				var listed []liked.Subscription
				for last := liked.SubscriptionID(0); ; last = listed[len(listed)-1].ID {
					page, err := s.Subscriptions(t.ctx, app, viewer, last, 2)
					t.ok(err)
					if len(page) == 0 {
						break
					}
					listed = append(listed, page...)
				}
				same(t, "listed", len(listed), n)
				for _, sub := range listed {
					if sub.App != app || viewer != 0 && sub.Viewer != viewer {
						t.Errorf("got subscription %+v among those of app %v and viewer %v", sub, app, viewer)
					}
				}
			}
		}
	}
	expect()
	for n := 1; n <= 12; n++ {
		sub := newSubscription(n, 1+n%2, 1+n%3)
		sub.Viewer, sub.Webhook = []liked.UserID{0, uid(7), uid(8)}[n/2%3], liked.WebhookID(n)
		t.ok(s.AddSubscription(t.ctx, sub, 99))
		kept, err := s.Subscription(t.ctx, sub.App, sub.ID)
		t.ok(err)
		sub.After = kept.After
		same(t, "subscription", kept, sub)
		all[fmt.Sprintf("%d %02d", sub.App, n)] = sub
	}
	expect()
	_, err := s.Subscription(t.ctx, 1, 1)
	t.fails(err, liked.NotFound)
	for key, sub := range all {
		switch sub.ID % 4 {
		case 0:
			before := s.SubscriptionGeneration(sub.User)
			t.ok(s.DeleteSubscription(t.ctx, sub.App, sub.ID))
			delete(all, key)
			if s.SubscriptionGeneration(sub.User) == before {
				t.Error("the generation of a user stays as it was when a subscription ends")
			}
		case 1:
			sub.Webhook, sub.Tag = 99, "moved"
			before := s.SubscriptionGeneration(sub.User)
			t.ok(s.UpdateSubscription(t.ctx, sub.App, sub.ID, func(s *liked.Subscription) error { *s = sub; return nil }))
			all[key] = sub
			if s.SubscriptionGeneration(sub.User) == before {
				t.Error("the generation of a user stays as it was when a subscription changes")
			}
		}
	}
	expect()
	s = t.Reopen(t, s)
	t.end(s)
	expect()
}

func hookBegins(t *T) {
	s := t.open()
	t.ok(s.AddApp(t.ctx, newApp(1)))
	t.people(s, 3)
	t.post(s, 1, 3)
	t.like(s, 1, 1, true, true)
	t.ok(s.AddWebhook(t.ctx, newWebhook(1, 1), 1))
	t.ok(s.AddSubscription(t.ctx, newSubscription(1, 1, 3), 1))
	t.like(s, 2, 1, true, true)
	subs, err := s.Subscriptions(t.ctx, 1, 0, 0, 1)
	t.ok(err)
	p, err := s.Progress(t.ctx, 1)
	t.ok(err)
	for partition, events := range t.log(s) {
		for _, e := range events {
			if is := e.Seq > p.Offsets[partition]; is != (e.User == uid(2)) {
				t.Errorf("like by user %d: got %v that it is after the webhook's place", number(e.User), is)
			}
			if wants := subs[0].Wants(e); wants != (e.User == uid(2)) {
				t.Errorf("like by user %d: got %v that the subscription is about it", number(e.User), wants)
			}
		}
	}
}

// hookGeneration changes with each change of a webhook or a subscription, and with nothing else.
func hookGeneration(t *T) {
	s := t.open()
	t.people(s, 2)
	t.post(s, 1, 1)
	t.ok(s.AddApp(t.ctx, newApp(1)))
	for _, step := range []struct {
		name    string
		changes bool
		do      func() error
	}{
		{"webhook added", true, func() error { return s.AddWebhook(t.ctx, newWebhook(1, 1), 5) }},
		{"webhook changed", true, func() error {
			return s.UpdateWebhook(t.ctx, 1, func(w *liked.Webhook) error { w.Valid = false; return nil })
		}},
		{"subscription added", true, func() error { return s.AddSubscription(t.ctx, newSubscription(1, 1, 1), 5) }},
		{"subscription changed", true, func() error {
			return s.UpdateSubscription(t.ctx, 1, 1, func(s *liked.Subscription) error { s.Tag = "new"; return nil })
		}},
		{"progress", false, func() error {
			return s.Advance(t.ctx, map[liked.WebhookID]liked.Positions{1: {1 << 50}})
		}},
		{"like", false, func() error { t.like(s, 1, 1, true, true); return nil }},
		{"app changed", false, func() error { return s.UpdateApp(t.ctx, 1, func(*store.App) error { return nil }) }},
		{"subscription ended", true, func() error { return s.DeleteSubscription(t.ctx, 1, 1) }},
		{"webhook deleted", true, func() error { return s.DeleteWebhook(t.ctx, 1) }},
	} {
		before := s.Generation(store.Webhooks)
		t.ok(step.do())
		if changed := s.Generation(store.Webhooks) != before; changed != step.changes {
			t.Errorf("%s: the generation changed: %v", step.name, changed)
		}
	}
}

func hookOffsets(t *T) {
	s := t.open()
	t.ok(s.AddApp(t.ctx, newApp(1)))
	t.ok(s.AddWebhook(t.ctx, newWebhook(1, 1), 9))
	t.ok(s.AddWebhook(t.ctx, newWebhook(2, 1), 9))
	var a, b liked.Positions
	a[0], a[3], b[3], b[19] = 7, 8, 5, 9
	t.ok(s.Advance(t.ctx, map[liked.WebhookID]liked.Positions{1: a, 9: a}))
	t.ok(s.Advance(t.ctx, map[liked.WebhookID]liked.Positions{1: b, 2: b}))
	s = t.Reopen(t, s)
	t.end(s)
	want := a
	want[19] = 9
	for id, want := range map[liked.WebhookID]liked.Positions{1: want, 2: b} {
		p, err := s.Progress(t.ctx, id)
		t.ok(err)
		same(t, "progress", p, store.Progress{Offsets: want})
	}
	_, err := s.Progress(t.ctx, 9)
	t.fails(err, liked.NotFound)
}

// letter makes a dead letter; its event is as the log could have it.
func letter(webhook, seq int) store.DeadLetter {
	return store.DeadLetter{Webhook: liked.WebhookID(webhook), Subscription: 3, At: start, Attempts: seq, Why: "it said 500",
		Event: liked.LikeEvent{Seq: liked.Seq(seq) << 20, On: true, User: uid(1), Post: pid(2), Author: uid(3), At: start}}
}

func hookDeadLetters(t *T) {
	s := t.open()
	t.ok(s.AddApp(t.ctx, newApp(1)))
	t.ok(s.AddWebhook(t.ctx, newWebhook(1, 1), 9))
	t.ok(s.AddWebhook(t.ctx, newWebhook(2, 1), 9))
	add := func(d store.DeadLetter, drops int) {
		t.Helper()
		dropped, err := s.AddDeadLetters(t.ctx, []store.DeadLetter{d}, 4)
		t.ok(err)
		same(t, "dropped", dropped, drops)
	}
	seqs := func(webhook int, after store.DeadLetter, max int) (seqs []int) {
		t.Helper()
		letters, err := s.DeadLetters(t.ctx, liked.WebhookID(webhook), after, max)
		t.ok(err)
		for _, d := range letters {
			seqs = append(seqs, int(d.Event.Seq>>20))
			same(t, "letter", d, letter(webhook, int(d.Event.Seq>>20)))
		}
		return seqs
	}
	add(letter(9, 1), 0) // of no webhook
	for _, seq := range []int{5, 3, 4, 3, 6} {
		add(letter(1, seq), 0)
	}
	add(letter(2, 1), 0)
	add(letter(1, 7), 1)
	add(letter(1, 7), 0)
	same(t, "letters", seqs(1, store.DeadLetter{}, 9), []int{4, 5, 6, 7})
	same(t, "page", seqs(1, letter(1, 4), 2), []int{5, 6})
	t.ok(s.RemoveDeadLetter(t.ctx, letter(1, 5)))
	t.ok(s.RemoveDeadLetter(t.ctx, letter(1, 5)))
	s = t.Reopen(t, s)
	t.end(s)
	same(t, "letters that are left", seqs(1, store.DeadLetter{}, 9), []int{4, 6, 7})
	p, err := s.Progress(t.ctx, 1)
	t.ok(err)
	same(t, "number", p.Dead, 3)
	moved := 0
	for _, offset := range p.Offsets {
		if offset == 7<<20 {
			moved++
		} else if offset != 0 {
			t.Errorf("got offset %d", offset)
		}
	}
	same(t, "offsets that moved", moved, 1)
	t.ok(s.DeleteWebhook(t.ctx, 1))
	same(t, "letters of a webhook that is gone", seqs(1, store.DeadLetter{}, 9), nil)
	same(t, "letters of another", seqs(2, store.DeadLetter{}, 9), []int{1})
	_, err = s.DeadLetters(t.ctx, 2, store.DeadLetter{}, 0)
	t.fails(err, liked.Invalid)
	for _, letters := range [][]store.DeadLetter{
		nil, {letter(2, 1), letter(2, 2)}, {letter(2, 1), letter(3, 1)}, {letter(2, 1), of(2, 1, 4)},
	} {
		_, err = s.AddDeadLetters(t.ctx, letters, 1)
		t.fails(err, liked.Invalid)
	}
}

// of makes a dead letter for another subscription.
func of(webhook, seq, subscription int) store.DeadLetter {
	d := letter(webhook, seq)
	d.Subscription = liked.SubscriptionID(subscription)
	return d
}

// hookLetterPages has several letters for one event, which a page may end in.
func hookLetterPages(t *T) {
	s := t.open()
	t.ok(s.AddApp(t.ctx, newApp(1)))
	t.ok(s.AddWebhook(t.ctx, newWebhook(1, 1), 9))
	var want []store.DeadLetter
	for seq := 1; seq <= 4; seq++ {
		letters := []store.DeadLetter{of(1, seq, 2), of(1, seq, 3), of(1, seq, 9)}
		_, err := s.AddDeadLetters(t.ctx, letters, 12)
		t.ok(err)
		want = append(want, letters...)
	}
	for page := 1; page <= 5; page++ {
		var got []store.DeadLetter
		for last := (store.DeadLetter{}); ; last = got[len(got)-1] {
			letters, err := s.DeadLetters(t.ctx, 1, last, page)
			t.ok(err)
			if len(letters) == 0 {
				break
			}
			got = append(got, letters...)
		}
		same(t, "letters", got, want)
	}
	dropped, err := s.AddDeadLetters(t.ctx, []store.DeadLetter{of(1, 1, 9), of(1, 1, 10), of(1, 1, 11)}, 12)
	t.ok(err)
	same(t, "dropped", dropped, 2)
	p, err := s.Progress(t.ctx, 1)
	t.ok(err)
	same(t, "number", p.Dead, 12)
	letters, err := s.DeadLetters(t.ctx, 1, store.DeadLetter{}, 4)
	t.ok(err)
	same(t, "oldest letters", letters, []store.DeadLetter{of(1, 1, 9), of(1, 1, 10), of(1, 1, 11), of(1, 2, 2)})
}

// hookCrash proves that what was acknowledged is there after a crash that keeps nothing else.
func hookCrash(t *T) {
	s := t.open()
	t.ok(s.AddApp(t.ctx, newApp(1)))
	t.ok(s.AddWebhook(t.ctx, newWebhook(1, 1), 9))
	for n := 1; n <= repeat(20); n++ {
		t.ok(s.AddSubscription(t.ctx, newSubscription(n, 1, n), 99))
		_, err := s.AddDeadLetters(t.ctx, []store.DeadLetter{letter(1, 10*n)}, 99)
		t.ok(err)
		if n%2 == 0 {
			t.ok(s.RemoveDeadLetter(t.ctx, letter(1, 10*n)))
			t.ok(s.DeleteSubscription(t.ctx, 1, liked.SubscriptionID(n)))
		}
		crashed := t.Kill(t, s)()
		t.end(crashed)
		p, err := crashed.Progress(t.ctx, 1)
		t.ok(err)
		same(t, "letters", p.Dead, (n+1)/2)
		same(t, "place", slices.Max(p.Offsets[:]), liked.Seq(10*n)<<20)
		subs, err := crashed.Subscriptions(t.ctx, 1, 0, 0, 99)
		t.ok(err)
		same(t, "subscriptions", len(subs), (n+1)/2)
	}
}

// hookRace lets many add what only some of them can.
func hookRace(t *T) {
	s := t.open()
	t.ok(s.AddApp(t.ctx, newApp(1)))
	added := make(chan int, 64)
	together(16, func(i int) {
		switch err := s.AddWebhook(t.ctx, newWebhook(1+i%8, 1), 3); {
		case err == nil:
			added <- i
		case liked.KindOf(err) != liked.Conflict && liked.KindOf(err) != liked.Forbidden:
			t.Errorf("AddWebhook: %v", err)
		}
	})
	same(t, "webhooks added", len(added), 3)
	together(16, func(i int) {
		sub := newSubscription(1+i, 1, 1+i%8)
		switch err := s.AddSubscription(t.ctx, sub, 5); {
		case err == nil:
			added <- i
		case liked.KindOf(err) != liked.Conflict && liked.KindOf(err) != liked.Forbidden:
			t.Errorf("AddSubscription: %v", err)
		}
	})
	same(t, "subscriptions added", len(added), 3+5)
}
