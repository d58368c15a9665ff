package pebblestore

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
)

// Format is the version of the store's rows. Open raises a store of an earlier one, which earlier releases then refuse,
// as their writes would lack something. A new field of a record is no new format (record.since).
const Format = 4

// step raises a store to the next format. It drops the rows that begin with some prefixes, and passes each row of its
// tags to change, which writes to the batch; what it reads there has its own writes.
type step struct {
	what   string
	drop   []string
	tags   []byte // ascending
	change func(b *pebble.Batch, key, value []byte) error
}

// steps[n-1] raises a store of format n.
var steps = [Format - 1]step{
	{"one record for the rate windows of a caller, posts by author, conversations, kinds of grants",
		[]string{string(tagWindow), string(tagPostOf)}, []byte{tagGrant, tagPost}, from1},
	{"webhooks by app, and subscriptions by user and by who made them",
		[]string{string(tagWebhookOf), string(tagAbout), string(tagMade), string(tagMadeN), string([]byte{tagMeta, 'b'})},
		[]byte{tagWebhook, tagSubscribed}, from2},
	{"the release that wrote the store, and records with fields of newer releases", nil, nil, nil},
}

// Upgrade is what Open does, or Plan would do, to raise a store to Format.
type Upgrade struct {
	From    int           `json:"from"`
	To      int           `json:"to"`
	Release string        `json:"release,omitempty"` // that wrote the store, if it is known
	Steps   []UpgradeStep `json:"steps"`
}

// UpgradeStep is the way from one format to the next.
type UpgradeStep struct {
	To      int    `json:"to"`
	What    string `json:"what"`
	Read    int    `json:"rows_read"`
	Written int    `json:"rows_written"`
}

// upgrade raises the store to Format. What a step writes for some rows and how far it has come are written together, so
// that an upgrade that was interrupted goes on from there. Unless write is set, nothing is written: each step sees the
// store without the steps before it.
func (s *Store) upgrade(write bool) (u Upgrade, err error) {
	u = Upgrade{To: Format, Steps: []UpgradeStep{}}
	if u.From, u.Release, err = s.formatOf(); err != nil || u.From == Format {
		return u, err
	}
	started := time.Now()
	for from := u.From; from < Format; from++ {
		if write {
			s.log.Info("store: upgrading", "from", from, "to", from+1, "for", steps[from-1].what)
		}
		done, err := s.upgradeFrom(from, write)
		if err != nil {
			return u, fmt.Errorf("format %d to %d: %w", from, from+1, err)
		}
		u.Steps = append(u.Steps, done)
	}
	if write {
		s.log.Info("store: upgraded", "from", u.From, "to", Format, "took", time.Since(started).Round(time.Millisecond))
	}
	return u, nil
}

func (s *Store) upgradeFrom(from int, write bool) (done UpgradeStep, err error) {
	step := steps[from-1]
	done = UpgradeStep{To: from + 1, What: step.what}
	last, _, err := read(s.db, upgradeKey, clone)
	if err != nil {
		return done, err
	}
	b := s.db.NewIndexedBatch()
	apply := func() (err error) {
		if write {
			err = s.db.Apply(b, s.writeOptions())
		}
		err = cmp.Or(err, b.Close())
		b = s.db.NewIndexedBatch()
		return unavailable(err)
	}
	defer func() { _ = b.Close() }() // nothing is left in it, or it is given up
	// Two bytes are no format to any release, so that an earlier one refuses a store that is half raised.
	must(b.Set(formatKey, []byte{byte(from + 1), byte(from)}, nil))
	if last == nil && write {
		must(b.Set(releaseKey, []byte(s.release), nil))
		for _, prefix := range step.drop {
			must(b.DeleteRange([]byte(prefix), after([]byte(prefix)), nil))
		}
		if err := apply(); err != nil {
			return done, err
		}
	}
	for _, tag := range step.tags {
		err := scan(s.db, []byte{tag}, nil, func(key, value []byte) (bool, error) {
			if bytes.Compare(key, last) <= 0 {
				return true, nil
			}
			before := b.Count()
			err := step.change(b, key, value)
			done.Read, done.Written = done.Read+1, done.Written+int(b.Count()-before)
			if err != nil || done.Read%s.upgradeBatch != 0 {
				return true, err
			}
			must(b.Set(upgradeKey, key, nil))
			return true, apply()
		})
		if err != nil {
			return done, err
		}
	}
	must(b.Set(formatKey, []byte{byte(from + 1)}, nil))
	must(b.Delete(upgradeKey, nil))
	return done, apply()
}

// formatOf returns the store's format, and the release that wrote it.
func (s *Store) formatOf() (format int, release string, err error) {
	version, ok, err := read(s.db, formatKey, clone)
	if err != nil {
		return 0, "", err
	}
	if !ok {
		return 0, "", liked.Errorf(liked.Invalid, "%s holds a database that is not a store of likes; choose another directory", s.dir)
	}
	text, _, err := read(s.db, releaseKey, clone)
	if err != nil {
		return 0, "", err
	}
	release = string(text)
	switch {
	case len(version) == 2 && version[0] <= Format && version[1] > 0: // an upgrade was interrupted
		return int(version[1]), release, nil
	case len(version) == 1 && version[0] > 0 && version[0] <= Format:
		return int(version[0]), release, nil
	case len(version) == 0 || version[0] == 0:
		return 0, "", liked.Errorf(liked.Unavailable, "%s: %s", s.dir, isDamaged)
	}
	return 0, release, liked.Errorf(liked.Invalid, "%s has store format %d, written by %s, and this program reads formats 1 to %d: "+
		"run that release or a later one, or restore a backup that was taken before the upgrade",
		s.dir, version[0], cmp.Or(release, "a later release"), Format)
}

