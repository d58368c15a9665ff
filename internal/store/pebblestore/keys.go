package pebblestore

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"liked"
	"liked/internal/store"
)

// A key is a tag, then fixed-width big-endian fields, so that keys sort as their fields do; a field of variable width
// comes last. Only this file knows the layout. Lists of likes store inverted positions (^seq): a forward walk begins
// with the newest like.
//
// The letters are part of the format on disk.
const (
	tagMeta     byte = 'M' // name -> see meta keys below
	tagUser     byte = 'u' // user -> record
	tagName     byte = 'n' // username in lower case -> user
	tagUserN    byte = 'U' // user -> counts
	tagPassword byte = 'w' // user -> encoded hash
	tagPost     byte = 'p' // post -> record or tombstone
	tagPostN    byte = 'P' // post -> counts
	tagPostOf   byte = 'o' // author, post: existing posts

	tagLike   byte = 'k' // user, post -> seq, and a mark if never in the log: the truth about likes
	tagLiked  byte = 'l' // user, ^seq -> post
	tagLikers byte = 'r' // post, ^seq -> user
	tagLog    byte = 'L' // partition (one byte), seq -> event

	tagFollow    byte = 'f' // follower, followed
	tagFollowed  byte = 'F' // followed, follower
	tagBlock     byte = 'b' // blocker, blocked
	tagBlockedBy byte = 'B' // blocked, blocker

	tagApp     byte = 'a' // app -> record
	tagClient  byte = 'c' // client id -> app
	tagAPIKey  byte = 'y' // API key -> app
	tagBearer  byte = 'e' // bearer hash -> app
	tagGrant   byte = 'g' // grant id -> record
	tagGrantOf byte = 'G' // user, grant id
	tagConsent byte = 't' // user, app -> grant id: the last that a code made, while it lives
	tagTaken   byte = 'z' // user or 0, app or 0 -> how often what one had granted the other was taken back
	tagUnswept byte = 'X' // user or 0, app -> the same, while grants that were taken back are still to be removed by Sweep
	tagHanded  byte = 'Z' // app -> how often it went to another owner, if ever
	tagGone    byte = 'E' // deleted app
	tagTokenOf byte = 'T' // grant id, kind, hash: the tokens of a grant
	tagEnded   byte = 'R' // grant id: ended, its tokens still to be removed by Sweep
	tagExpiry  byte = 'x' // milliseconds, kind, hash: read by Sweep
	tagByHash  byte = 'h' // kind, hash -> record of a token, code or session

	tagWindow byte = 'W' // app, user, operation -> windows
	tagNonce  byte = 'N' // second of expiry, hash of the first -> its expiry, the rest of its group

	tagWebhook     byte = 'H' // webhook -> record
	tagProgress    byte = 'C' // webhook -> positions in the log
	tagDead        byte = 'D' // webhook, seq, subscription -> record
	tagDeadN       byte = 'd' // webhook -> number of dead letters, if any
	tagSubscribed  byte = 'S' // app, subscription -> record
	tagSubscribedN byte = 'v' // app -> number of subscriptions, if any
	tagSubscribes  byte = 's' // app, user, direction, webhook -> subscription
	tagAbout       byte = 'q' // user, app, subscription
	tagMade        byte = 'Q' // app, viewer, subscription
	tagMadeN       byte = 'V' // app, viewer -> number of subscriptions made by the viewer, if any
	tagWebhookOf   byte = 'A' // app, webhook
)

var (
	formatKey  = []byte{tagMeta, 'f'} // -> format, a byte; the first key written. While it is raised, also the format before
	releaseKey = []byte{tagMeta, 'w'} // -> release that opened the store last
	upgradeKey = []byte{tagMeta, 'u'} // -> last key that an interrupted upgrade has seen, if any
	horizonKey = []byte{tagMeta, 'h'} // -> seq below which the like log was pruned

	importedKey = []byte{tagMeta, 'i'} // -> highest seq of an imported like, if any
	floorKey    = []byte{tagMeta, 'p'} // -> seq that all new ones are above, if asked for
	sealKeyKey  = []byte{tagMeta, 's'} // -> name of the key that seals secrets, once a server has opened the store

	knownSeedKey = []byte{tagMeta, 'k'} // present if a known seed made secrets
	filterKey    = []byte{tagMeta, 'l'} // -> the filter that the store was closed with, see keptfilter.go
)

