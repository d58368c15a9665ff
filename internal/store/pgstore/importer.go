package pgstore

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/valid"
)

// importer adds records in one transaction: it locks and reads all that they name, decides one after the other what each
// changes, and writes the sum.
type importer struct {
	*tx
	users   map[liked.UserID]*importedUser // who exist
	names   map[string]liked.UserID        // in lower case
	posts   map[liked.PostID]*importedPost // that exist or were deleted
	follows map[store.Pair]*importedPair
	blocks  map[store.Pair]*importedPair
	likes   map[likeID]bool // that are there
	added   []addedLike
	byUser  places
	byPost  places
}

// importedUser is a user and what changes.
type importedUser struct {
	id                                         liked.UserID
	new                                        *liked.User // nil: was there
	fresh                                      bool        // had no likes
	likes, followers, following, posts, blocks int64       // more than before
}

// importedPost is a post and what changes.
type importedPost struct {
	head
	new                             *store.Post // nil: was there
	fresh                           bool        // had no likes
	last                            liked.Seq
	likes, reposts, replies, quotes int64 // more than before
	touched                         bool
}

type importedPair struct{ before, now bool }

type addedLike struct {
	likeID
	seq liked.Seq
}

// places knows which positions in the lists of one table are taken. A span is from a position to the end of its millisecond,
// or of all.
type places struct {
	sql    string
	asked  map[span]found
	mine   map[span]bool      // this import's, with till 0
	newest map[span]liked.Seq // this import's, with from 0
}

type span struct {
	list       int64
	from, till liked.Seq
}

// found is whether the first position of a span is taken, and the highest in it that is.
type found struct {
	taken  bool
	newest liked.Seq
}

func newPlaces(s *shards, table, list string) places {
	const spans = " FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) r(list, q, e) "
	is := " FROM " + table + " l WHERE l." + list + " = r.list AND l.seq "
	p := places{asked: make(map[span]found), mine: make(map[span]bool), newest: make(map[span]liked.Seq),
		sql: "SELECT r.list, r.q, r.e, n.seq = r.q OR EXISTS (SELECT" + is + "= r.q), n.seq" + spans +
			"CROSS JOIN LATERAL (SELECT l.seq" + is + "BETWEEN r.q AND r.e ORDER BY l.seq DESC LIMIT 1) n"}
	if s != nil {
		p.sql = "SELECT r.list, r.q, r.e, bool_or(l.seq = r.q), max(l.seq)" + spans + "JOIN " + table + " l ON l." + list +
			" = r.list AND l.seq BETWEEN r.q AND r.e AND l." + list + " = ANY($1) GROUP BY 1, 2, 3"
	}
	return p
}

func newImporter(t *tx) *importer {
	return &importer{tx: t, users: make(map[liked.UserID]*importedUser), names: make(map[string]liked.UserID),
		posts: make(map[liked.PostID]*importedPost), follows: make(map[store.Pair]*importedPair),
		blocks: make(map[store.Pair]*importedPair), likes: make(map[likeID]bool),
		byUser: newPlaces(t.shards, "likes", "user_id"), byPost: newPlaces(t.shards, "likers", "post_id")}
}

// millisecond is the last position in the same one.
func millisecond(seq liked.Seq) liked.Seq { return seq | (1<<20 - 1) }

// find locks and reads all that the records name.
func (i *importer) find(records []store.Record) error {
	users, counted := make(map[liked.UserID]bool), make(map[liked.UserID]bool)
	names := make(map[string]bool)
	posts := make(map[liked.PostID]bool)
	reposts := make(map[liked.PostID][]liked.PostID) // of what posts among the records are reposts
	var likes []*store.Like
	wantUser := func(u *liked.User) {
		users[u.ID] = true
		if liked.ValidUsername(u.Username) {
			names[strings.ToLower(u.Username)] = true
		}
	}
	wantPost := func(p *store.Post) {
		users[p.Author], counted[p.Author] = true, true
		for _, id := range []liked.PostID{p.ID, p.RepostOf, p.InReplyTo, p.Quotes} {
			posts[id] = true
		}
		if p.RepostOf != 0 {
			reposts[p.ID] = append(reposts[p.ID], p.RepostOf)
		}
		if p.By != nil {
			wantUser(p.By)
		}
	}
	wantPair := func(p *store.Pair) {
		for _, id := range []liked.UserID{p.From, p.To} {
			users[id], counted[id] = true, true
		}
	}
	for _, rec := range records {
		switch {
		case rec.User != nil:
			wantUser(rec.User)
		case rec.Post != nil:
			wantPost(rec.Post)
		case rec.Block != nil:
			wantPair(rec.Block)
			i.blocks[*rec.Block] = new(importedPair)
			i.follows[*rec.Block] = new(importedPair)
			i.follows[store.Pair{From: rec.Block.To, To: rec.Block.From}] = new(importedPair)
		case rec.Follow != nil:
			wantPair(rec.Follow)
			i.follows[*rec.Follow] = new(importedPair)
		case rec.Like != nil:
			likes = append(likes, rec.Like)
			users[rec.Like.User], posts[rec.Like.Post] = true, true
			if rec.Like.With != nil {
				wantPost(rec.Like.With)
			}
		}
	}
	if err := i.lockAndRead(users, counted, names, posts); err != nil {
		return err
	}
	return i.findLikes(likes, reposts)
}

