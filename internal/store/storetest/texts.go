package storetest

import (
	"fmt"
	"reflect"
	"strings"

	"liked"
	"liked/internal/store"
)

// texts puts what no engine can keep into each text of each record, by each call that takes one: Invalid, and nothing
// was added. The texts are found by their type, so that a new one needs no line here.
func texts(t *T) {
	s := t.open()
	t.people(s, 1)
	t.post(s, 1, 1)
	t.ok(s.AddApp(t.ctx, newApp(1)))
	hook := liked.Webhook{ID: 1, App: 1, URL: "https://example.com/1", CreatedAt: start}
	t.ok(s.AddWebhook(t.ctx, hook, 9))
	sub := liked.Subscription{ID: 1, App: 1, User: uid(1), Webhook: 1, Tag: "x", CreatedAt: start}
	t.ok(s.AddSubscription(t.ctx, sub, 9))
	imports := func(rec store.Record) error {
		done, err := s.Import(t.ctx, []store.Record{rec}, true)
		if err == nil && len(done.Refused) == 1 {
			err = done.Refused[0].Err
		}
		return err
	}
	invalid := func(err error, format string, args ...any) {
		t.Helper()
		if e, is := err.(*liked.Error); !is || e.Kind != liked.Invalid {
			t.Errorf("%s: got error %v, want one of kind %v", fmt.Sprintf(format, args...), err, liked.Invalid)
		}
	}
	user, post, app := newUser(2), newPost(2, 1), newApp(2)
	hook2, sub2 := hook, sub
	hook2.ID, hook2.URL, sub2.ID, sub2.Webhook = 2, "https://example.com/2", 2, 2
	code, request := newCode(1), store.RequestToken{Token: hash("r"), App: 1, Callback: "oob", Expires: start}
	like := liked.LikeEvent{Seq: 1, User: uid(1), Post: pid(1), Author: uid(1)}
	letter := store.DeadLetter{Webhook: 1, Subscription: 1, Event: like, Why: "x"}
	word := struct{ Word string }{"x"}
	for _, c := range []struct {
		call   string
		record any // a pointer
		do     func() error
	}{
		{"AddUser", &user, func() error { return s.AddUser(t.ctx, user) }},
		{"UpdateUser", &user, func() error {
			return s.UpdateUser(t.ctx, uid(1), func(u *liked.User) error { *u = user; u.ID = uid(1); return nil })
		}},
		{"Import a user", &user, func() error { return imports(store.Record{User: &user}) }},
		{"Import an author", &user, func() error {
			p := store.Post{Post: newPost(2, 2), By: &user}
			return imports(store.Record{Post: &p})
		}},
		{"AddPost", &post, func() error { return s.AddPost(t.ctx, post) }},
		{"Publish", &post, func() error { return s.Publish(t.ctx, post) }},
		{"Import a post", &post, func() error { return imports(store.Record{Post: &store.Post{Post: post}}) }},
		{"AddApp", &app, func() error { return s.AddApp(t.ctx, app) }},
		{"UpdateApp", &app, func() error {
			return s.UpdateApp(t.ctx, 1, func(a *store.App) error { *a = app; a.ID = 1; return nil })
		}},
		{"SealKey", &word, func() error { _, err := s.SealKey(t.ctx, word.Word); return err }},
		{"SetSealKey", &word, func() error { return s.SetSealKey(t.ctx, word.Word) }},
		{"SetPassword", &word, func() error { return s.SetPassword(t.ctx, uid(1), word.Word) }},
		{"AddCode", &code, func() error { return s.AddCode(t.ctx, code) }},
		{"AddRequestToken", &request, func() error { return s.AddRequestToken(t.ctx, request) }},
		{"AddWebhook", &hook2, func() error { return s.AddWebhook(t.ctx, hook2, 9) }},
		{"UpdateWebhook", &hook, func() error {
			return s.UpdateWebhook(t.ctx, 1, func(w *liked.Webhook) error { *w = hook; return nil })
		}},
		{"AddSubscription", &sub2, func() error { return s.AddSubscription(t.ctx, sub2, 9) }},
		{"UpdateSubscription", &sub, func() error {
			return s.UpdateSubscription(t.ctx, 1, 1, func(to *liked.Subscription) error { to.Tag = sub.Tag; return nil })
		}},
		{"AddDeadLetters", &letter, func() error { _, err := s.AddDeadLetters(t.ctx, []store.DeadLetter{letter}, 9); return err }},
	} {
		fields := textsOf(reflect.ValueOf(c.record).Elem(), "")
		if len(fields) == 0 {
			t.Errorf("%s: %T has no text", c.call, c.record)
		}
		for name, field := range fields {
			for _, bad := range []string{"\x00", "a\x00", "\xff", "a\xed\xa0\x80"} {
				good := field.String()
				field.SetString(bad)
				invalid(c.do(), "%s with %s %q", c.call, name, bad)
				field.SetString(good)
			}
		}
	}
	for name, c := range map[string]struct {
		field       *string
		do          func() error
		least, most int
	}{
		"name":      {&user.Name, func() error { return s.AddUser(t.ctx, user) }, 1, 50},
		"username":  {&user.Username, func() error { return s.AddUser(t.ctx, user) }, 1, 15},
		"client id": {&app.ClientID, func() error { return s.AddApp(t.ctx, app) }, 1, 1000},
		"API key":   {&app.APIKey, func() error { return s.AddApp(t.ctx, app) }, 1, 1000},
		"URL":       {&hook2.URL, func() error { return s.AddWebhook(t.ctx, hook2, 9) }, 1, 2048},
		"tag":       {&sub2.Tag, func() error { return s.AddSubscription(t.ctx, sub2, 9) }, 0, 200},
	} {
		good := *c.field
		for _, n := range []int{c.least - 1, c.most + 1} {
			if n < 0 {
				continue
			}
			*c.field = strings.Repeat("a", n)
			invalid(c.do(), "a %s of %d", name, n)
		}
		*c.field = good
	}
	// None of it is there, so that all of it can be added. What is no text at all cannot be found.
	report := t.check(s)
	same(t, "users and posts", []int64{report.Users, report.Posts}, []int64{1, 1})
	t.ok(s.AddUser(t.ctx, user))
	t.ok(s.AddPost(t.ctx, post))
	t.ok(s.AddApp(t.ctx, app))
	t.ok(s.AddWebhook(t.ctx, hook2, 9))
	t.ok(s.AddSubscription(t.ctx, sub2, 9))
	t.ok(s.AddCode(t.ctx, code))
	t.ok(s.AddRequestToken(t.ctx, request))
	for _, none := range []string{"a\x00", "\xff"} {
		_, err := s.UserByUsername(t.ctx, none)
		t.fails(err, liked.NotFound)
		users, err := s.UsersByUsername(t.ctx, []string{none}, store.WithMetrics)
		t.ok(err)
		same(t, "users", users, nil)
		_, err = s.AppByClientID(t.ctx, none)
		t.fails(err, liked.NotFound)
		_, err = s.AppByAPIKey(t.ctx, none)
		t.fails(err, liked.NotFound)
	}
}

// textsOf finds the texts in a struct, in its structs and in its lists, by name.
func textsOf(v reflect.Value, name string) map[string]reflect.Value {
	all := make(map[string]reflect.Value)
	switch v.Kind() {
	case reflect.String:
		all[name] = v
	case reflect.Slice:
		for i := range v.Len() {
			for n, f := range textsOf(v.Index(i), fmt.Sprint(name, i)) {
				all[n] = f
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				for n, f := range textsOf(v.Field(i), name+"."+field.Name) {
					all[n] = f
				}
			}
		}
	}
	return all
}