// kind tells the records under tagByHash apart.
type kind byte

// Kinds below kindSpent keep a grant alive.
const (
	kindAccess  kind = 'a'
	kindOAuth1  kind = 'o'
	kindRefresh kind = 'r'
	kindSpent   kind = 's' // only in tagTokenOf: a spent refresh token
	kindCode    kind = 'c'
	kindRequest kind = 'q'
	kindSession kind = 'S'
)

// num appends a key of a tag and numbers to dst, which may be a reused buffer.
func num(dst []byte, tag byte, fields ...uint64) []byte {
	dst = append(slices.Grow(dst, 1+8*len(fields)), tag)
	for _, f := range fields {
		dst = binary.BigEndian.AppendUint64(dst, f)
	}
	return dst
}

// field reads number i of a key made by num.
func field(key []byte, i int) uint64 { return binary.BigEndian.Uint64(key[1+8*i:]) }

func userKey(id liked.UserID) []byte     { return num(nil, tagUser, uint64(id)) }
func nameKey(username string) []byte     { return append([]byte{tagName}, strings.ToLower(username)...) }
func passwordKey(id liked.UserID) []byte { return num(nil, tagPassword, uint64(id)) }
func postKey(id liked.PostID) []byte     { return num(nil, tagPost, uint64(id)) }
func postOfKey(author liked.UserID, id liked.PostID) []byte {
	return num(nil, tagPostOf, uint64(author), uint64(id))
}
func appKey(id liked.AppID) []byte            { return num(nil, tagApp, uint64(id)) }
func clientKey(clientID string) []byte        { return append([]byte{tagClient}, clientID...) }
func apiKeyKey(key string) []byte             { return append([]byte{tagAPIKey}, key...) }
func bearerKey(h store.Hash) []byte           { return append([]byte{tagBearer}, h[:]...) }
func grantKey(id store.GrantID) []byte        { return append([]byte{tagGrant}, id[:]...) }
func endedKey(id store.GrantID) []byte        { return append([]byte{tagEnded}, id[:]...) }
func hashKey(k kind, h store.Hash) []byte     { return append([]byte{tagByHash, byte(k)}, h[:]...) }
func pair(tag byte, a, b liked.UserID) []byte { return num(nil, tag, uint64(a), uint64(b)) }

func likeKey(dst []byte, user liked.UserID, post liked.PostID) []byte {
	return num(dst, tagLike, uint64(user), uint64(post))
}

func likedKey(dst []byte, user liked.UserID, seq liked.Seq) []byte {
	return num(dst, tagLiked, uint64(user), ^uint64(seq))
}

func likersKey(dst []byte, post liked.PostID, seq liked.Seq) []byte {
	return num(dst, tagLikers, uint64(post), ^uint64(seq))
}

// listSeq is the position in a key of likedKey or likersKey.
func listSeq(key []byte) liked.Seq { return liked.Seq(^field(key, 1)) }

func logKey(dst []byte, partition int, seq liked.Seq) []byte {
	return binary.BigEndian.AppendUint64(append(dst, tagLog, byte(partition)), uint64(seq))
}

func splitLogKey(key []byte) (partition int, seq liked.Seq) {
	return int(key[1]), liked.Seq(binary.BigEndian.Uint64(key[2:]))
}

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func takenKey(user liked.UserID, app liked.AppID) []byte {
	return num(nil, tagTaken, uint64(user), uint64(app))
}

func unsweptKey(user liked.UserID, app liked.AppID) []byte {
	return num(nil, tagUnswept, uint64(user), uint64(app))
}

func handedKey(app liked.AppID) []byte { return num(nil, tagHanded, uint64(app)) }

