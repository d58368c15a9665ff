package api

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"liked"
	"liked/internal/likelog"
	"liked/internal/store"
)

// likeObject is X's "like with tweet author", without the liker.
type likeObject struct {
	ID               string       `json:"id"`
	LikedTweet       liked.PostID `json:"liked_tweet_id"`
	TweetAuthor      liked.UserID `json:"tweet_author_id"`
	LikedTweetAuthor liked.UserID `json:"liked_tweet_author_id,omitempty"` // the name that the fields use
	CreatedAt        string       `json:"created_at" openapi:"date-time"`
	TimestampMS      int64        `json:"timestamp_ms"`
}

func (a *API) newLike(e *liked.LikeEvent) likeObject {
	id := a.likeID(e)
	return likeObject{
		ID: hex.EncodeToString(id[:]), LikedTweet: e.Post, TweetAuthor: e.Author,
		CreatedAt: timestamp(e.At), TimestampMS: e.At.UnixMilli(),
	}
}

type unlikeObject struct {
	Delete favoriteDeletion `json:"delete"`
}

type favoriteDeletion struct {
	Favorite favorite `json:"favorite"`
	EventAt  string   `json:"event_at" openapi:"date-time"`
}

type favorite struct {
	Post liked.PostID `json:"id"`
	User liked.UserID `json:"user_id,omitempty"` // zero where likes are private
}

// likeIDs returns the cipher that makes ids of likes. Without its key nobody learns from an id where in the log, and so
// in which twentieth of the users, a like is.
func (o *Options) likeIDs() cipher.Block {
	block, err := aes.NewCipher(o.mac("ids of likes", nil))
	if err != nil {
		panic(err) // the length is constant
	}
	return block
}

// likeID depends on the log position alone, so it is the same for every reader, after every restart.
func (a *API) likeID(e *liked.LikeEvent) (id [aes.BlockSize]byte) {
	binary.BigEndian.PutUint64(id[:], uint64(e.Seq))
	a.ids.Encrypt(id[:], id[:])
	return id
}

// samplePartitions of liked.Partitions are in the sample: a tenth of all likes.
const samplePartitions = 2

// byID is the likes whose ids are in a partition, 1 to liked.Partitions, from the whole log.
func (a *API) byID(partition int) source {
	return source{logs: likelog.All(), takes: func(e *liked.LikeEvent) bool {
		if !e.On {
			return false
		}
		id := a.likeID(e)
		return int(binary.BigEndian.Uint32(id[:])%liked.Partitions)+1 == partition
	}}
}

// lines are events as a stream has them, in the order of the log.
type lines struct {
	text []byte
	ends []lineEnd
}

// lineEnd is the log position of an event, and where its line ends in the text.
type lineEnd struct {
	seq liked.Seq
	end int
}

func (l *lines) add(seq liked.Seq, v any) error {
	text, err := encode(v)
	l.text = append(append(l.text, text...), "\r\n"...)
	l.ends = append(l.ends, lineEnd{seq, len(l.text)})
	return err
}

type likeView struct {
	*API
	wanted
	author bool // include liked_tweet_author_id
}

func (a *API) newLikeView(q *likeQuery) *likeView {
	return &likeView{a, newWanted(q.Expansions, q.TweetFields, nil, q.UserFields), slices.Contains(q.LikeFields, "liked_tweet_author_id")}
}

// viewKey is equal for views that write the same events.
func (q *likeQuery) viewKey() string {
	var key []string
	for _, words := range [][]string{q.LikeFields, q.Expansions, q.TweetFields, q.UserFields} {
		key = append(key, strings.Join(slices.Compact(slices.Sorted(slices.Values(words))), ","))
	}
	return strings.Join(key, " ")
}

// write returns the likes that are public now: the post is public, its author and the liker neither protected nor
// hidden. Where likes are private the liker does not count: what changed with them would tell which likes are theirs.
func (v *likeView) write(ctx context.Context, likes []liked.LikeEvent) (written lines, err error) {
	posts := make([]liked.PostID, len(likes))
	for i, e := range likes {
		posts[i] = e.Post
	}
	seen, err := v.Store.Posts(ctx, 0, posts, store.Metrics(v.expands("liked_tweet_id")) && v.postMetrics())
	if err != nil {
		return written, err
	}
	users, err := v.usersOf(ctx, likes, store.Metrics(v.expands("liked_tweet_author_id")) && v.userMetrics())
	if err != nil {
		return written, err
	}
	maps.DeleteFunc(users, func(_ liked.UserID, u liked.User) bool { return u.State.Hidden() || u.Protected })
	var objects map[liked.UserID]*userObject
	if v.expands("liked_tweet_author_id") {
		if objects, err = v.objects(ctx, likes, users); err != nil {
			return written, err
		}
	}
	for i := range likes {
		e := &likes[i]
		_, liker := users[e.User]
		if _, author := users[e.Author]; !author || !liker && !v.PrivateLikes || seen[i].Err != nil {
			continue
		}
		like := v.newLike(e)
		if v.author {
			like.LikedTweetAuthor = e.Author
		}
		doc := document{Data: like}
		if objects != nil {
			doc.including().Users = []*userObject{objects[e.Author]}
		}
		if v.expands("liked_tweet_id") {
			doc.including().Tweets = []*postObject{v.newPost(&seen[i].Post)}
		}
		if err := written.add(e.Seq, doc); err != nil {
			return written, err
		}
	}
	return written, nil
}

// objects returns the authors as they are included.
func (v *likeView) objects(
	ctx context.Context, likes []liked.LikeEvent, users map[liked.UserID]liked.User,
) (map[liked.UserID]*userObject, error) {
	authors := make(map[liked.UserID]liked.User)
	for _, e := range likes {
		if u, ok := users[e.Author]; ok {
			authors[e.Author] = u
		}
	}
	made, err := v.userObjects(&call{ctx: ctx}, &v.wanted, slices.Collect(maps.Values(authors)))
	objects := make(map[liked.UserID]*userObject)
	for _, o := range made {
		objects[o.ID] = o
	}
	return objects, err
}

// usersOf returns the likers, and the authors of the posts.
func (a *API) usersOf(ctx context.Context, entries []liked.LikeEvent, metrics store.Metrics) (map[liked.UserID]liked.User, error) {
	users := make(map[liked.UserID]liked.User)
	for _, e := range entries {
		users[e.User], users[e.Author] = liked.User{}, liked.User{}
	}
	found, err := a.Store.UsersByID(ctx, slices.Collect(maps.Keys(users)), metrics)
	clear(users)
	for _, u := range found {
		users[u.ID] = u
	}
	return users, err
}

// writeUnlikes leaves out unlikes of and by protected users; by whom does not count where likes are private. It includes
// those of hidden users and deleted posts: a reader that keeps the like must remove it.
func (a *API) writeUnlikes(ctx context.Context, unlikes []liked.LikeEvent) (written lines, err error) {
	users, err := a.usersOf(ctx, unlikes, store.WithoutMetrics)
	if err != nil {
		return written, err
	}
	for _, e := range unlikes {
		of := favorite{e.Post, e.User}
		if a.PrivateLikes {
			of.User = 0
		}
		if users[of.User].Protected || users[e.Author].Protected {
			continue
		}
		if err := written.add(e.Seq, document{Data: unlikeObject{favoriteDeletion{of, timestamp(e.At)}}}); err != nil {
			return written, err
		}
	}
	return written, nil
}
