package exchange

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// secretParts are in names whose values are secrets; secretWords are such names, and so is all that begins with oauth_.
// publicNames are none, though they look so.
var (
	secretParts = []string{"token", "secret", "passw", "verifier", "challenge", "signature", "credential", "authorization", "cookie",
		"api_key", "apikey", "consumer_key", "consumerkey", "assertion"}
	secretWords = map[string]bool{"code": true, "pin": true, "key": true, "nonce": true}
	publicNames = map[string]bool{"token_type": true, "token_type_hint": true, "pagination_token": true, "next_token": true,
		"previous_token": true, "code_challenge_method": true}
)

// IsSecret reports whether values of that name must not be shown whole.
func IsSecret(name string) bool {
	name = strings.ToLower(name)
	if publicNames[name] {
		return false
	}
	return secretWords[name] || strings.HasPrefix(name, "oauth_") ||
		slices.ContainsFunc(secretParts, func(part string) bool { return strings.Contains(name, part) })
}

// Cut returns the beginning of a secret: four characters, fewer of a short one.
func Cut(secret string) string {
	n, end := min(4, utf8.RuneCountInString(secret)/2), 0
	for range n {
		_, size := utf8.DecodeRuneInString(secret[end:])
		end += size
	}
	return secret[:end] + "…"
}
