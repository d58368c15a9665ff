package webhook_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"liked/internal/store"
	"liked/internal/store/pgstore"
	"liked/internal/store/pgstore/pgtest"
	"liked/internal/webhook"
)

// asServer has the test binary deliver the webhooks of the database that it names, until its input ends or it is killed.
const asServer = "LIKED_WEBHOOK_TEST_SERVER"

func TestMain(m *testing.M) {
	if dsn := os.Getenv(asServer); dsn != "" {
		st, err := pgstore.Open(pgstore.Options{DSN: dsn, Readers: 2, Writers: 1})
		if err != nil {
			panic(err)
		}
		go webhook.New(options(st, sharing())).Run(context.Background())
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	pgtest.Main(m)
}

// sharing is a pace at which a server that is killed is missed soon, and one on a busy machine is not missed.
func sharing() webhook.Pace {
	pace := quick
	pace.Lease = 10 * time.Second
	return pace
}

func openPostgres(t *testing.T, dsn string) store.Store {
	t.Helper()
	st, err := pgstore.Open(pgstore.Options{DSN: dsn, Readers: 4, Writers: 2})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// Of several servers each delivers to its share of the webhooks, and to those of one that is killed: nothing is left out.
func TestShares(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Schema(t)
	w, r := newWorldOn(t, openPostgres(t, dsn), sharing()), newReceiver(t)
	w.stop()
	other := exec.Command(os.Args[0])
	other.Env, other.Stderr = append(os.Environ(), asServer+"="+dsn), os.Stderr
	input, err := other.StdinPipe()
	w.must(err)
	w.must(other.Start())
	t.Cleanup(func() {
		_ = input.Close()
		_ = other.Wait()
	})
	taken := func() int {
		ids := map[string]bool{}
		for _, e := range r.got() {
			ids[e.ID] = true
		}
		return len(ids)
	}
	for n := range 5 {
		w.hook(fmt.Sprint(r.URL, "/", n))
	}
	n := 5 * w.like(1, 1)
	w.until("likes through the other server", func() bool { return taken() == n })

	w.run(sharing())
	w.until("a share", func() bool { return w.hooks.Summary().Valid == 2 })
	before := len(r.got())
	more := 5 * w.like(2, 3)
	n += more
	w.until("likes through two servers", func() bool { return taken() == n })
	if got := len(r.got()) - before; got != more {
		t.Errorf("two servers delivered %d times, want %d: a webhook has one server at a time", got, more)
	}

	n += 5 * w.like(4, 5)
	w.must(other.Process.Kill())
	n += 5 * w.like(6, 7)
	w.until("all webhooks here", func() bool { return w.hooks.Summary().Valid == 5 })
	w.until("likes through the one that is left", func() bool { return taken() == n })
}
