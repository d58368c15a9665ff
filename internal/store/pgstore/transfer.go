package pgstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"liked"
	"liked/internal/store"
)

// Import runs as one transaction. Who adds the same user or post at the same time holds none of its locks, so it may lose
// to them at the end, and then begins again.
func (s *Store) Import(ctx context.Context, records []store.Record, keepGoing bool) (done store.Imported, err error) {
	records = append([]store.Record(nil), records...) // the caller may change it before use
	for range importTries {
		done, err = write(ctx, s, func(t *tx) (done store.Imported, err error) {
			i := newImporter(t)
			if err := i.find(records); err != nil {
				return done, err
			}
			for n, rec := range records {
				added, err := i.add(rec)
				switch {
				case err == nil && added:
					done.Added++
				case err == nil:
					done.Kept++
				case refusal(err):
					done.Refused = append(done.Refused, store.Refused{Index: n, Err: err})
				default:
					return done, err
				}
				if err != nil && !keepGoing {
					break
				}
			}
			if done.Added > 0 {
				i.save()
			}
			return done, nil
		})
		if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "23505" {
			break
		}
	}
	return done, err
}

const importTries = 10

// refusal reports whether the error is about one record and not about the store.
func refusal(err error) bool {
	if _, ok := errors.AsType[*pgconn.PgError](err); ok {
		return false
	}
	switch liked.KindOf(err) {
	case liked.Invalid, liked.NotFound, liked.Conflict:
		return true
	}
	return false
}

// atOneMoment runs f in a transaction that sees one moment, on a connection of its own, for as long as it takes.
func (s *Store) atOneMoment(ctx context.Context, f func(t *tx) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	within, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	var conn *pgx.Conn
	err := s.again(within, func() (err error) {
		conn, err = pgx.ConnectConfig(within, s.calls.Config().ConnConfig)
		return err
	})
	if err != nil {
		return cause(ctx, err)
	}
	defer conn.Close(context.Background())
	t := &tx{ctx: ctx, conn: conn, shards: s.shards}
	t.queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	if err := s.sameMoment(within, t); err != nil {
		return cause(ctx, t.rollback(err))
	}
	t.wholeTables()
	t.queue("SET LOCAL statement_timeout = 0")
	t.queue("SET LOCAL idle_in_transaction_session_timeout = 0") // f may do slow things in between
	return cause(ctx, t.rollback(f(t)))
}

// Settle has nothing to do: PostgreSQL vacuums and analyzes what was changed by itself.
func (s *Store) Settle(ctx context.Context) error { return ctx.Err() }

