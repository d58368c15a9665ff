package pgstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/valid"
)

// A user's rows are read by joining users u, user_counts c and user_likes l: all three are there from AddUser on.
const (
	userRecord = "u.user_id, u.username, u.name, u.created_at, u.protected, u.state, u.description, " +
		"u.location, u.url, u.image, u.verified, u.pinned"
	userColumns = userRecord + ", c.followers, c.following, c.posts, l.n"
	userJoins   = " JOIN user_counts c ON c.user_id = u.user_id JOIN user_likes l ON l.user_id = u.user_id "
	uncounted   = userRecord + ", 0::bigint, 0::bigint, 0::bigint, 0::bigint" // userColumns without counts: no userJoins
)

// userFields are where userRecord is scanned to. created must be put into CreatedAt afterwards.
// They are of Go's own types, since pgx scans others by reflection.
func userFields(u *liked.User, created *int64) []any {
	return []any{(*int64)(&u.ID), &u.Username, &u.Name, created, &u.Protected, (*uint8)(&u.State), &u.Description, &u.Location, &u.URL,
		&u.ProfileImageURL, &u.Verified, (*int64)(&u.PinnedPost)}
}

func aUser(r pgx.CollectableRow) (u liked.User, err error) {
	var created int64
	m := &u.Metrics
	err = r.Scan(slices.Concat(userFields(&u, &created), []any{&m.Followers, &m.Following, &m.Posts, &m.Likes})...)
	u.CreatedAt = timeOf(created)
	return u, err
}

func (s *Store) AddUser(ctx context.Context, u liked.User) error {
	if err := cmp.Or(valid.User(&u), valid.Name(&u)); err != nil {
		return err
	}
	err := s.update(ctx, func(t *tx) error {
		t.exec("INSERT INTO user_counts (user_id) VALUES ($1)", u.ID)
		t.exec(`INSERT INTO users (user_id, username, name, created_at, protected, state, description, location, url, image, verified, pinned)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`, u.ID, u.Username, u.Name, micros(u.CreatedAt), u.Protected,
			u.State, u.Description, u.Location, u.URL, u.ProfileImageURL, u.Verified, u.PinnedPost)
		t.exec("INSERT INTO usernames (name, user_id) VALUES ($1, $2)", strings.ToLower(u.Username), u.ID)
		t.exec("INSERT INTO user_likes (user_id) VALUES ($1)", u.ID)
		if u.State.Hidden() || u.Protected {
			t.setSpecial(&u)
		}
		t.exec("UPDATE tallies SET users = users + 1 WHERE lane = $1", liked.PartitionOf(u.ID))
		return nil
	})
	if violates(err, "user_counts_pkey") {
		return taken("user", u.ID)
	}
	return nameTaken(err, &u)
}

// nameTaken is err, or the error that tells that another user has the username.
func nameTaken(err error, u *liked.User) error {
	if violates(err, "usernames_pkey") {
		return liked.Errorf(liked.Conflict, "the username %s is taken", u.Username)
	}
	return err
}

// setSpecial makes the row of special agree with the user's record. The user is new, or all lanes are locked.
func (t *tx) setSpecial(u *liked.User) {
	t.exec(`INSERT INTO special (user_id, hidden, protected) VALUES ($1, $2, $3)
		ON CONFLICT (user_id) DO UPDATE SET hidden = excluded.hidden, protected = excluded.protected`, u.ID, u.State.Hidden(), u.Protected)
	t.notSpecial(u.ID)
}

// notSpecial removes the row of special of a user who has become as most are.
func (t *tx) notSpecial(id liked.UserID) {
	t.exec("DELETE FROM special WHERE user_id = $1 AND NOT hidden AND NOT protected AND blocks = 0", id)
}

// stored is a user's record, and its version.
type stored struct {
	liked.User
	version int64
}

func aStored(r pgx.CollectableRow) (s stored, err error) {
	var created int64
	err = r.Scan(append([]any{&s.version}, userFields(&s.User, &created)...)...)
	s.CreatedAt = timeOf(created)
	return s, err
}

var errStale = errors.New("the record has changed since it was read")

// UpdateUser calls change on the caller's goroutine, outside the transaction, which compares the version.
func (s *Store) UpdateUser(ctx context.Context, id liked.UserID, change func(*liked.User) error) error {
	for {
		old, err := first(ctx, s, noSuch("user", id), aStored, "SELECT u.version, "+userRecord+" FROM users u WHERE u.user_id = $1", id)
		if err != nil {
			return err
		}
		u := old.User
		if err := change(&u); err != nil {
			return err
		}
		if err := valid.User(&u); err != nil {
			return err
		}
		if u.ID != id {
			return liked.Errorf(liked.Invalid, "the id of user %v cannot change", id)
		}
		if u.Name != old.Name {
			if err := valid.Name(&u); err != nil {
				return err
			}
		}
		err = s.update(ctx, func(t *tx) error { return t.replaceUser(s, &old, &u) })
		if !errors.Is(err, errStale) {
			return nameTaken(err, &u)
		}
	}
}

