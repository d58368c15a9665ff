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
	resumeLife = time.Hour
	maxResume  = 40 << 10 // bytes of a form, which are sealed and encoded within a form of maxForm

	sealResume = "form of an ended session, to go on with, of " // + user
)

// staleForm is a form of ours that was shown to another session than the request's. If somebody was signed in there, it is
// kept for them, through the sign-in page: see askResume.
type staleForm struct {
	form  Form
	shown liked.UserID // zero: to nobody who was signed in, or by nobody of us
}

func (*staleForm) Error() string { return "the form was not shown to this session" }

// formToken is for the forms of a page. It says to which session the page is shown, and to whom.
func (c *Call) formToken() string {
	return c.Seal(sealForm, "", c.session.user.ID.String()+" "+c.session.mark())
}

// readFormToken returns to whom a form was shown, and whether that was in this session.
func (c *Call) readFormToken(token string) (shown liked.UserID, here bool) {
	text, ok := c.Open(sealForm, "", token)
	id, mark, _ := strings.Cut(text, " ")
	shown, err := liked.ParseID[liked.UserID](id)
	if !ok || err != nil {
		return 0, false
	}
	return shown, c.session.cookie != "" && mark == c.session.mark()
}

// askResume answers a stale form: whoever it was shown to signs in, if that is needed, and can go on with it, by a button on
// a page of the new session. Nobody else can, and nothing happens before.
func (c *Call) askResume(stale *staleForm) (*Answer, error) {
	if stale.shown == 0 {
		return nil, errOldForm.Because("%v", stale)
	}
	c.Why = stale.Error()
	delete(stale.form, "form_token")
	p := web.Resume{Action: c.Path, Fields: url.Values(stale.form)}
	if c.session.user.ID == stale.shown {
		p.Frame = c.Frame()
		return Page(http.StatusForbidden, p)
	}
	text := p.Fields.Encode()
	u, err := c.Store.User(c.Context, stale.shown)
	switch {
	case notFound(err) || len(text) > maxResume:
		return nil, errOldForm.Because("%v", stale)
	case err != nil:
		return nil, err
	}
	until := c.Now().Add(resumeLife).UTC().Format(time.RFC3339)
	kept := u.ID.String() + "." + c.Seal(sealResume, u.ID.String(), until+" "+p.Action+" "+text)
	return c.askSignIn(http.StatusForbidden, web.SignIn{Return: c.here(""), Username: u.Username, Resume: kept})
}

// unfinished returns the page to go on with what askResume kept, nil if it is not the session's user's or too old.
func (c *Call) unfinished(kept string) *web.Resume {
	id, sealed, _ := strings.Cut(kept, ".")
	if c.session.user.ID == 0 || id != c.session.user.ID.String() {
		return nil
	}
	text, ok := c.Open(sealResume, id, sealed)
	until, text, _ := strings.Cut(text, " ")
	action, text, _ := strings.Cut(text, " ")
	end, err := time.Parse(time.RFC3339, until)
	fields, fieldsErr := url.ParseQuery(text)
	if !ok || errors.Join(err, fieldsErr) != nil || !c.Now().Before(end) {
		return nil
	}
	return &web.Resume{Frame: c.Frame(), Action: action, Fields: fields}
}