// Plan returns what Open would do to raise a store, and changes nothing. No process may have the directory open.
func Plan(o Options) (u Upgrade, err error) {
	o.ReadOnly, o.plan = true, &u
	_, err = Open(o)
	return u, err
}

// from1: rate windows had a row each, and are over within a day. The first stores had no list of an author's posts,
// posts without a conversation, and grants of OAuth 1.0a whose level was a bit above all scopes.
func from1(b *pebble.Batch, key, value []byte) error {
	if key[0] == tagGrant {
		return grantFrom1(b, key, value)
	}
	w := postRow(liked.PostID(field(key, 0)))
	p, first, err := eitherPost(b, w, value)
	if err != nil || p.Deleted {
		return err
	}
	must(b.Set(postOfKey(p.Author, p.ID), nil, nil))
	if first {
		err = converse(b, &p.Post)
		must(b.Set(key, w.encode(&p), nil))
	}
	return err
}

func grantFrom1(b *pebble.Batch, key, value []byte) error {
	w := grantRow(store.GrantID(key[1:]))
	if _, err := w.decode(value); err == nil {
		return nil
	}
	g, err := decode(value, w.blank, firstGrantFields)
	if err != nil {
		return err
	}
	if level := slices.Index([]liked.Scope{firstOAuth1, firstOAuth1 << 1, firstOAuth1 << 2}, g.Scopes); level >= 0 {
		g.OAuth1, g.Access, g.Scopes = true, liked.Access(level), 0
	}
	if g.Scopes == 0 && !g.OAuth1 { // its token has the level
		g.OAuth1 = true
		tokens := append(tokensOf(g.ID), byte(kindOAuth1))
		if of, err := firstKey(b, tokens, after(tokens)); err != nil {
			return err
		} else if of != nil {
			_, k, h := splitTokenOfKey(of)
			tok, _, err := tokenRow(k, h).read(b)
			if err != nil {
				return err
			}
			g.Access = tok.access
		}
	}
	must(b.Set(key, w.encode(&g), nil))
	return nil
}

func firstGrantFields(r *record, g *grant) {
	number(r, &g.App)
	number(r, &g.User)
	number(r, &g.Scopes)
	r.time(&g.CreatedAt)
}

const firstOAuth1 = liked.Scope(1 << 25)

func firstPostFields(r *record, p *store.Post) {
	var h postHead
	headFields(r, &h)
	p.Author, p.RepostOf, p.Deleted = h.author, h.repostOf, h.deleted
	r.time(&p.CreatedAt)
	number(r, &p.InReplyTo)
	number(r, &p.Quotes)
	r.strings(&p.Text)
}

// eitherPost decodes a post of the first layout or the next. A text may make a record of the first look like one of
// the next, but then it does not say who is answered.
func eitherPost(r pebble.Reader, w row[store.Post], value []byte) (p store.Post, first bool, err error) {
	if p, err = w.decode(value); err == nil {
		answered, _, err := read(r, postKey(p.InReplyTo), decodePostHead)
		if err != nil || p.Deleted || p.InReplyToUser == answered.author && (p.Conversation != 0) == (p.InReplyTo != 0) {
			return p, false, err
		}
	}
	p, err = decode(value, w.blank, firstPostFields)
	return p, true, err
}

// converse sets a reply's conversation and whom it answers.
func converse(r pebble.Reader, p *liked.Post) error {
	for at, steps := p.InReplyTo, 0; at != 0 && steps < maxReferences; steps++ {
		w := postRow(at)
		value, ok, err := read(r, w.key, clone)
		if err != nil || !ok {
			return err
		}
		answered, _, err := eitherPost(r, w, value)
		if err != nil {
			return damaged(w.key, err)
		}
		if steps == 0 {
			p.InReplyToUser = answered.Author
		}
		p.Conversation = cmp.Or(answered.Conversation, at)
		if at = answered.InReplyTo; answered.Conversation != 0 {
			break
		}
	}
	return nil
}

// from2 makes the lists anew: of the last stores of format 2 some have them, but earlier releases did not keep them up.
func from2(b *pebble.Batch, key, value []byte) error {
	if key[0] == tagWebhook {
		w, err := webhookRow(liked.WebhookID(field(key, 0))).decode(value)
		if err == nil {
			must(b.Set(webhookOfKey(&w), nil, nil))
		}
		return err
	}
	s, err := subscriptionRow(liked.AppID(field(key, 0)), liked.SubscriptionID(field(key, 1))).decode(value)
	if err != nil {
		return err
	}
	must(b.Set(aboutKey(&s), nil, nil))
	if s.Viewer == 0 {
		return nil
	}
	n, err := count(b, madeNKey(s.App, s.Viewer))
	must(b.Set(madeKey(&s), nil, nil))
	must(b.Set(madeNKey(s.App, s.Viewer), encodeID(n+1), nil))
	return err
}