func (t *tx) replaceUser(s *Store, old *stored, u *liked.User) error {
	rules := old.State.Hidden() != u.State.Hidden() || old.Protected != u.Protected
	if rules {
		t.lockAll()
	}
	current := false
	t.exec(`UPDATE users SET version = version + 1, username = $3, name = $4, created_at = $5, protected = $6, state = $7, description = $8,
		location = $9, url = $10, image = $11, verified = $12, pinned = $13 WHERE user_id = $1 AND version = $2`, u.ID, old.version,
		u.Username, u.Name, micros(u.CreatedAt), u.Protected, u.State, u.Description, u.Location, u.URL, u.ProfileImageURL, u.Verified,
		u.PinnedPost).Exec(changed(&current))
	if err := t.send(); err != nil {
		return err
	}
	if !current {
		return asIs{errStale}
	}
	if from, to := strings.ToLower(old.Username), strings.ToLower(u.Username); from != to {
		t.exec("INSERT INTO usernames (name, user_id) VALUES ($1, $2)", to, u.ID)
		t.exec("DELETE FROM usernames WHERE name = $1", from)
	}
	if rules {
		t.setSpecial(u)
	}
	if u.State.Hidden() && !old.State.Hidden() {
		t.takeBack(u.ID, 0)
	}
	if old.State != u.State {
		t.principals(s, 0, u.ID, store.GrantID{})
	}
	return nil
}

func (s *Store) User(ctx context.Context, id liked.UserID) (liked.User, error) {
	return first(ctx, s, noSuch("user", id), aUser, userByID, id)
}

const userByID = "SELECT " + userColumns + " FROM users u" + userJoins + "WHERE u.user_id = $1"

func (s *Store) UserByUsername(ctx context.Context, username string) (liked.User, error) {
	users, err := s.UsersByUsername(ctx, []string{username}, store.WithMetrics)
	switch {
	case err != nil:
		return liked.User{}, err
	case len(users) == 0:
		return liked.User{}, noSuch("user", strconv.Quote(username))
	}
	return users[0], nil
}

func (s *Store) UsersByID(ctx context.Context, ids []liked.UserID, _ store.Metrics) ([]liked.User, error) {
	if len(ids) == 0 {
		ids = []liked.UserID{0} // none; see citus.go
	}
	return list(ctx, s, aUser, s.shards.usersByID(), ids)
}

const usersByID = "SELECT " + userColumns + " FROM unnest($1::bigint[]) WITH ORDINALITY r(id, i) JOIN users u ON u.user_id = r.id" +
	userJoins + "ORDER BY r.i"

func (s *Store) UsersByUsername(ctx context.Context, usernames []string, _ store.Metrics) ([]liked.User, error) {
	var names []string
	for _, name := range usernames {
		if liked.ValidUsername(name) { // no other is there, and not every text is one for the database
			names = append(names, strings.ToLower(name))
		}
	}
	if s.shards != nil {
		return view(ctx, s, func(t *tx) ([]liked.User, error) {
			return t.usersOf(`SELECT m.user_id FROM unnest($1::text[]) WITH ORDINALITY r(name, i)
				JOIN usernames m ON m.name = r.name ORDER BY r.i`, names)
		})
	}
	return list(ctx, s, aUser, usersByName, names)
}

const usersByName = "SELECT " + userColumns + ` FROM unnest($1::text[]) WITH ORDINALITY r(name, i)
	JOIN usernames m ON m.name = r.name JOIN users u ON u.user_id = m.user_id` + userJoins + "ORDER BY r.i"

func (s *Store) Users(ctx context.Context, after liked.UserID, max int) ([]liked.User, error) {
	if err := valid.Page(max); err != nil {
		return nil, err
	}
	return list(ctx, s, aUser, usersAfter, after, max)
}

// usersAfter bounds each table: a merge of them reads those that are not bounded from the beginning.
const usersAfter = "SELECT " + userColumns + " FROM users u" + userJoins +
	"WHERE u.user_id > $1 AND c.user_id > $1 AND l.user_id > $1 ORDER BY u.user_id LIMIT $2"

// UsersNamed looks among texts between the prefix and the prefix with a character that is above all that names have.
func (s *Store) UsersNamed(ctx context.Context, prefix, after string, max int) ([]liked.User, error) {
	if err := valid.Page(max); err != nil {
		return nil, err
	}
	if valid.Texts("", "", prefix, after) != nil {
		return nil, nil
	}
	prefix, after = strings.ToLower(prefix), strings.ToLower(after)
	if s.shards != nil {
		return view(ctx, s, func(t *tx) ([]liked.User, error) {
			return t.usersOf("SELECT m.user_id FROM usernames m"+named, prefix, prefix+"~", after, max)
		})
	}
	return list(ctx, s, aUser, usersNamed, prefix, prefix+"~", after, max)
}

const (
	usersNamed = "SELECT " + userColumns + " FROM usernames m JOIN users u ON u.user_id = m.user_id" + userJoins + named
	named      = " WHERE m.name >= $1 AND m.name < $2 AND m.name > $3 ORDER BY m.name LIMIT $4"
)

func (s *Store) Password(ctx context.Context, user liked.UserID) (encoded string, err error) {
	return first(ctx, s, noSuch("password of user", user), pgx.RowTo[string], "SELECT encoded FROM passwords WHERE user_id = $1", user)
}

func (s *Store) SetPassword(ctx context.Context, user liked.UserID, encoded string) error {
	if err := valid.Texts("the password of user", user, encoded); err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		set := false
		t.exec(`INSERT INTO passwords (user_id, encoded) SELECT user_id, $2 FROM user_likes WHERE user_id = $1
			ON CONFLICT (user_id) DO UPDATE SET encoded = excluded.encoded`, user, encoded).Exec(changed(&set))
		if err := t.send(); err != nil {
			return err
		}
		if !set {
			return noSuch("user", user)
		}
		t.takeBack(user, 0)
		return nil
	})
}
