package admin_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"liked"
	"liked/internal/admin"
	"liked/internal/enginetest"
	"liked/internal/store"
	"liked/internal/webhook"
)

// The list of dead letters has every letter once, wherever a page ends: here between two letters of one like.
func TestDeadLetterPages(t *testing.T) {
	t.Parallel()
	st := enginetest.Open(t)
	defer st.Close()
	ctx, now := t.Context(), time.Now()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(st.AddApp(ctx, store.App{App: liked.App{ID: 1, Name: "demo", ClientID: "c", APIKey: "k"}}))
	must(st.AddWebhook(ctx, liked.Webhook{ID: 1, App: 1, URL: "https://example.com", CreatedAt: now, Valid: true, Checked: now}, 1))
	const likes, each = 334, 3
	for n := range likes {
		var letters []store.DeadLetter
		for sub := range each {
			event := liked.LikeEvent{Seq: liked.SeqAt(now) + liked.Seq(n), On: true, User: 1, Post: 2, Author: 3, At: now}
			letters = append(letters, store.DeadLetter{Webhook: 1, Subscription: liked.SubscriptionID(sub + 1), Event: event, At: now, Attempts: 1})
		}
		_, err := st.AddDeadLetters(ctx, letters, 10_000)
		must(err)
	}
	hooks := webhook.New(webhook.Options{Store: st, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Secret: func(context.Context, liked.AppID) (string, error) { return "", nil }})
	h := admin.New(admin.Options{Store: st, Hooks: hooks, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	seen := map[string]bool{}
	for path := "/admin/webhooks/1/dead"; path != ""; {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		var page admin.DeadLetters
		if err := json.Unmarshal(rec.Body.Bytes(), &page); err != nil || rec.Code != 200 {
			t.Fatalf("%s: %d %s, %v", path, rec.Code, rec.Body, err)
		}
		for _, d := range page.DeadLetters {
			seen[d.Event+" "+d.Subscription.String()] = true
		}
		if path = ""; page.Next != "" {
			path = "/admin/webhooks/1/dead?after=" + page.Next
		}
	}
	if len(seen) != likes*each {
		t.Errorf("the list has %d letters, want %d", len(seen), likes*each)
	}
}
