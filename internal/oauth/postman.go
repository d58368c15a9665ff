package oauth

import (
	"strings"

	"liked"
	"liked/internal/postman"
)

// Postman returns what gets and ends tokens as a folder of a Postman collection, and the authorization that has Postman
// sign in and consent as any app does. profile is the year whose X the answers are recorded of.
func Postman(profile string) (postman.Folder, *postman.Auth) {
	f := postman.Folder{Name: "Tokens", Description: "Getting tokens, and ending them. Those that need a person begin with " +
		"“Get New Access Token” on the collection’s tab for authorization."}
	answers := postman.Recorded(profile)
	add := func(name, operation string, auth *postman.Auth, fields []postman.Variable, events ...postman.Event) {
		r := postman.New("POST", pathOf(operation), nil, nil)
		r.Auth = auth
		if fields != nil {
			r.Form(fields...)
		}
		changed := r.With(postman.Basic("nobody", "wrong"))
		item := postman.Item{Name: name, ID: operation, Request: r, Event: events, Response: []postman.Response{
			{Name: "Success", OriginalRequest: r.With(auth)}, {Name: "Unknown app", OriginalRequest: changed}}}
		answers.Fill(&item)
		f.Item = append(f.Item, item)
	}
	app := postman.Basic("{{clientId}}", "{{clientSecret}}")
	const status = `pm.test("the status is 200", () => pm.response.to.have.status(200));`
	const isJSON = `pm.test("it is application/json", () => pm.expect(pm.response.headers.get("Content-Type")).to.match(/^application\/json(;|$)/));`
	const kept = `pm.test("nobody may keep it", () => pm.expect(pm.response.headers.get("Cache-Control")).to.include("no-store"));`
	add("Refresh the access token", "oauth2Token", app,
		[]postman.Variable{{Key: "grant_type", Value: "refresh_token"}, {Key: "refresh_token", Value: "{{refreshToken}}"}},
		postman.OnlyWith("refreshToken"), postman.Test(status, isJSON, kept,
			`const answer = pm.response.json();`,
			`pm.test("it has tokens of a user", () => {
	pm.expect(answer).to.include.keys("access_token", "refresh_token", "expires_in", "scope");
	pm.expect(answer.token_type).to.eql("bearer");
});`,
			`pm.environment.set("accessToken", answer.access_token);`,
			`pm.environment.set("refreshToken", answer.refresh_token); // the one before is spent`))
	add("Get the app-only token", "oauth2AppToken", postman.Basic("{{apiKey}}", "{{apiSecret}}"),
		[]postman.Variable{{Key: "grant_type", Value: "client_credentials"}},
		postman.Test(status, isJSON, kept,
			`const answer = pm.response.json();`,
			`pm.test("it has a token", () => {
	pm.expect(answer.access_token).to.be.a("string").and.not.empty;
	pm.expect(answer.token_type).to.eql("bearer");
});`,
			`pm.environment.set("bearerToken", answer.access_token);`))
	add("Get a request token (OAuth 1.0a)", "oauthRequestToken", postman.OAuth1("{{callbackUrl}}"), nil,
		postman.Test(status, kept,
			`pm.test("it has a token, a secret and no doubt about the callback", () => pm.expect(pm.response.text()).to.match(/^oauth_token=[^&]+&oauth_token_secret=[^&]+&oauth_callback_confirmed=true$/));`))
	add("Revoke a token", "oauth2Revoke", app, []postman.Variable{{Key: "token", Value: "{{tokenToRevoke}}",
		Description: "An access or a refresh token. All that the user gave to the app with it ends. A run of the collection does that only if the variable has a value."}},
		postman.OnlyWith("tokenToRevoke"), postman.Test(status, isJSON, kept,
			`pm.test("it is revoked", () => pm.expect(pm.response.json()).to.eql({ revoked: true }));`))
	return f, postman.OAuth2(pathOf("oauth2Authorize"), pathOf("oauth2Token"), liked.AllScopes.String())
}

// pathOf is the path of an operation that has one.
func pathOf(operation string) string {
	for path, rt := range routes {
		if rt.Operation == operation && !strings.HasPrefix(path, "/2/oauth2/authorize") {
			return path
		}
	}
	panic("no operation " + operation)
}
