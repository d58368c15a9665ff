package portal

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"liked"
	"liked/internal/oauth"
	"liked/internal/store"
	"liked/internal/web"
)

const (
	offerLife = 24 * time.Hour

	sealOffer = "offer of an app to user " // + id
)

// offer is an app that its owner wants to give to another user. It is a link for that user, who has to accept: the name of
// an app's owner stands where people are asked to trust the app, and nobody's name gets there unasked.
type offer struct {
	App    liked.AppID
	From   liked.UserID
	Bearer store.Hash // of the app's bearer token, which ends when the app goes: an offer holds once, and a new token withdraws it
	Until  time.Time
}

// makeOffer shows the owner a link for the user who is to have the app.
func (c *call) makeOffer(app liked.App, u liked.User, form oauth.Form) (*oauth.Answer, error) {
	name := strings.TrimPrefix(strings.TrimSpace(form.First("username")), "@")
	refuse := func(text string) (*oauth.Answer, error) {
		return c.refuse(app, func(p *web.DeveloperPage) { p.Heir = name }, web.Problem{Field: "heir", Text: text})
	}
	if name == "" {
		return refuse("Enter a username")
	}
	heir, err := c.Store.UserByUsername(c.Context, name)
	switch {
	case liked.KindOf(err) == liked.NotFound || err == nil && heir.State.Hidden():
		return refuse("There is no @" + name + " here")
	case err != nil:
		return nil, err
	case heir.ID == u.ID:
		return refuse("The app is yours already: name somebody else")
	}
	if _, err := c.Auth.Bearer(c.Context, app.ID); err != nil { // makes one if there is none, for the offer to end with
		return nil, err
	}
	stored, err := c.Store.App(c.Context, app.ID)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(offer{app.ID, u.ID, stored.BearerHash, c.Now().Add(offerLife)})
	if err != nil {
		return nil, err
	}
	link := c.BaseURL(c.Request) + offerPath + "?" + url.Values{"offer": {c.Seal(sealOffer, heir.ID.String(), string(text))}}.Encode()
	return c.Done(pathOf(app), web.Outcome{Secrets: []web.Secret{{Label: "Link for @" + heir.Username, Value: link}},
		Notice: "Send this link to @" + heir.Username + ". It works for @" + heir.Username + " alone, for " + web.Lasts(offerLife) +
			", once. Until it is used, the app stays yours; a new bearer token withdraws it."})
}

var errNoOffer = &oauth.Refusal{Status: http.StatusNotFound, Code: "This offer does not hold",
	Text: "It is for another user, was used or withdrawn, or is too old. Ask the owner of the app for a new one."}

// readOffer returns an offer to the user that still holds, and its app.
func (c *call) readOffer(u liked.User, sealed string) (o offer, app store.App, err error) {
	text, ok := c.Open(sealOffer, u.ID.String(), sealed)
	if !ok || json.Unmarshal([]byte(text), &o) != nil || !c.Now().Before(o.Until) {
		return o, app, errNoOffer
	}
	app, err = c.Store.App(c.Context, o.App)
	if liked.KindOf(err) == liked.NotFound || err == nil && !o.of(&app) {
		err = errNoOffer
	}
	c.App = o.App
	return o, app, err
}

func (o offer) of(app *store.App) bool {
	return app.Owner == o.From && app.BearerHash == o.Bearer && o.Bearer != store.Hash{}
}

// showOffer asks the user whether to take the app.
func (c *call) showOffer() (*oauth.Answer, error) {
	u, err := c.SignedIn()
	if err != nil {
		return nil, err
	}
	sealed := c.Request.URL.Query().Get("offer")
	o, app, err := c.readOffer(u, sealed)
	if err != nil {
		return nil, err
	}
	from, err := c.Store.User(c.Context, o.From)
	if err != nil {
		return nil, err
	}
	callbacks := "It has no callback URLs."
	if len(app.RedirectURIs) > 0 {
		callbacks = "It sends people, with what they grant, to: " + strings.Join(app.RedirectURIs, ", ")
	}
	return oauth.Page(http.StatusOK, web.Confirm{Frame: c.Frame(), Here: appsPath, Action: offerPath, Back: appsPath, Do: "Take the app over",
		Question: "Take over " + app.Name + " from @" + from.Username + "?", Fields: []web.Field{{Name: "offer", Value: sealed}},
		Ends: []string{"People are told that the app is by you, @" + u.Username + ".", callbacks,
			"Its bearer token, its webhooks and all tokens that people gave it end."},
		Stays: []string{"The client ID, the client secret, the API key and its secret. @" + from.Username +
			" may know them: make new ones afterwards."},
		Undo: "You can delete the app later, or give it to somebody else."})
}

func (c *call) acceptOffer() (*oauth.Answer, error) {
	form, u, err := c.Form()
	if err != nil {
		return nil, err
	}
	o, app, err := c.readOffer(u, form.First("offer"))
	if err != nil {
		return nil, err
	}
	err = c.Store.UpdateApp(c.Context, o.App, func(stored *store.App) error {
		if !o.of(stored) {
			return errNoOffer
		}
		stored.Owner = u.ID
		return nil
	})
	switch {
	case liked.KindOf(err) == liked.Forbidden:
		wrong := web.Problems{{Text: tooMany}}
		c.because(wrong)
		return c.list(http.StatusUnprocessableEntity, u, web.Developer{Problems: wrong})
	case err != nil:
		return nil, err
	}
	return c.Done(pathOf(app.App), web.Outcome{Notice: "The app is yours. Make new secrets now: its owner before may know the old ones."})
}