func (i *importer) lockAndRead(users, counted map[liked.UserID]bool, names map[string]bool, posts map[liked.PostID]bool) error {
	i.lockAll()
	if len(counted) > 0 {
		i.lockCounts(sorted(counted), new([]liked.UserID))
	}
	if len(posts) > 0 {
		if err := i.lockPosts(sorted(posts)); err != nil {
			return err
		}
	}
	if len(users) > 0 {
		i.lockLikes(sorted(users), func(id liked.UserID, n int64) { i.users[id] = &importedUser{id: id, fresh: n == 0} })
	}
	if len(names) > 0 {
		all := make([]string, 0, len(names))
		for name := range names {
			all = append(all, name)
		}
		i.queue("SELECT m.name, m.user_id FROM unnest($1::text[]) r(name) JOIN usernames m ON m.name = r.name", all).
			Query(func(r pgx.Rows) error {
				var name string
				var id liked.UserID
				_, err := pgx.ForEachRow(r, []any{&name, &id}, func() error { i.names[name] = id; return nil })
				return err
			})
	}
	i.findPairs(follows, i.follows)
	i.findPairs(blocks, i.blocks)
	return i.send()
}

func (i *importer) lockPosts(ids []int64) error {
	read := func(r pgx.Rows) error {
		var h head
		var likes int64
		var last liked.Seq
		_, err := pgx.ForEachRow(r, []any{&h.id, &h.author, &h.repostOf, &h.deleted, &h.conversation, &likes, &last}, func() error {
			i.posts[h.id] = &importedPost{head: h, fresh: likes == 0, last: last}
			return nil
		})
		return err
	}
	if i.shards == nil {
		i.queue(lockImported, ids).Query(read)
		return nil
	}
	ids, err := i.withOriginals(ids)
	if err != nil {
		return err
	}
	i.queueHeads("post_id, author_id, repost_of, deleted, 0::bigint, likes, last", ids, read)
	i.queue("SELECT post_id, conversation FROM post_texts WHERE post_id = ANY($1)", ids).Query(func(r pgx.Rows) error {
		var id, conversation liked.PostID
		_, err := pgx.ForEachRow(r, []any{&id, &conversation}, func() error { i.posts[id].conversation = conversation; return nil })
		return err
	})
	return nil
}

// lockImported locks posts and the originals of reposts among them. As in lockHeads, only deleted and the counts change.
const lockImported = `SELECT h.post_id, h.author_id, h.repost_of, h.deleted, coalesce(x.conversation, 0), h.likes, h.last
	FROM post_heads h LEFT JOIN post_texts x ON x.post_id = h.post_id
	WHERE h.post_id = ANY($1::bigint[] || ARRAY(SELECT repost_of FROM post_heads WHERE post_id = ANY($1)))
	ORDER BY h.post_id FOR NO KEY UPDATE OF h`

func (i *importer) findPairs(rel relation, pairs map[store.Pair]*importedPair) {
	if len(pairs) == 0 {
		return
	}
	var from, to []int64
	for p := range pairs {
		from, to = append(from, int64(p.From)), append(to, int64(p.To))
	}
	i.queue("SELECT f."+rel.from+", f."+rel.to+" FROM unnest($1::bigint[], $2::bigint[]) r(a, b) JOIN "+rel.table+" f ON "+
		i.shards.only("f."+rel.from+" = r.a AND f."+rel.to+" = r.b", "f."+rel.from+" = ANY($1)"), from, to).Query(func(r pgx.Rows) error {
		var p store.Pair
		_, err := pgx.ForEachRow(r, []any{&p.From, &p.To}, func() error { *pairs[p] = importedPair{true, true}; return nil })
		return err
	})
}

