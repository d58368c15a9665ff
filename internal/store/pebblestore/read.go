package pebblestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store/valid"
)

// view runs one read on a snapshot, and returns when all that it saw is on disk.
func (s *Store) view(ctx context.Context, f func(r pebble.Reader) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	var r state
	err := s.readAll(&r, func(r *state) error { return f(r) })
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	if syncErr := s.waitSynced(ctx); syncErr != nil {
		return syncErr
	}
	return err
}

func view[T any](ctx context.Context, s *Store, f func(r pebble.Reader) (T, error)) (v T, err error) {
	err = s.view(ctx, func(r pebble.Reader) (err error) {
		v, err = f(r)
		return err
	})
	return orNone(v, err)
}

func orNone[T any](v T, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}

// each returns what look finds for each key, in their order.
func each[K, T any](ctx context.Context, s *Store, keys []K, look func(r pebble.Reader, key K) (v T, ok bool, err error)) ([]T, error) {
	return view(ctx, s, func(r pebble.Reader) ([]T, error) {
		found := make([]T, 0, len(keys))
		for _, key := range keys {
			v, ok, err := look(r, key)
			if err != nil {
				return nil, err
			}
			if ok {
				found = append(found, v)
			}
		}
		return found, nil
	})
}

// page decodes up to max keys of the prefix, starting at from.
func page[T any](ctx context.Context, s *Store, prefix, from []byte, max int,
	decode func(r pebble.Reader, key, value []byte) (T, error)) ([]T, error) {
	if err := valid.Page(max); err != nil {
		return nil, err
	}
	return view(ctx, s, func(r pebble.Reader) (all []T, err error) {
		err = scan(r, prefix, from, func(key, value []byte) (bool, error) {
			v, err := decode(r, key, value)
			all = append(all, v)
			return len(all) < max, err
		})
		return all, err
	})
}

// read gets one key and decodes its value, which decode must not keep. ok is false if there is no such key.
func read[T any](r pebble.Reader, key []byte, decode func([]byte) (T, error)) (v T, ok bool, err error) {
	value, closer, err := r.Get(key)
	if err != nil {
		if errors.Is(err, pebble.ErrNotFound) {
			return v, false, nil
		}
		return v, false, unavailable(err)
	}
	v, err = decode(value)
	closeErr := closer.Close()
	if err != nil {
		return v, true, damaged(key, err)
	}
	return v, true, unavailable(closeErr)
}

func noSuch(what ...any) error {
	return liked.Errorf(liked.NotFound, "no such %s", strings.TrimSpace(fmt.Sprintln(what...)))
}

func exists(r pebble.Reader, key []byte) (bool, error) {
	_, ok, err := read(r, key, func([]byte) (struct{}, error) { return struct{}{}, nil })
	return ok, err
}

func damaged(key []byte, err error) error {
	return &liked.Error{Kind: liked.Internal, Msg: fmt.Sprintf("%s: key %x", isDamaged, key), Err: err}
}

const isDamaged = "a file of the store is damaged; stop the server, keep a copy of the directory, and restore the last good backup"

// unavailable wraps an error of pebble; nil and a *liked.Error are returned as they are.
func unavailable(err error) error {
	if _, ours := err.(*liked.Error); ours || err == nil {
		return err
	}
	msg := "the disk refuses to be read or written; the log of the system says why"
	if pebble.IsCorruptionError(err) {
		msg = isDamaged
	}
	return &liked.Error{Kind: liked.Unavailable, Msg: msg, Err: err}
}

// scan calls f with each key that begins with prefix and is not below from, until f returns false or an error; a
// decoder's error gets the key. Key and value are only valid during the call.
func scan(r pebble.Reader, prefix, from []byte, f func(key, value []byte) (bool, error)) error {
	if string(from) < string(prefix) {
		from = prefix
	}
	return scanRange(r, from, after(prefix), f)
}

// scanRange is scan of the keys in [from, to).
func scanRange(r pebble.Reader, from, to []byte, f func(key, value []byte) (bool, error)) (err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return unavailable(err)
	}
	defer closeInto(&err, it)
	t, operation := r.(*tx)
	for ok := it.First(); ok; ok = it.Next() {
		if operation {
			t.rows++
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return unavailable(err)
		}
		if more, err := f(it.Key(), value); err == errRecord {
			return damaged(it.Key(), err)
		} else if err != nil || !more {
			return err
		}
	}
	return nil
}

// scanBack is scanRange in reverse, without values.
func scanBack(r pebble.Reader, from, to []byte, f func(key []byte) (bool, error)) (err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return unavailable(err)
	}
	defer closeInto(&err, it)
	for ok := it.Last(); ok; ok = it.Prev() {
		if more, err := f(it.Key()); err != nil || !more {
			return err
		}
	}
	return unavailable(it.Error())
}

// firstKey returns the first key in [from, to), lastKey the last one; nil if there is none.
func firstKey(r pebble.Reader, from, to []byte) (found []byte, err error) {
	err = scanRange(r, from, to, func(key, _ []byte) (bool, error) { found = bytes.Clone(key); return false, nil })
	return found, err
}

func lastKey(r pebble.Reader, from, to []byte) (found []byte, err error) {
	err = scanBack(r, from, to, func(key []byte) (bool, error) { found = bytes.Clone(key); return false, nil })
	return found, err
}

func closeInto(err *error, c io.Closer) {
	if closeErr := c.Close(); *err == nil {
		*err = unavailable(closeErr)
	}
}
