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

// The cost of a password hash: some 20 ms and 19 MiB. A hash carries its own parameters, so that these can be raised
// while old hashes stay good.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonSalt   = 16
	argonSum    = 32

	minPassword = 8    // characters
	maxPassword = 1024 // bytes
)

// argonForm is how a hash is written: its parameters, then salt and sum in base64.
const argonForm = "$argon2id$v=19$m=%d,t=%d,p=%d$"

// passwords bounds how many hashes are computed at once, since each takes memory: a crowd waits.
type passwords chan struct{}

func newPasswords() passwords { return make(passwords, max(2, runtime.GOMAXPROCS(0))) }

func (p passwords) sum(ctx context.Context, password string, salt []byte, time, memory uint32, threads uint8, n int) ([]byte, error) {
	select {
	case p <- struct{}{}:
		defer func() { <-p }()
		return argon2.IDKey([]byte(password), salt, time, memory, threads, uint32(n)), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// HashPassword returns what a store keeps of a password (argon2id). Invalid unless it is UTF-8 of 8 characters to 1024
// bytes.
func (a *Issuer) HashPassword(ctx context.Context, password string) (encoded string, err error) {
	switch n := utf8.RuneCountInString(password); {
	case !utf8.ValidString(password):
		return "", liked.Errorf(liked.Invalid, "the password is not UTF-8")
	case n < minPassword:
		return "", liked.Errorf(liked.Invalid, "the password has %d characters, fewer than %d", n, minPassword)
	case len(password) > maxPassword:
		return "", liked.Errorf(liked.Invalid, "the password has %d bytes, more than %d", len(password), maxPassword)
	}
	salt := make([]byte, argonSalt)
	if err := a.random(salt); err != nil {
		return "", err
	}
	sum, err := a.passwords.sum(ctx, password, salt, argonTime, argonMemory, 1, argonSum)
	if err != nil {
		return "", err
	}
	return passwordHash{argonMemory, argonTime, 1, salt, sum}.String(), nil
}

// NewPassword makes up a password of 16 letters and digits.
func (a *Issuer) NewPassword() (string, error) {
	return a.RandomText(Alphanumeric, 16)
}

// SetPassword gives the user the password, which ends the user's sessions. NotFound if there is no such
// user, Invalid as in HashPassword.
func (a *Issuer) SetPassword(ctx context.Context, user liked.UserID, password string) error {
	encoded, err := a.HashPassword(ctx, password)
	if err != nil {
		return err
	}
	return a.store.SetPassword(ctx, user, encoded)
}

// CheckPassword returns the user who has this name and this password. If there is none, why says which of the two is wrong:
// for the operator alone, since both take equally long.
func (a *Issuer) CheckPassword(ctx context.Context, username, password string) (u liked.User, why string, err error) {
	encoded := noPassword
	u, err = a.store.UserByUsername(ctx, username)
	if err == nil {
		var kept string
		if kept, err = a.store.Password(ctx, u.ID); err == nil {
			encoded = kept
		} else {
			why = "the user has no password"
		}
	} else {
		why = "there is no such user"
	}
	if err != nil && !notFound(err) {
		return liked.User{}, "", err
	}
	same, err := a.samePassword(ctx, password, encoded)
	if err != nil {
		return liked.User{}, "", err
	}
	if !same && why == "" {
		why = "the password is wrong"
	}
	return u, why, nil
}

// noPassword is compared with where there is no user or no password: finding that out takes as long as a wrong
// password does. It is the form of a real hash, which no password has.
var noPassword = passwordHash{argonMemory, argonTime, 1, make([]byte, argonSalt), make([]byte, argonSum)}.String()

// passwordHash is what is stored of a password.
type passwordHash struct {
	memory, time uint32 // KiB, passes
	threads      uint8
	salt, sum    []byte
}

// parsePassword reads what HashPassword wrote, with the parameters of any time. None that is ok costs more than 1 GiB and
// 100 passes.
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

// samePassword reports whether the password is the one that was hashed. The time it takes depends on the parameters in
// the hash alone.
func (a *Issuer) samePassword(ctx context.Context, password, encoded string) (bool, error) {
	if len(password) > maxPassword {
		hash := sha256.Sum256([]byte(password)) // no password that was hashed is as long; the work stays the same
		password = string(hash[:])
		encoded = noPassword
	}
	h, ok := parsePassword(encoded)
	if !ok {
		return false, liked.Errorf(liked.Internal, "a password hash has an unknown form")
	}
	got, err := a.passwords.sum(ctx, password, h.salt, h.time, h.memory, h.threads, len(h.sum))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, h.sum) == 1, nil
}