// findLikes reads, of users and posts that have likes, which of the likes are there, and which of their positions are taken.
func (i *importer) findLikes(likes []*store.Like, reposts map[liked.PostID][]liked.PostID) error {
	var users, posts []int64
	for _, l := range likes {
		if l.Seq == 0 || l.Seq > math.MaxInt64 {
			continue
		}
		u := i.users[l.User]
		if u != nil && !u.fresh {
			i.byUser.asked[span{int64(l.User), l.Seq, millisecond(l.Seq)}] = found{}
		}
		for _, post := range i.originals(l.Post, reposts, nil) {
			if u != nil && !u.fresh {
				users, posts = append(users, int64(l.User)), append(posts, int64(post))
			}
			if p := i.posts[post]; p != nil && !p.fresh {
				i.byPost.asked[span{int64(post), l.Seq, millisecond(l.Seq)}] = found{}
			}
		}
	}
	if len(users) > 0 {
		i.queueLikes(users, posts, "true", func(id likeID, _ liked.Seq, _ bool) { i.likes[id] = true })
	}
	i.byUser.ask(i.tx)
	i.byPost.ask(i.tx)
	return i.send()
}

// originals returns what a like of the post may turn out to be a like of, once the records before it are added.
func (i *importer) originals(post liked.PostID, reposts map[liked.PostID][]liked.PostID, before []liked.PostID) []liked.PostID {
	if p := i.posts[post]; p != nil {
		return append(before, cmp.Or(p.repostOf, post))
	}
	if slices.Contains(before, post) {
		return before
	}
	before = append(before, post)
	for _, of := range reposts[post] {
		before = i.originals(of, reposts, before)
	}
	return before
}

// ask reads all that is asked and not known.
func (p *places) ask(t *tx) {
	var lists, from, till []int64
	for s := range p.asked {
		lists, from, till = append(lists, s.list), append(from, int64(s.from)), append(till, int64(s.till))
	}
	if len(lists) == 0 {
		return
	}
	t.queue(p.sql, lists, from, till).Query(func(r pgx.Rows) error {
		var s span
		var f found
		_, err := pgx.ForEachRow(r, []any{&s.list, &s.from, &s.till, &f.taken, &f.newest}, func() error { p.asked[s] = f; return nil })
		return err
	})
}

// look tells of a span of a list what is taken in it. fresh: the list was empty before this import.
func (p *places) look(t *tx, s span, fresh bool) (f found, err error) {
	if !fresh {
		var known bool
		if f, known = p.asked[s]; !known {
			f, _, err = row(t, func(r pgx.CollectableRow) (f found, err error) {
				var s span
				err = r.Scan(&s.list, &s.from, &s.till, &f.taken, &f.newest)
				return f, err
			}, p.sql, []int64{s.list}, []int64{int64(s.from)}, []int64{int64(s.till)})
		}
	}
	f.taken = f.taken || p.mine[span{list: s.list, from: s.from}]
	f.newest = max(f.newest, p.newest[span{list: s.list, till: s.till}])
	return f, err
}

func (p *places) take(list int64, seq liked.Seq) {
	p.mine[span{list: list, from: seq}] = true
	for _, till := range []liked.Seq{millisecond(seq), math.MaxInt64} {
		s := span{list: list, till: till}
		p.newest[s] = max(p.newest[s], seq)
	}
}

func (i *importer) add(rec store.Record) (added bool, err error) {
	switch {
	case rec.User != nil:
		return i.addUser(*rec.User)
	case rec.Post != nil:
		return i.addPost(*rec.Post)
	case rec.Block != nil:
		return i.addPair(*rec.Block, (*importer).block)
	case rec.Follow != nil:
		return i.addPair(*rec.Follow, func(i *importer, p store.Pair) bool { return i.follow(p, true) })
	case rec.Like != nil:
		return i.addLike(*rec.Like)
	}
	return false, liked.Errorf(liked.Invalid, "the record is empty")
}

