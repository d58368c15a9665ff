package postman

// auth is how a request is authorized: a kind, and its values under its name.
func auth(kind string, pairs ...any) object {
	values := make([]object, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		of := "string"
		if _, ok := pairs[i+1].(bool); ok {
			of = "boolean"
		}
		values = append(values, object{"key": pairs[i], "value": pairs[i+1], "type": of})
	}
	return object{"type": kind, kind: values}
}

// authOf returns the authorization for a security scheme, those of tokens.json included, or nil for that of the
// collection.
func authOf(scheme string) object {
	oauth1 := []any{
		"consumerKey", "{{apiKey}}", "consumerSecret", "{{apiSecret}}", "signatureMethod", "HMAC-SHA1", "version", "1.0",
		"addParamsToHeader", true, "addEmptyParamsToSign", false,
	}
	switch scheme {
	case "OAuth2UserToken":
		return nil
	case "UserToken":
		return auth("oauth1", append(oauth1, "token", "{{oauth1Token}}", "tokenSecret", "{{oauth1TokenSecret}}")...)
	case "RequestToken":
		return auth("oauth1", append(oauth1, "callback", "{{callbackUrl}}")...)
	case "BearerToken":
		return auth("bearer", "token", "{{bearerToken}}")
	case "ClientSecret":
		return auth("basic", "username", "{{clientId}}", "password", "{{clientSecret}}")
	case "APISecret":
		return auth("basic", "username", "{{apiKey}}", "password", "{{apiSecret}}")
	}
	return object{"type": "noauth"}
}

// oauth2 authorizes with the access token of the environment, and has Postman get another by the authorization code flow
// with PKCE (RFC 7636).
func oauth2(authorize, token, scopes string) object {
	return auth("oauth2", "accessToken", "{{accessToken}}", "tokenType", "bearer", "headerPrefix", "Bearer", "addTokenTo", "header",
		"tokenName", "liked", "grant_type", "authorization_code_with_pkce", "challengeAlgorithm", "S256",
		"authUrl", "{{baseUrl}}"+authorize, "accessTokenUrl", "{{baseUrl}}"+token, "refreshTokenUrl", "{{baseUrl}}"+token,
		"redirect_uri", "{{callbackUrl}}", "clientId", "{{clientId}}", "clientSecret", "{{clientSecret}}",
		"scope", scopes, "state", "{{$guid}}", "client_authentication", "header", "useBrowser", false)
}
