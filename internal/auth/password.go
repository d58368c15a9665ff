package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"liked"
)

// A hash costs about 20 ms and 19 MiB. It carries its parameters: old ones stay valid when these rise.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonSalt   = 16
	argonSum    = 32

	minPassword = 8    // characters
	maxPassword = 1024 // bytes
)

// argonForm precedes salt and sum in base64.
const argonForm = "$argon2id$v=19$m=%d,t=%d,p=%d$"

// passwords bounds concurrent hashing, since each hash takes memory and a core; one core is left to everything else where
// there are several. Excess callers wait.
type passwords chan struct{}

func newPasswords() passwords { return make(passwords, max(1, runtime.GOMAXPROCS(0)-1)) }

func (p passwords) sum(ctx context.Context, password string, h passwordHash) ([]byte, error) {
	select {
	case p <- struct{}{}:
		defer func() { <-p }()
		return argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, argonSum), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// HashPassword returns the argon2id hash of a password. Invalid unless it is UTF-8 of 8 characters to 1024 bytes.
func (a *Issuer) HashPassword(ctx context.Context, password string) (encoded string, err error) {
	switch n := utf8.RuneCountInString(password); {
	case !utf8.ValidString(password):
		return "", liked.Errorf(liked.Invalid, "the password is not UTF-8")
	case n < minPassword:
		return "", liked.Errorf(liked.Invalid, "the password has %d characters, fewer than %d", n, minPassword)
	case len(password) > maxPassword:
		return "", liked.Errorf(liked.Invalid, "the password has %d bytes, more than %d", len(password), maxPassword)
	}
	h := passwordHash{argonMemory, argonTime, 1, make([]byte, argonSalt), nil}
	a.random(h.salt)
	if h.sum, err = a.passwords.sum(ctx, password, h); err != nil {
		return "", err
	}
	return h.String(), nil
}

// CheckPassword returns the user with this name and password. If there is none, why says which is wrong, for the
// operator only. All answers take equally long: the time depends only on the hash's parameters.
func (a *Issuer) CheckPassword(ctx context.Context, username, password string) (u liked.User, why string, err error) {
	why, encoded := "there is no such user", noPassword
	if u, err = a.store.UserByUsername(ctx, username); err == nil {
		why = "the user has no password"
		var kept string
		if kept, err = a.store.Password(ctx, u.ID); err == nil {
			why, encoded = "the password is wrong", kept
		}
	}
	if err != nil && !notFound(err) {
		return liked.User{}, "", err
	}
	if len(password) > maxPassword {
		hash := sha256.Sum256([]byte(password)) // too long to be right; the work stays the same
		password, encoded = string(hash[:]), noPassword
	}
	h, ok := parsePassword(encoded)
	if !ok {
		return liked.User{}, "", liked.Errorf(liked.Internal, "a password hash has an unknown form")
	}
	got, err := a.passwords.sum(ctx, password, h)
	if err != nil {
		return liked.User{}, "", err
	}
	if subtle.ConstantTimeCompare(got, h.sum) == 1 && encoded != noPassword {
		why = ""
	}
	return u, why, nil
}

// noPassword is a well-formed hash, checked where there is no user or password.
var noPassword = passwordHash{argonMemory, argonTime, 1, make([]byte, argonSalt), make([]byte, argonSum)}.String()

type passwordHash struct {
	memory, time uint32 // KiB, passes
	threads      uint8
	salt, sum    []byte
}

// parsePassword reads what HashPassword wrote. It accepts at most 1 GiB and 100 passes.
func parsePassword(encoded string) (h passwordHash, ok bool) {
	var rest string
	if _, err := fmt.Sscanf(encoded, argonForm+"%s", &h.memory, &h.time, &h.threads, &rest); err != nil {
		return h, false
	}
	if h.memory > 1<<20 || h.time == 0 || h.time > 100 || h.threads == 0 {
		return h, false
	}
	i := len(rest) - base64.RawStdEncoding.EncodedLen(argonSum) - 1
	if i <= 0 || rest[i] != '$' {
		return h, false
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.DecodeString(rest[:i])
	h.sum, err2 = base64.RawStdEncoding.DecodeString(rest[i+1:])
	return h, err1 == nil && err2 == nil && len(h.sum) == argonSum
}

func (h passwordHash) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf(argonForm, h.memory, h.time, h.threads) + b64.EncodeToString(h.salt) + "$" + b64.EncodeToString(h.sum)
}
