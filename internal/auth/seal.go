package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
)

// What a sealed secret is good for. Together with the name of its owner it is authenticated with the secret, so that a
// sealed value put into another record does not open there.
const (
	sealAPISecret   = "api secret of "        // + API key
	sealBearer      = "bearer token of "      // + client id
	sealTokenSecret = "oauth1 token secret: " // + hash of the token
)

func newSeal(key [32]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// sealed returns a random nonce followed by the AES-256-GCM ciphertext of the secret.
func (a *Issuer) sealed(purpose, owner, secret string) ([]byte, error) {
	nonce := make([]byte, a.seal.NonceSize(), a.seal.NonceSize()+len(secret)+a.seal.Overhead())
	if err := a.random(nonce); err != nil {
		return nil, err
	}
	return a.seal.Seal(nonce, nonce, []byte(secret), []byte(purpose+owner)), nil
}

var errSeal = errors.New("it was sealed with another key than the one in seal.key, as all were before a restore with a new key")

// unsealed undoes sealed.
func (a *Issuer) unsealed(purpose, owner string, sealed []byte) (string, error) {
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
