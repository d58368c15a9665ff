package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"liked"
	"liked/internal/likelog"
	"liked/internal/store"
	"liked/internal/store/pebblestore"
	"liked/internal/webhook"
)

// BenchmarkIdleWebhooks is of likes beside webhooks that have subscribed to none of them.
func BenchmarkIdleWebhooks(b *testing.B) {
	for _, webhooks := range []int{0, 50, 200} {
		b.Run(fmt.Sprint("webhooks=", webhooks), func(b *testing.B) {
			st, err := pebblestore.Open(pebblestore.Options{Dir: b.TempDir()})
			ok := func(err error) {
				if err != nil {
					b.Error(err)
				}
			}
			ok(err)
			defer st.Close()
			ctx, now := b.Context(), time.Now()
			const users, posts = 10_000, 10_000
			var adding sync.WaitGroup
			for part := range 64 {
				adding.Go(func() {
					for id := 1 + part; id <= users; id += 64 {
						ok(st.AddUser(ctx, liked.User{ID: liked.UserID(id), Username: fmt.Sprint("u", id), Name: "U", CreatedAt: now}))
					}
				})
			}
			adding.Wait()
			for part := range 64 {
				adding.Go(func() {
					for id := 1 + part; id <= posts; id += 64 {
						ok(st.AddPost(ctx, liked.Post{ID: liked.PostID(id), Author: liked.UserID(id), Text: "x", CreatedAt: now}))
					}
				})
			}
			adding.Wait()
			for n := range webhooks {
				app := liked.AppID(1 + n/5)
				if n%5 == 0 {
					ok(st.AddApp(ctx, store.App{App: liked.App{ID: app, Name: "demo", ClientID: "c" + app.String(), APIKey: "k" + app.String()}}))
				}
				w := liked.Webhook{ID: liked.WebhookID(n + 1), App: app, URL: fmt.Sprint("http://localhost/", n), Valid: true, Checked: now}
				ok(st.AddWebhook(ctx, w, 5))
			}
			hooks := webhook.New(webhook.Options{Store: st, Log: likelog.New(st), Now: time.Now, Logger: slog.New(slog.DiscardHandler),
				Secret: func(context.Context, liked.AppID) (string, error) { return secret, nil },
				Render: func(_ context.Context, s liked.Subscription, e liked.LikeEvent) ([]byte, error) {
					return json.Marshal(e)
				}})
			running, stop := context.WithCancel(ctx)
			ended := make(chan struct{})
			go func() { defer close(ended); hooks.Run(running) }()
			defer func() { stop(); <-ended }()
			time.Sleep(100 * time.Millisecond) // they have begun

			var n atomic.Int64
			b.SetParallelism(128)
			b.ResetTimer()
			before := processorTime(b)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := int(n.Add(1))
					_, err := st.SetLike(ctx, liked.UserID(1+i%users), liked.PostID(1+(i/users+i*7)%posts), true, now)
					ok(err)
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "likes/s")
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/like")
		})
	}
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