func (i *importer) addUser(u liked.User) (bool, error) {
	if err := cmp.Or(valid.User(&u), valid.Name(&u)); err != nil {
		return false, err
	}
	if i.users[u.ID] != nil {
		return false, nil
	}
	name := strings.ToLower(u.Username)
	if i.names[name] != 0 {
		return false, liked.Errorf(liked.Conflict, "the username %s is taken", u.Username)
	}
	i.names[name] = u.ID
	i.users[u.ID] = &importedUser{id: u.ID, new: &u, fresh: true}
	return true, nil
}

func (i *importer) addPost(p store.Post) (bool, error) {
	if err := valid.Post(&p.Post); err != nil {
		return false, err
	}
	if p.By != nil && (p.By.ID != p.Author || p.RepostOf|p.InReplyTo|p.Quotes != 0) {
		return false, liked.Errorf(liked.Invalid, "post %v comes with an author who is another, or refers to a post", p.ID)
	}
	if i.posts[p.ID] != nil {
		return false, nil
	}
	if p.By != nil {
		if _, err := i.addUser(*p.By); err != nil {
			return false, err
		}
	}
	author := i.users[p.Author]
	if author == nil {
		return false, noSuch("user", p.Author)
	}
	if err := i.resolve(&p.Post); err != nil {
		return false, err
	}
	i.posts[p.ID] = &importedPost{new: &p, fresh: true,
		head: head{id: p.ID, author: p.Author, repostOf: p.RepostOf, deleted: p.Deleted, conversation: p.Conversation}}
	if p.Deleted {
		return true, nil
	}
	author.posts++
	for _, ref := range []liked.PostID{p.RepostOf, p.InReplyTo, p.Quotes} {
		if ref != 0 {
			i.posts[ref].touched = true
		}
	}
	if p.RepostOf != 0 {
		i.posts[p.RepostOf].reposts++
	}
	if p.InReplyTo != 0 {
		i.posts[p.InReplyTo].replies++
	}
	if p.Quotes != 0 {
		i.posts[p.Quotes].quotes++
	}
	return true, nil
}

// resolve checks that the posts referred to are there or were, makes a repost of a repost one of the original, and sets a reply's
// conversation unless it has one.
func (i *importer) resolve(p *liked.Post) error {
	if p.InReplyTo == 0 {
		p.Conversation, p.InReplyToUser = 0, 0
	}
	for _, ref := range []*liked.PostID{&p.RepostOf, &p.InReplyTo, &p.Quotes} {
		if *ref == 0 {
			continue
		}
		h := i.posts[*ref]
		if h != nil && ref == &p.RepostOf && h.repostOf != 0 {
			*ref = h.repostOf
			h = i.posts[*ref]
		}
		if h == nil {
			return noSuch("post", *ref)
		}
		if ref == &p.InReplyTo && (p.Conversation == 0 || p.InReplyToUser == 0) {
			p.InReplyToUser, p.Conversation = h.author, *ref
			if !h.deleted { // else its conversation is lost
				p.Conversation = cmp.Or(h.conversation, *ref)
			}
		}
	}
	return nil
}

func (i *importer) addPair(p store.Pair, set func(*importer, store.Pair) (changed bool)) (bool, error) {
	if p.From == p.To {
		return false, liked.Errorf(liked.Invalid, "user %v cannot do that to themselves", p.From)
	}
	for _, id := range []liked.UserID{p.From, p.To} {
		if i.users[id] == nil {
			return false, noSuch("user", id)
		}
	}
	return set(i, p), nil
}

func (i *importer) block(p store.Pair) (changed bool) {
	if i.blocks[p].now {
		return false
	}
	i.blocks[p].now = true
	i.users[p.From].blocks++
	i.follow(p, false)
	i.follow(store.Pair{From: p.To, To: p.From}, false)
	return true
}

func (i *importer) follow(p store.Pair, on bool) (changed bool) {
	if i.follows[p].now == on {
		return false
	}
	i.follows[p].now = on
	delta := int64(1)
	if !on {
		delta = -1
	}
	i.users[p.From].following += delta
	i.users[p.To].followers += delta
	return true
}

