package portal

import (
	"fmt"
	"net/http"
	"strings"

	"liked"
	"liked/internal/auth"
	"liked/internal/oauth"
	"liked/internal/web"
)

// confirm asks before something that ends what others rely on, and says what that is.
func (c *call) confirm(app liked.App, what string) (*oauth.Answer, error) {
	p := web.Confirm{Frame: c.Frame(), Here: appsPath, Danger: true, Resets: c.Resets, Action: pathOf(app), Back: pathOf(app)}
	hooks := c.webhooksOf(app)
	switch what {
	case auth.ClientSecret, auth.APIKeys, auth.BearerToken:
		p.Fields = []web.Field{{Name: "action", Value: "regenerate"}, {Name: "what", Value: what}}
		p.Undo, p.Resets = "For ten minutes the next page can bring the old one back.", false
	case "delete":
		p.Fields = []web.Field{{Name: "action", Value: what}}
	}
	switch {
	case what == auth.ClientSecret && !app.Public:
		p.Question, p.Do = "A new client secret for "+app.Name+"?", "Regenerate client secret"
		p.Ends = []string{"Programs that have the old secret get no tokens any more, neither for a code nor for a refresh token, " +
			"until they have the new one."}
		p.Stays = []string{"Tokens that people gave the app.", "The API key and the bearer token."}
	case what == auth.APIKeys:
		p.Question, p.Do = "A new API key and secret for "+app.Name+"?", "Regenerate API key and secret"
		p.Ends = []string{"Requests that are signed with the old pair (OAuth 1.0a) are refused.", signedWith(hooks)}
		p.Stays = []string{"People’s access tokens, once they are used with the new pair.", "The client secret and the bearer token."}
	case what == auth.BearerToken:
		p.Question, p.Do = "A new bearer token for "+app.Name+"?", "Regenerate bearer token"
		p.Ends = []string{"Requests and streams of the app itself, with the old token, are refused."}
		p.Stays = []string{"Tokens that people gave the app.", "The client secret and the API key."}
	case what == "delete":
		p.Question, p.Do = "Delete "+app.Name+"?", "Delete the app"
		p.Ends = []string{"All its keys and secrets, its bearer token, and every token that people gave it are refused.",
			"Its " + webhooks(len(hooks)) + " and all subscriptions are gone, with what still waits to be delivered.",
			"Its client ID " + app.ClientID + " is never used again."}
		p.Stays = []string{"What it did for people stays: likes, posts."}
	case what == "webhook":
		for _, w := range hooks {
			if w.ID.String() == c.Request.URL.Query().Get("webhook") {
				return c.confirmRemoval(p, w)
			}
		}
		return c.refuse(app, func(*web.DeveloperPage) {}, web.Problem{Field: "webhooks", Text: "The app has no such webhook any more"})
	default:
		return nil, oauth.ErrForm.Because("an app of this type has no %.20q", what)
	}
	return oauth.Page(http.StatusOK, p)
}

func (c *call) confirmRemoval(p web.Confirm, w web.Webhook) (*oauth.Answer, error) {
	p.Question, p.Do = "Remove the webhook "+w.URL+"?", "Remove webhook"
	p.Fields = []web.Field{{Name: "action", Value: "webhook"}, {Name: "do", Value: "remove"}, {Name: "webhook", Value: w.ID.String()}}
	p.Ends = []string{"Likes are no longer delivered there, and the subscriptions that it has end."}
	if w.Dead > 0 {
		p.Ends = append(p.Ends, fmt.Sprintf("The likes that it did not take (%d) cannot be delivered again.", w.Dead))
	}
	return oauth.Page(http.StatusOK, p)
}

// signedWith says what new API keys mean for webhooks.
func signedWith(hooks []web.Webhook) string {
	if len(hooks) == 0 {
		return "Webhooks are signed with the secret: the app has none yet."
	}
	var urls []string
	for _, w := range hooks {
		urls = append(urls, w.URL)
	}
	return "Webhooks are signed with the secret: receivers that check with the old one refuse what they get, and fail their next challenge, " +
		"until they have the new one: " + strings.Join(urls, ", ") + "."
}

func webhooks(n int) string {
	if n == 1 {
		return "webhook"
	}
	return fmt.Sprintf("%d webhooks", n)
}
