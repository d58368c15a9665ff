package postman

import "strings"

// Environment is the collection's variables from outside; unknown ones are empty.
type Environment map[string]string

const (
	shown  = "baseUrl userId username postId ownPostId callbackUrl clientId apiKey webhookUrl streams"
	secret = "clientSecret accessToken refreshToken apiSecret oauth1Token oauth1TokenSecret bearerToken tokenToRevoke"
)

// Encode returns Postman's import format. Secret values are left empty unless secrets is set.
func (e Environment) Encode(secrets bool) []byte {
	values := []object{}
	add := func(kind, names string, filled bool) {
		for name := range strings.FieldsSeq(names) {
			value := ""
			if filled {
				value = e[name]
			}
			values = append(values, object{"key": name, "value": value, "type": kind, "enabled": true})
		}
	}
	add("default", shown, true)
	add("secret", secret, secrets)
	return encode(object{"name": "liked", "values": values, "_postman_variable_scope": "environment"})
}