func (s *Store) Export(ctx context.Context, each func(store.Record) error) error {
	return s.atOneMoment(ctx, func(t *tx) error {
		e := exporter{t, func(r store.Record) error {
			if err := each(r); err != nil {
				return asIs{err}
			}
			return nil
		}}
		blocks := func() error {
			return e.relations(blocks, func(p *store.Pair) store.Record { return store.Record{Block: p} })
		}
		follows := func() error {
			return e.relations(follows, func(p *store.Pair) store.Record { return store.Record{Follow: p} })
		}
		for _, step := range []func() error{e.users, e.posts, blocks, follows, e.likes} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
}

type exporter struct {
	*tx
	each func(store.Record) error
}

// pageSize is how many rows of a table are read at once.
const pageSize = 1000

// inPages calls each with the rows of a statement whose last two parameters are the key after which it begins, and whose limit
// is pageSize. key returns a row's.
func inPages[T any](t *tx, scan pgx.RowToFunc[T], key func(*T) [2]int64, each func(page []T) error, sql string) error {
	for last := [2]int64{}; ; {
		page, err := rows(t, scan, sql, last[0], last[1], pageSize)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		last = key(&page[len(page)-1])
		if err := each(page); err != nil {
			return err
		}
	}
}

func (e *exporter) users() error {
	type user = liked.User
	return inPages(e.tx, func(r pgx.CollectableRow) (u user, err error) {
		var created int64
		err = r.Scan(userFields(&u, &created)...)
		u.CreatedAt = timeOf(created)
		return u, err
	}, func(u *user) [2]int64 { return [2]int64{int64(u.ID)} }, func(page []user) error {
		for _, u := range page {
			if err := e.each(store.Record{User: &u}); err != nil {
				return err
			}
		}
		return nil
	}, "SELECT "+userRecord+" FROM users u WHERE user_id > $1 AND $2::bigint = 0 ORDER BY user_id LIMIT $3")
}

const exportedPost = `SELECT h.post_id, h.author_id, h.repost_of, h.deleted, coalesce(x.text, ''), x.created_at,
	coalesce(x.in_reply_to, 0), coalesce(x.quotes, 0), coalesce(x.conversation, 0), coalesce(x.in_reply_to_user, 0) FROM `

func anExportedPost(r pgx.CollectableRow) (p store.Post, err error) {
	var created *int64 // nil: the post has no text any more
	err = r.Scan(&p.ID, &p.Author, &p.RepostOf, &p.Deleted, &p.Text, &created, &p.InReplyTo, &p.Quotes, &p.Conversation, &p.InReplyToUser)
	if created != nil {
		p.CreatedAt = timeOf(*created)
	}
	return p, err
}

// posts goes in order of id, but first passes posts with higher ids that the next one refers to.
func (e *exporter) posts() error {
	early := make(map[liked.PostID]bool)
	return inPages(e.tx, anExportedPost, func(p *store.Post) [2]int64 { return [2]int64{int64(p.ID)} }, func(page []store.Post) error {
		for n := range page {
			if p := &page[n]; early[p.ID] {
				delete(early, p.ID)
			} else if err := e.post(p, early); err != nil {
				return err
			}
		}
		return nil
	}, e.shards.exportedPosts())
}

// exportedPosts returns the statement of a page of posts. On Citus a page is of what each shard has of it.
func (s *shards) exportedPosts() string {
	if s == nil {
		return exportedPost + `(SELECT * FROM post_heads WHERE post_id > $1 AND $2::bigint = 0 ORDER BY post_id LIMIT $3) h
			LEFT JOIN post_texts x ON x.post_id = h.post_id AND x.post_id > $1 ORDER BY h.post_id`
	}
	return exportedPost + `post_heads h LEFT JOIN post_texts x ON x.post_id = h.post_id AND x.post_id > $1
		WHERE h.post_id > $1 AND $2::bigint = 0 ORDER BY h.post_id LIMIT $3`
}

// post passes a post after those that it refers to and that are yet to come, which are early then.
func (e *exporter) post(p *store.Post, early map[liked.PostID]bool) error {
	for pending := []*store.Post{p}; len(pending) > 0; {
		last := pending[len(pending)-1]
		next := liked.PostID(0)
		for _, ref := range []liked.PostID{last.RepostOf, last.InReplyTo, last.Quotes} {
			if ref > p.ID && !early[ref] {
				next = ref
			}
		}
		if next == 0 {
			if err := e.each(store.Record{Post: last}); err != nil {
				return err
			}
			early[last.ID] = true
			pending = pending[:len(pending)-1]
			continue
		}
		first, ok, err := row(e.tx, anExportedPost, exportedPost+`post_heads h LEFT JOIN post_texts x ON x.post_id = h.post_id
			WHERE h.post_id = $1`, next)
		if err != nil {
			return err
		}
		if !ok || len(pending) > maxReferences {
			return liked.Errorf(liked.Internal, "post %v refers to post %v, which never was", last.ID, next)
		}
		pending = append(pending, &first)
	}
	delete(early, p.ID)
	return nil
}

// maxReferences ends a walk in a cycle, which only damage makes: posts refer to older posts.
const maxReferences = 1 << 20

func (e *exporter) relations(r relation, record func(*store.Pair) store.Record) error {
	return inPages(e.tx, func(r pgx.CollectableRow) (p store.Pair, err error) {
		err = r.Scan(&p.From, &p.To)
		return p, err
	}, func(p *store.Pair) [2]int64 { return [2]int64{int64(p.From), int64(p.To)} }, func(page []store.Pair) error {
		for _, p := range page {
			if err := e.each(record(&p)); err != nil {
				return err
			}
		}
		return nil
	}, "SELECT "+r.from+", "+r.to+" FROM "+r.table+" WHERE ("+r.from+", "+r.to+") > ($1, $2) ORDER BY "+r.from+", "+r.to+" LIMIT $3")
}

func (e *exporter) likes() error {
	return inPages(e.tx, func(r pgx.CollectableRow) (l store.Like, err error) {
		err = r.Scan(&l.User, &l.Post, &l.Seq)
		return l, err
	}, func(l *store.Like) [2]int64 { return [2]int64{int64(l.User), int64(l.Seq)} }, func(page []store.Like) error {
		for _, l := range page {
			if err := e.each(store.Record{Like: &l}); err != nil {
				return err
			}
		}
		return nil
	}, "SELECT user_id, post_id, seq FROM likes WHERE (user_id, seq) > ($1, $2) ORDER BY user_id, seq LIMIT $3")
}
