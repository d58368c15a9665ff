package auth

import (
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"liked"
)

// Alphabets of RandomText.
const (
	Digits       = "0123456789"
	Alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	urlSafe      = Alphanumeric + "-_"
)

func (a *Issuer) random(b []byte) error {
	a.randMu.Lock()
	defer a.randMu.Unlock()
	if _, err := io.ReadFull(a.rand, b); err != nil {
		return &liked.Error{Kind: liked.Internal, Msg: "no randomness", Err: err}
	}
	return nil
}

// RandomText returns n uniformly random characters of the alphabet.
func (a *Issuer) RandomText(alphabet string, n int) (string, error) {
	d := draw{a: a}
	text := d.text(alphabet, n)
	return text, d.err
}

// draw makes random text, which is valid only while err is nil.
type draw struct {
	a   *Issuer
	err error
}

// text is RandomText. The alphabet has at most 64 characters.
func (d *draw) text(alphabet string, n int) string {
	text := make([]byte, 0, n)
	var b [64]byte
	for len(text) < n && d.err == nil {
		d.err = d.a.random(b[:])
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
func (d *draw) timed(kind string, at time.Time) string {
	plain := fmt.Appendf(nil, "%s:%d:1:1:%s:1", d.text(urlSafe, 45), at.UnixMilli(), kind)
	return base64.RawURLEncoding.EncodeToString(plain)
}

// appBearer returns an app-only token in X's format: 24 bytes, mostly zero, and 20 bytes in base64, then 50 characters.
func (d *draw) appBearer() string {
	return appBearerPrefix + d.text(Alphanumeric, 4) + "AAAAAAA" +
		d.text(Alphanumeric, 1) + "+" + d.text(Alphanumeric, 5) + "+" + d.text(Alphanumeric, 19) + "=" + d.text(Alphanumeric, 50)
}