func goneKey(app liked.AppID) []byte { return num(nil, tagGone, uint64(app)) }

func grantOfKey(user liked.UserID, id store.GrantID) []byte {
	return append(num(nil, tagGrantOf, uint64(user)), id[:]...)
}

func consentKey(g *store.Grant) []byte { return num(nil, tagConsent, uint64(g.User), uint64(g.App)) }

func splitGrantOfKey(key []byte) (user liked.UserID, id store.GrantID) {
	copy(id[:], key[9:])
	return liked.UserID(field(key, 0)), id
}

func tokenOfKey(id store.GrantID, k kind, h store.Hash) []byte {
	return append(append(tokensOf(id), byte(k)), h[:]...)
}

// tokensOf is the prefix of a grant's keys of tokenOfKey.
func tokensOf(id store.GrantID) []byte { return append([]byte{tagTokenOf}, id[:]...) }

func splitTokenOfKey(key []byte) (id store.GrantID, k kind, h store.Hash) {
	copy(id[:], key[1:])
	copy(h[:], key[18:])
	return id, kind(key[17]), h
}

// expiryKey is for the record that has a key of hashKey.
func expiryKey(at time.Time, hashKey []byte) []byte {
	return append(num(nil, tagExpiry, uint64(max(at.UnixMilli(), 0))), hashKey[1:]...)
}

func splitExpiryKey(key []byte) (k kind, h store.Hash) {
	copy(h[:], key[10:])
	return kind(key[9]), h
}

func appendWindowsKey(key []byte, id windowsID) []byte {
	return append(num(key, tagWindow, uint64(id.app), uint64(id.user)), id.operation...)
}

func splitWindowsKey(key []byte) windowsID {
	return windowsID{app: liked.AppID(field(key, 0)), user: liked.UserID(field(key, 1)), operation: string(key[17:])}
}

func appendNonceKey(key []byte, n keptNonce) []byte {
	return append(num(key, tagNonce, uint64(max(n.until/1e6, 0))), n.hash[:]...)
}

// noncesFrom is the first key of nonces that expire in the second of t or later.
func noncesFrom(t time.Time) []byte { return num(nil, tagNonce, uint64(max(t.Unix(), 0))) }

func splitNonceKey(key []byte) (h store.Hash) {
	copy(h[:], key[9:])
	return h
}

func webhookKey(id liked.WebhookID) []byte  { return num(nil, tagWebhook, uint64(id)) }
func progressKey(id liked.WebhookID) []byte { return num(nil, tagProgress, uint64(id)) }
func deadNKey(id liked.WebhookID) []byte    { return num(nil, tagDeadN, uint64(id)) }
func deadKey(id liked.WebhookID, seq liked.Seq, of liked.SubscriptionID) []byte {
	return num(nil, tagDead, uint64(id), uint64(seq), uint64(of))
}
func subscriptionKey(app liked.AppID, id liked.SubscriptionID) []byte {
	return num(nil, tagSubscribed, uint64(app), uint64(id))
}
func subscribedNKey(app liked.AppID) []byte { return num(nil, tagSubscribedN, uint64(app)) }
func madeNKey(app liked.AppID, viewer liked.UserID) []byte {
	return num(nil, tagMadeN, uint64(app), uint64(viewer))
}
func webhookOfKey(w *liked.Webhook) []byte {
	return num(nil, tagWebhookOf, uint64(w.App), uint64(w.ID))
}
func aboutKey(s *liked.Subscription) []byte {
	return num(nil, tagAbout, uint64(s.User), uint64(s.App), uint64(s.ID))
}
func madeKey(s *liked.Subscription) []byte {
	return num(nil, tagMade, uint64(s.App), uint64(s.Viewer), uint64(s.ID))
}
func subscribesKey(s *liked.Subscription) []byte {
	return num(nil, tagSubscribes, uint64(s.App), uint64(s.User), uint64(s.Direction), uint64(s.Webhook))
}

// after returns the first key after all that begin with prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
