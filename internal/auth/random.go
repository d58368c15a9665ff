package auth

import (
	"encoding/base64"
	"fmt"
	"io"
	"time"
)

// Alphabets of RandomText.
const (
	Digits       = "0123456789"
	Alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	urlSafe      = Alphanumeric + "-_"
)

// random fills b. A source that fails is a panic, as for crypto/rand.Read: there is no secret to go on with.
func (a *Issuer) random(b []byte) {
	a.randMu.Lock()
	defer a.randMu.Unlock()
	if _, err := io.ReadFull(a.rand, b); err != nil {
		panic(fmt.Errorf("auth: no randomness: %w", err))
	}
}

// RandomText returns n uniformly random characters of the alphabet, which has at most 64.
func (a *Issuer) RandomText(alphabet string, n int) string {
	text := make([]byte, 0, n)
	var b [64]byte
	for len(text) < n {
		a.random(b[:])
		for _, r := range b {
			// Six bits choose; values beyond the end of a shorter alphabet are discarded.
			if i := int(r & 63); i < len(alphabet) && len(text) < n {
				text = append(text, alphabet[i])
			}
		}
	}
	return string(text)
}

// timed returns a token or code in X's OAuth 2.0 format, 91 characters.
func (a *Issuer) timed(kind string, at time.Time) string {
	plain := fmt.Appendf(nil, "%s:%d:1:1:%s:1", a.RandomText(urlSafe, 45), at.UnixMilli(), kind)
	return base64.RawURLEncoding.EncodeToString(plain)
}

// appBearer returns an app-only token in X's format: 24 bytes, mostly zero, and 20 bytes in base64, then 50 characters.
func (a *Issuer) appBearer() string {
	text := func(n int) string { return a.RandomText(Alphanumeric, n) }
	return appBearerPrefix + text(4) + "AAAAAAA" + text(1) + "+" + text(5) + "+" + text(19) + "=" + text(50)
}
