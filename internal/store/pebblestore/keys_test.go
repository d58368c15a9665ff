package pebblestore

import (
	"bytes"
	"cmp"
	"os"
	"testing"
	"time"

	"liked"
	"liked/internal/store"
)

// FuzzKeys takes two sets of fields and checks of every key that they can be read back, and that the keys sort as the
// fields do.
func FuzzKeys(f *testing.F) {
	if seeds, err := os.ReadDir("testdata/fuzz/FuzzKeys"); err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds in testdata: %v", err)
	}
	f.Fuzz(func(t *testing.T, a1, a2, b1, b2 uint64, aText, bText []byte) {
		const positive = 1<<63 - 1
		a1, a2, b1, b2 = a1&positive, a2&positive, b1&positive, b2&positive
		ah, bh := hashOf(aText), hashOf(bText)
		order := func(name string, a, b []byte, want int) {
			t.Helper()
			if got := bytes.Compare(a, b); got != want {
				t.Errorf("%s: keys %x and %x compare as %d, want %d", name, a, b, got, want)
			}
			if got := bytes.Compare(after(a), a); got != 1 {
				t.Errorf("%s: after(%x) is %x", name, a, after(a))
			}
		}
		same := func(name string, got, want any) {
			t.Helper()
			if got != want {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
		both := cmp.Or(cmp.Compare(a1, b1), cmp.Compare(a2, b2))
		newest := cmp.Or(cmp.Compare(a1, b1), cmp.Compare(b2, a2))

		user, post, seq := liked.UserID(a1), liked.PostID(a2), liked.Seq(a2)
		k := likeKey(nil, user, post)
		same("like", [2]uint64{field(k, 0), field(k, 1)}, [2]uint64{a1, a2})
		order("like", k, likeKey(nil, liked.UserID(b1), liked.PostID(b2)), both)
		k = likedKey(nil, user, seq)
		same("liked", [2]uint64{field(k, 0), uint64(listSeq(k))}, [2]uint64{a1, a2})
		order("liked", k, likedKey(nil, liked.UserID(b1), liked.Seq(b2)), newest)
		k = likersKey(nil, liked.PostID(a1), seq)
		same("likers", [2]uint64{field(k, 0), uint64(listSeq(k))}, [2]uint64{a1, a2})
		order("likers", k, likersKey(nil, liked.PostID(b1), liked.Seq(b2)), newest)
		k = pair(tagFollow, user, liked.UserID(a2))
		same("pair", [2]uint64{field(k, 0), field(k, 1)}, [2]uint64{a1, a2})
		order("pair", k, pair(tagFollow, liked.UserID(b1), liked.UserID(b2)), both)

		ap, bp := int(a1%liked.Partitions), int(b1%liked.Partitions)
		k = logKey(nil, ap, seq)
		p, s := splitLogKey(k)
		same("log", [2]uint64{uint64(p), uint64(s)}, [2]uint64{uint64(ap), a2})
		order("log", k, logKey(nil, bp, liked.Seq(b2)), cmp.Or(cmp.Compare(ap, bp), cmp.Compare(a2, b2)))

		aw := windowsID{liked.AppID(a1), liked.UserID(a2), string(aText)}
		bw := windowsID{liked.AppID(b1), liked.UserID(b2), string(bText)}
		same("windows", splitWindowsKey(appendWindowsKey(nil, aw)), aw)
		order("windows", appendWindowsKey(nil, aw), appendWindowsKey(nil, bw), cmp.Or(both, cmp.Compare(aw.operation, bw.operation)))

		at, bt := time.UnixMilli(int64(a2>>12)), time.UnixMilli(int64(b2>>12))
		k = expiryKey(at, hashKey(kindCode, ah))
		kd, h := splitExpiryKey(k)
		same("expiry", [3]any{field(k, 0), kd, h}, [3]any{uint64(at.UnixMilli()), kindCode, ah})
		order("expiry", k, expiryKey(bt, hashKey(kindCode, bh)), cmp.Or(at.Compare(bt), bytes.Compare(ah[:], bh[:])))
		k = appendNonceKey(nil, keptNonce{ah, at.UnixMicro()})
		same("nonce", splitNonceKey(k), ah)
		order("nonce", k, appendNonceKey(nil, keptNonce{bh, bt.UnixMicro()}),
			cmp.Or(cmp.Compare(at.Unix(), bt.Unix()), bytes.Compare(ah[:], bh[:])))
		same("nonces from", bytes.Compare(noncesFrom(bt), k) <= 0, bt.Unix() <= at.Unix())

		ag, bg := store.GrantID(ah[:16]), store.GrantID(bh[:16])
		k = grantOfKey(user, ag)
		u, g := splitGrantOfKey(k)
		same("grant of", [2]any{u, g}, [2]any{user, ag})
		order("grant of", k, grantOfKey(liked.UserID(b1), bg), cmp.Or(cmp.Compare(a1, b1), bytes.Compare(ag[:], bg[:])))
		k = tokenOfKey(ag, kindAccess, ah)
		g, kd, h = splitTokenOfKey(k)
		same("token of", [3]any{g, kd, h}, [3]any{ag, kindAccess, ah})
		order("token of", k, tokenOfKey(bg, kindAccess, bh), bytes.Compare(ah[:], bh[:]))

		if p := liked.PartitionOf(user); p < 0 || p >= liked.Partitions {
			t.Errorf("user %v is in partition %d", user, p)
		}
	})
}

func hashOf(b []byte) (h store.Hash) {
	copy(h[:], b)
	return h
}

// Identifiers that differ only in their upper bits must spread over all partitions.
func TestUsersSpreadOverPartitions(t *testing.T) {
	var n [liked.Partitions]int
	for i := range 10_000 {
		n[liked.PartitionOf(liked.UserID(i)<<22)]++
	}
	for p, n := range n {
		if n < 400 || n > 600 {
			t.Errorf("partition %d: got %d of 10,000 users, want about 500", p, n)
		}
	}
}