func (i *importer) addLike(l store.Like) (bool, error) {
	if err := valid.Like(&l); err != nil {
		return false, err
	}
	user := i.users[l.User]
	if user == nil {
		return false, noSuch("user", l.User)
	}
	if l.With != nil { // nothing refuses the like behind this
		if l.With.ID != l.Post {
			return false, liked.Errorf(liked.Invalid, "the like of post %v comes with post %v", l.Post, l.With.ID)
		}
		if _, err := i.addPost(*l.With); err != nil {
			return false, err
		}
	}
	post := i.posts[l.Post]
	if post == nil {
		return false, noSuch("post", l.Post)
	}
	if post.repostOf != 0 {
		if post = i.posts[post.repostOf]; post == nil {
			return false, noSuch("post", i.posts[l.Post].repostOf)
		}
	}
	id := likeID{l.User, post.id}
	if i.likes[id] {
		return false, nil
	}
	seq, err := i.free(l.Seq, user, post)
	if err != nil {
		return false, err
	}
	i.likes[id] = true
	i.added = append(i.added, addedLike{id, seq})
	i.byUser.take(int64(l.User), seq)
	i.byPost.take(int64(post.id), seq)
	user.likes++
	post.likes++
	post.last, post.touched = max(post.last, seq), true
	return true, nil
}

// free returns the wanted position, unless another like of the user or post has it: then one after all that the two have in
// that millisecond. If milliseconds are full it tries a few, then one after all that the two have.
func (i *importer) free(seq liked.Seq, user *importedUser, post *importedPost) (liked.Seq, error) {
	for round := 0; ; round++ {
		till := millisecond(seq)
		if round == 8 {
			till = math.MaxInt64
		}
		mine, err := i.byUser.look(i.tx, span{int64(user.id), seq, till}, user.fresh)
		if err != nil {
			return 0, err
		}
		theirs, err := i.byPost.look(i.tx, span{int64(post.id), seq, till}, post.fresh)
		if err != nil || !mine.taken && !theirs.taken {
			return seq, err
		}
		seq = max(mine.newest, theirs.newest) + 1
	}
}

// column returns one value of each row.
func column[R, V any](rows []R, value func(R) V) []V {
	all := make([]V, len(rows))
	for n, r := range rows {
		all[n] = value(r)
	}
	return all
}

// save writes what has changed, in the order of locks. Every statement names all keys of its rows.
func (i *importer) save() {
	var users, newUsers []*importedUser
	for _, id := range sorted(i.users) {
		if u := i.users[liked.UserID(id)]; u.new != nil {
			newUsers = append(newUsers, u)
		} else if *u != (importedUser{id: u.id, fresh: u.fresh}) {
			users = append(users, u)
		}
	}
	var posts, newPosts, texts []*importedPost
	for _, id := range sorted(i.posts) {
		switch p := i.posts[liked.PostID(id)]; {
		case p.new != nil:
			newPosts = append(newPosts, p)
			if !p.deleted {
				texts = append(texts, p)
			}
		case p.touched:
			posts = append(posts, p)
		}
	}
	var lanes laneSums
	for _, u := range newUsers {
		lanes.users[liked.PartitionOf(u.id)]++
	}
	for _, p := range texts {
		lanes.posts[liked.PartitionOf(p.author)]++
	}
	newest := liked.Seq(0)
	for _, l := range i.added {
		lanes.likes[liked.PartitionOf(l.user)]++
		newest = max(newest, l.seq)
	}
	i.saveCounts("INSERT INTO user_counts (user_id, followers, following, posts) SELECT * FROM "+countColumns, newUsers)
	i.saveCounts(i.shards.only(`UPDATE user_counts c SET followers = c.followers + r.a, following = c.following + r.b, posts = c.posts + r.p
		FROM `+countColumns+` r(id, a, b, p) WHERE c.user_id = r.id`, "c.user_id = ANY($1)"), users)
	i.saveHeads(posts, newPosts)
	i.saveUsers(users, newUsers)
	i.savePairs(follows, i.follows)
	i.savePairs(blocks, i.blocks)
	i.saveTexts(texts)
	i.saveLikes()
	if newest != 0 { // later likes are newer
		i.exec("UPDATE lanes l SET likes = l.likes + r.n, last = greatest(l.last, $2) FROM unnest($1::bigint[]) WITH ORDINALITY r(n, i) "+
			"WHERE l.lane = r.i - 1", lanes.likes[:], newest)
	}
	i.exec("UPDATE tallies t SET users = t.users + r.u, posts = t.posts + r.p FROM unnest($1::bigint[], $2::bigint[]) "+
		"WITH ORDINALITY r(u, p, i) WHERE t.lane = r.i - 1 AND (r.u <> 0 OR r.p <> 0)", lanes.users[:], lanes.posts[:])
	if newest != 0 {
		i.exec("UPDATE meta SET imported = $1 WHERE imported < $1", newest)
	}
}

