package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"liked"
	"liked/internal/web"
)

const (
	consentLife = time.Hour // of a consent form

	sealConsent = "consent in the session " // + path and cookie
)

// linkFault is a fault of an authorize link. It is shown on a page, never sent to the still untrusted redirect URI.
type linkFault struct {
	app        liked.App // its owner may read the rest; zero if there is none
	why        string
	sent       string
	registered []string
}

func (f *linkFault) Error() string { return f.why }

// showFault shows a fault; the reason only to the app's owner, and in development.
func (c *Call) showFault(f *linkFault) (*Answer, error) {
	c.Why, c.App = f.why, f.app.ID
	p := web.Fault{Frame: c.Frame()}
	if c.Explain || f.app.Owner != 0 && f.app.Owner == c.session.user.ID {
		p.Why, p.Sent, p.Registered = f.why, f.sent, f.registered
	}
	return Page(http.StatusBadRequest, p)
}

// consenter returns the user who consents: the signed-in one, or AutoConsent, unasked.
func (c *Call) consenter(app liked.App) (u liked.User, unasked bool, err error) {
	if c.AutoConsent != "" {
		u, err = c.Store.UserByUsername(c.Context, c.AutoConsent)
		return u, true, err
	}
	u, err = c.signedIn(app.Name)
	return u, false, err
}

// staleConsent is a decision that is asked for anew, on the page at the place, which is sealed.
type staleConsent struct{ place string }

func (*staleConsent) Error() string {
	return "the consent form was shown to another session or too long ago"
}

// askConsent asks on a page whether the app may have what p says. openConsent returns asked from its form, in the same
// session only. query is that of the page's URL.
func (c *Call) askConsent(app liked.App, asked, query, redirectTo string, p web.Consent) (*Answer, error) {
	owner, err := c.ownerName(app)
	if err != nil {
		return nil, err
	}
	expires := c.Now().Add(consentLife).UTC().Format(time.RFC3339)
	p.Request = c.Seal(sealConsent, c.Path+" "+c.session.cookie, expires+" "+c.session.user.ID.String()+" "+asked)
	p.Frame, p.Action, p.Return = c.Frame(), c.Path, c.here(query)
	p.AppName, p.AppOwner, p.RedirectTo = app.Name, owner, destination(redirectTo)
	return Page(http.StatusOK, p)
}

// openConsent reads askConsent's form: the user, what was asked, and whether it was allowed.
func (c *Call) openConsent() (u liked.User, asked string, allowed bool, err error) {
	form, err := c.form()
	if stale, ok := errors.AsType[*staleForm](err); ok {
		return u, "", false, &staleConsent{stale.form.First("return")}
	} else if err != nil {
		return u, "", false, err
	}
	text, ok := c.Open(sealConsent, c.Path+" "+c.session.cookie, form.First("request"))
	expires, text, _ := strings.Cut(text, " ")
	id, asked, _ := strings.Cut(text, " ")
	until, timeErr := time.Parse(time.RFC3339, expires)
	u = c.session.user
	if !ok || timeErr != nil || !c.Now().Before(until) || u.ID == 0 || u.ID.String() != id {
		return u, "", false, &staleConsent{form.First("return")}
	}
	switch decision := form.First("decision"); decision {
	case "allow", "deny":
		return u, asked, decision == "allow", nil
	}
	return u, "", false, ErrForm.Because("the consent form has no decision")
}

// askAgain answers a stale decision with the same question, after signing in if that is needed.
func (c *Call) askAgain(stale *staleConsent) (*Answer, error) {
	place, ok := c.Open(sealReturn, "", stale.place)
	switch {
	case !ok:
		return nil, errOldForm.Because("%v", stale)
	case c.session.user.ID != 0:
		return redirect(http.StatusSeeOther, place)
	}
	c.Why = stale.Error()
	return c.askSignIn(http.StatusForbidden, web.SignIn{Return: stale.place})
}

// withQuery adds to a URI's query (RFC 6749, 3.1.2). A space becomes %20, which every decoder accepts.
func withQuery(uri string, members ...string) string {
	b := []byte(uri)
	switch _, query, there := strings.Cut(uri, "?"); {
	case !there:
		b = append(b, '?')
	case query != "" && !strings.HasSuffix(query, "&"):
		b = append(b, '&')
	}
	for i := 0; i < len(members); i += 2 {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(append(b, members[i]...), '=')
		b = append(b, strings.ReplaceAll(url.QueryEscape(members[i+1]), "+", "%20")...)
	}
	return string(b)
}

// destination returns where a redirect leads: the host, or the scheme of a native app; "" for a PIN.
func destination(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil || uri == outOfBand:
		return ""
	case u.Scheme == "http" || u.Scheme == "https":
		return u.Host
	}
	return u.Scheme + ":"
}

// ownerName returns the username of the app's owner, "" for the operator.
func (c *Call) ownerName(app liked.App) (string, error) {
	if app.Owner == 0 {
		return "", nil
	}
	u, err := c.Store.User(c.Context, app.Owner)
	if err != nil && !notFound(err) {
		return "", err
	}
	return u.Username, nil
}
