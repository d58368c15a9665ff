package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
)

// Purposes of Seal.
const (
	sealAPISecret     = "api secret of "                // + API key
	sealBearer        = "bearer token of "              // + client id
	sealTokenSecret   = "oauth1 token secret: "         // + hash of the token
	sealRequestSecret = "oauth1 request token secret: " // + hash of the token
)

func newSeal(key [32]byte) cipher.AEAD {
	block, _ := aes.NewCipher(key[:]) // neither fails for a key of this size
	seal, _ := cipher.NewGCM(block)
	return seal
}

// Seal returns a random nonce and the AES-256-GCM ciphertext. It authenticates purpose and owner: a value moved
// elsewhere does not open.
func (a *Issuer) Seal(purpose, owner, secret string) []byte {
	nonce := make([]byte, a.seal.NonceSize(), a.seal.NonceSize()+len(secret)+a.seal.Overhead())
	a.random(nonce)
	return a.seal.Seal(nonce, nonce, []byte(secret), []byte(purpose+owner))
}

var errSeal = errors.New("it was sealed with another key than the one in seal.key, as all were before a restore with a new key")

// Unseal undoes Seal, for the same purpose and owner.
func (a *Issuer) Unseal(purpose, owner string, sealed []byte) (string, error) {
	n := a.seal.NonceSize()
	if len(sealed) < n {
		return "", errSeal
	}
	plain, err := a.seal.Open(nil, sealed[:n], sealed[n:], []byte(purpose+owner))
	if err != nil {
		return "", errSeal
	}
	return string(plain), nil
}