// laneSums are for Totals.
type laneSums struct{ users, posts, likes [liked.Partitions]int64 }

const countColumns = "unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])"

func userColumn(u *importedUser) int64 { return int64(u.id) }

func (i *importer) saveCounts(sql string, users []*importedUser) {
	if len(users) > 0 {
		i.exec(sql, column(users, userColumn), column(users, func(u *importedUser) int64 { return u.followers }),
			column(users, func(u *importedUser) int64 { return u.following }), column(users, func(u *importedUser) int64 { return u.posts }))
	}
}

func (i *importer) saveHeads(posts, newPosts []*importedPost) {
	counts := func(posts []*importedPost) []any {
		return []any{column(posts, func(p *importedPost) int64 { return int64(p.id) }),
			column(posts, func(p *importedPost) int64 { return p.likes }), column(posts, func(p *importedPost) int64 { return p.reposts }),
			column(posts, func(p *importedPost) int64 { return p.replies }), column(posts, func(p *importedPost) int64 { return p.quotes }),
			column(posts, func(p *importedPost) int64 { return int64(p.last) })}
	}
	if len(newPosts) > 0 {
		i.exec(`INSERT INTO post_heads (post_id, likes, reposts, replies, quotes, last, author_id, repost_of, deleted)
			SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
			$8::bigint[], $9::bool[])`, append(counts(newPosts),
			column(newPosts, func(p *importedPost) int64 { return int64(p.author) }),
			column(newPosts, func(p *importedPost) int64 { return int64(p.repostOf) }),
			column(newPosts, func(p *importedPost) bool { return p.deleted }))...)
	}
	if len(posts) > 0 {
		i.exec(i.shards.only(`UPDATE post_heads h SET likes = h.likes + r.l, reposts = h.reposts + r.r, replies = h.replies + r.a,
			quotes = h.quotes + r.q, last = r.last FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
			r(p, l, r, a, q, last) WHERE h.post_id = r.p`, "h.post_id = ANY($1)"), counts(posts)...)
	}
}

func (i *importer) saveUsers(users, newUsers []*importedUser) {
	likes := func(u *importedUser) int64 { return u.likes }
	if len(newUsers) > 0 {
		ids := column(newUsers, userColumn)
		text := func(field func(*liked.User) string) []string {
			return column(newUsers, func(u *importedUser) string { return field(u.new) })
		}
		flag := func(field func(*liked.User) bool) []bool {
			return column(newUsers, func(u *importedUser) bool { return field(u.new) })
		}
		number := func(field func(*liked.User) int64) []int64 {
			return column(newUsers, func(u *importedUser) int64 { return field(u.new) })
		}
		i.exec(`INSERT INTO users (user_id, username, name, created_at, protected, state, description, location, url, image, verified, pinned)
			SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bool[], $6::bigint[], $7::text[], $8::text[],
			$9::text[], $10::text[], $11::bool[], $12::bigint[])`, ids,
			text(func(u *liked.User) string { return u.Username }), text(func(u *liked.User) string { return u.Name }),
			number(func(u *liked.User) int64 { return micros(u.CreatedAt) }), flag(func(u *liked.User) bool { return u.Protected }),
			number(func(u *liked.User) int64 { return int64(u.State) }), text(func(u *liked.User) string { return u.Description }),
			text(func(u *liked.User) string { return u.Location }), text(func(u *liked.User) string { return u.URL }),
			text(func(u *liked.User) string { return u.ProfileImageURL }), flag(func(u *liked.User) bool { return u.Verified }),
			number(func(u *liked.User) int64 { return int64(u.PinnedPost) }))
		i.exec("INSERT INTO usernames (name, user_id) SELECT * FROM unnest($1::text[], $2::bigint[]) r(name, id) ORDER BY name",
			text(func(u *liked.User) string { return strings.ToLower(u.Username) }), ids)
		i.exec("INSERT INTO user_likes (user_id, n) SELECT * FROM unnest($1::bigint[], $2::bigint[])", ids, column(newUsers, likes))
	}
	if len(users) > 0 {
		i.exec(i.shards.only("UPDATE user_likes l SET n = l.n + r.n FROM unnest($1::bigint[], $2::bigint[]) r(u, n) "+
			"WHERE l.user_id = r.u AND r.n <> 0", "l.user_id = ANY($1)"), column(users, userColumn), column(users, likes))
	}
	var special []*importedUser
	for _, u := range append(users, newUsers...) {
		if u.blocks > 0 || u.new != nil && (u.new.State.Hidden() || u.new.Protected) {
			special = append(special, u)
		}
	}
	if len(special) > 0 { // who was there keeps hidden and protected
		i.exec(`INSERT INTO special (user_id, hidden, protected, blocks) SELECT * FROM unnest($1::bigint[], $2::bool[], $3::bool[], $4::int[])
			r(u, h, p, b) ORDER BY u ON CONFLICT (user_id) DO UPDATE SET blocks = special.blocks + excluded.blocks`,
			column(special, userColumn), column(special, func(u *importedUser) bool { return u.new != nil && u.new.State.Hidden() }),
			column(special, func(u *importedUser) bool { return u.new != nil && u.new.Protected }),
			column(special, func(u *importedUser) int64 { return u.blocks }))
	}
}

