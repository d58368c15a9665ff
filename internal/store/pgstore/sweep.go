package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
)

// sweepRows bounds the rows that a step of Sweep removes.
const sweepRows = 500

// Sweep works in steps, each a transaction. Any number of servers may sweep at once: what another one has in hand is left to it,
// or found gone.
func (s *Store) Sweep(ctx context.Context, now time.Time) error {
	for _, step := range []func(t *tx) (more bool, err error){
		func(t *tx) (bool, error) { return t.sweepExpired("codes", now) },
		func(t *tx) (bool, error) { return t.sweepExpired("request_tokens", now) },
		func(t *tx) (bool, error) { return t.sweepExpired("sessions", now) },
		func(t *tx) (bool, error) { return t.sweepTokens(s, now) },
		(*tx).sweepEras,
		(*tx).sweepGrants,
	} {
		for more := true; more; {
			var err error
			if more, err = write(ctx, s, step); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweepExpired removes rows of a table that have expired.
func (t *tx) sweepExpired(table string, now time.Time) (more bool, err error) {
	hashes, err := rows(t, pgx.RowTo[[]byte], "SELECT hash FROM "+table+
		" WHERE expires > $1 AND expires < $2 ORDER BY expires LIMIT $3 FOR UPDATE SKIP LOCKED", never, micros(now), sweepRows)
	if err != nil || len(hashes) == 0 {
		return false, err
	}
	t.exec("DELETE FROM "+table+" WHERE hash = ANY($1)", hashes)
	return true, nil
}

// sweepTokens removes access tokens that have expired, and ends grants with none left but spent refresh tokens.
func (t *tx) sweepTokens(s *Store, now time.Time) (more bool, err error) {
	hashes, err := rows(t, pgx.RowTo[[]byte], "SELECT hash FROM tokens WHERE expires > $1 AND expires < $2 ORDER BY expires LIMIT $3",
		never, micros(now), sweepRows)
	if err != nil || len(hashes) == 0 {
		return false, err
	}
	grants, err := rows(t, pgx.RowTo[[]byte], `SELECT grant_id FROM grants
		WHERE grant_id IN (SELECT grant_id FROM tokens WHERE hash = ANY($1)) ORDER BY grant_id FOR NO KEY UPDATE`, hashes)
	if err != nil {
		return false, err
	}
	t.exec("DELETE FROM tokens WHERE hash = ANY($1)", hashes)
	ended, err := rows(t, pgx.RowTo[[]byte], `UPDATE grants g SET ended = true WHERE grant_id = ANY($1) AND NOT ended AND NOT EXISTS
		(SELECT FROM tokens t WHERE t.grant_id = g.grant_id AND (t.kind <> $2 OR t.spent = $3)) RETURNING grant_id`,
		grants, refreshToken, never)
	if err != nil || len(ended) == 0 {
		return true, err
	}
	t.change(s, store.Principals, func(g *generations) {
		for _, id := range ended {
			of(g, store.GrantID(id)).Add(1)
		}
	})
	return true, nil
}

// sweepEras ends one by one the grants of earlier eras of an app, which ended all at once.
func (t *tx) sweepEras() (more bool, err error) {
	type app struct {
		id  liked.AppID
		era int64
	}
	a, there, err := row(t, func(r pgx.CollectableRow) (a app, err error) {
		err = r.Scan(&a.id, &a.era)
		return a, err
	}, "SELECT app, era FROM apps WHERE unswept ORDER BY app LIMIT 1")
	if err != nil || !there {
		return false, err
	}
	grants, err := rows(t, pgx.RowTo[[]byte], `SELECT grant_id FROM grants WHERE app = $1 AND era < $2 AND NOT ended
		ORDER BY grant_id LIMIT $3 FOR NO KEY UPDATE`, a.id, a.era, sweepRows)
	if err != nil {
		return false, err
	}
	if len(grants) > 0 {
		t.exec("UPDATE grants SET ended = true WHERE grant_id = ANY($1)", grants)
	} else {
		t.exec("UPDATE apps SET unswept = false WHERE app = $1 AND era = $2", a.id, a.era) // else it happened again
	}
	return true, nil
}

// sweepGrants removes ended grants, the tokens first. Redeeming a code locks consents before grants.
func (t *tx) sweepGrants() (more bool, err error) {
	ids, err := rows(t, pgx.RowTo[[]byte], "SELECT grant_id FROM grants WHERE ended ORDER BY grant_id LIMIT $1", sweepRows)
	if err != nil || len(ids) == 0 {
		return false, err
	}
	t.exec(`DELETE FROM consents WHERE (user_id, app) IN (SELECT c.user_id, c.app FROM consents c
		JOIN grants g ON g.user_id = c.user_id AND g.app = c.app AND g.grant_id = c.grant_id
		WHERE g.grant_id = ANY($1) FOR UPDATE OF c SKIP LOCKED)`, ids)
	ids, err = rows(t, pgx.RowTo[[]byte], "SELECT grant_id FROM grants WHERE grant_id = ANY($1) ORDER BY grant_id FOR UPDATE SKIP LOCKED", ids)
	if err != nil || len(ids) == 0 {
		return false, err
	}
	hashes, err := rows(t, pgx.RowTo[[]byte], `SELECT t.hash FROM unnest($1::bytea[]) g(id)
		CROSS JOIN LATERAL (SELECT hash FROM tokens WHERE grant_id = g.id LIMIT $2) t LIMIT $2`, ids, sweepRows)
	if err != nil {
		return false, err
	}
	t.exec("DELETE FROM tokens WHERE hash = ANY($1)", hashes)
	t.exec("DELETE FROM grants g WHERE grant_id = ANY($1) AND NOT EXISTS (SELECT FROM tokens t WHERE t.grant_id = g.grant_id)", ids)
	return true, nil
}
