package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"liked"
	"liked/internal/clock"
	"liked/internal/exchange"
	"liked/internal/likelog"
	"liked/internal/store"
)

func (k *hook) replays(ctx context.Context) {
	for {
		w, ok := k.until(ctx, func(w liked.Webhook) bool { return w.Replay.ID != 0 })
		if !ok {
			return
		}
		var complete bool
		var err error
		if w.Replay.Dead {
			complete, err = k.replayDead(ctx)
		} else {
			complete, err = k.replayLog(ctx, w.Replay)
		}
		if ctx.Err() != nil {
			return // it starts over after the restart
		}
		if err != nil {
			k.h.Logger.Error("webhook: a replay failed", "webhook", k.id.String(), "error", err)
		}
		_, _ = k.post(ctx, exchange.Details{}, jobStatus(w, complete && err == nil)) // best effort
		for ctx.Err() == nil {
			_, err := k.h.change(ctx, k.id, func(w *liked.Webhook) { w.Replay = liked.Replay{} })
			if err == nil || liked.KindOf(err) == liked.NotFound {
				break
			}
			clock.Sleep(ctx, time.Second)
		}
	}
}

// jobStatus is what X sends when a replay has ended.
func jobStatus(w liked.Webhook, complete bool) []byte {
	type status struct {
		Webhook     string `json:"webhook_id"`
		State       string `json:"job_state"`
		Description string `json:"job_state_description"`
		Job         string `json:"job_id"`
	}
	s := status{w.ID.String(), "Complete", "Job completed successfully", strconv.FormatInt(w.Replay.ID, 10)}
	if !complete {
		s.State, s.Description = "Incomplete", "Job failed to deliver all events, please retry your replay job"
	}
	text, _ := json.Marshal(map[string]status{"replay_job_status": s}) // strings always marshal
	return text
}

// redeliver makes a few attempts to deliver a like again.
func (k *hook) redeliver(ctx context.Context, s *liked.Subscription, e liked.LikeEvent) (taken bool, err error) {
	const attempts = 3
	for attempt := 1; ctx.Err() == nil && attempt <= attempts; attempt++ {
		if w, _ := k.now(); !w.Valid {
			return false, errors.New("the webhook is not valid")
		}
		failed := k.try(ctx, s, e)
		if failed == nil {
			return true, nil
		}
		k.h.Count(Failed)
		if err = failed.error; failed.final {
			break
		}
		k.h.Sleep(ctx, k.h.pause(attempt))
	}
	return false, err
}

// replayDead retries the dead letters in order, and removes those accepted or without their subscription.
func (k *hook) replayDead(ctx context.Context) (complete bool, err error) {
	complete = true
	for last := (store.DeadLetter{}); ctx.Err() == nil; {
		letters, err := k.h.Store.DeadLetters(ctx, k.id, last, likelog.Page)
		if err != nil || len(letters) == 0 {
			return complete, err
		}
		for _, d := range letters {
			last = d
			s, err := k.h.Store.Subscription(ctx, k.app, d.Subscription)
			taken := liked.KindOf(err) == liked.NotFound || err == nil && s.Webhook != k.id
			if err != nil && !taken {
				return false, err
			}
			if !taken {
				taken, err = k.redeliver(ctx, &s, d.Event)
			}
			if ctx.Err() != nil {
				return false, nil
			}
			why := ""
			if !taken {
				complete, why = false, plain(err, "")
			}
			if err := k.h.keep(ctx, d, why); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// keep removes a dead letter that was tried again, or keeps it with why it was not accepted.
func (h *Hooks) keep(ctx context.Context, d store.DeadLetter, why string) error {
	if why == "" {
		return h.Store.RemoveDeadLetter(ctx, d)
	}
	d.At, d.Attempts, d.Why = h.Now(), d.Attempts+1, why
	_, err := h.Store.AddDeadLetters(ctx, []store.DeadLetter{d}, h.Letters)
	return err
}

// replayLog delivers the events of a period again, as far as the webhook is past them. A like not accepted becomes no
// dead letter: it was delivered before, or is one.
func (k *hook) replayLog(ctx context.Context, r liked.Replay) (complete bool, err error) {
	to, err := k.h.Store.LogEnds(ctx)
	if err != nil {
		return false, err
	}
	var from liked.Positions
	k.h.mu.Lock()
	for p, at := range k.reached() {
		to[p] = min(to[p], at, liked.SeqAt(r.To)-1)
		from[p] = min(to[p], max(liked.SeqAt(r.From), 1)-1)
	}
	k.h.mu.Unlock()
	complete = true
	err = k.h.Log.Between(ctx, likelog.All(), from, to, func(entries []liked.LikeEvent) error {
		matches, err := k.h.match(ctx, entries)
		for _, d := range matches[k.id] {
			for _, s := range d.subs {
				if taken, err := k.redeliver(ctx, s, d.event); !taken {
					k.h.Logger.Warn("webhook: a like was not taken in a replay", "webhook", k.id.String(), "error", err)
					complete = false
				}
			}
		}
		return err
	})
	return complete, err
}