func (i *importer) savePairs(r relation, pairs map[store.Pair]*importedPair) {
	var come, gone []store.Pair
	for p, is := range pairs {
		switch {
		case is.now && !is.before:
			come = append(come, p)
		case !is.now && is.before:
			gone = append(gone, p)
		}
	}
	from := func(p store.Pair) int64 { return int64(p.From) }
	to := func(p store.Pair) int64 { return int64(p.To) }
	for _, table := range []string{r.table, r.reverse} {
		if len(gone) > 0 {
			key := map[string]string{r.table: r.from + " = ANY($1)", r.reverse: r.to + " = ANY($2)"}[table]
			i.exec(i.shards.only("DELETE FROM "+table+" f USING unnest($1::bigint[], $2::bigint[]) r(a, b) "+
				"WHERE f."+r.from+" = r.a AND f."+r.to+" = r.b", "f."+key), column(gone, from), column(gone, to))
		}
		if len(come) > 0 {
			i.exec("INSERT INTO "+table+" ("+r.from+", "+r.to+") SELECT * FROM unnest($1::bigint[], $2::bigint[])",
				column(come, from), column(come, to))
		}
	}
}

func (i *importer) saveTexts(posts []*importedPost) {
	if len(posts) == 0 {
		return
	}
	ids := column(posts, func(p *importedPost) int64 { return int64(p.id) })
	number := func(field func(*store.Post) int64) []int64 {
		return column(posts, func(p *importedPost) int64 { return field(p.new) })
	}
	i.exec(`INSERT INTO post_texts (post_id, text, created_at, in_reply_to, quotes, conversation, in_reply_to_user)
		SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])`, ids,
		column(posts, func(p *importedPost) string { return p.new.Text }), number(func(p *store.Post) int64 { return micros(p.CreatedAt) }),
		number(func(p *store.Post) int64 { return int64(p.InReplyTo) }), number(func(p *store.Post) int64 { return int64(p.Quotes) }),
		number(func(p *store.Post) int64 { return int64(p.Conversation) }), number(func(p *store.Post) int64 { return int64(p.InReplyToUser) }))
	i.exec("INSERT INTO posts_of (author_id, post_id) SELECT * FROM unnest($1::bigint[], $2::bigint[])",
		number(func(p *store.Post) int64 { return int64(p.Author) }), ids)
}

func (i *importer) saveLikes() {
	if len(i.added) == 0 {
		return
	}
	user := func(l addedLike) int64 { return int64(l.user) }
	post := func(l addedLike) int64 { return int64(l.post) }
	seq := func(l addedLike) int64 { return int64(l.seq) }
	slices.SortFunc(i.added, func(a, b addedLike) int { return cmp.Or(cmp.Compare(a.user, b.user), cmp.Compare(a.post, b.post)) })
	i.exec("INSERT INTO likes (user_id, post_id, seq, logged) SELECT *, false FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])",
		column(i.added, user), column(i.added, post), column(i.added, seq))
	slices.SortFunc(i.added, func(a, b addedLike) int { return cmp.Or(cmp.Compare(a.post, b.post), cmp.Compare(a.seq, b.seq)) })
	i.exec("INSERT INTO likers (post_id, seq, user_id) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])",
		column(i.added, post), column(i.added, seq), column(i.added, user))
}
