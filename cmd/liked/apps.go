package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"liked/internal/admin"
)

// AppFields has the settings of an app.
type AppFields struct {
	Owner        *string  `json:"owner,omitempty" placeholder:"USER" help:"Id or username of the owner; empty for the operator."`
	State        *string  `json:"state,omitempty" placeholder:"STATE" help:"enrolled, not-enrolled or suspended."`
	Tier         *string  `json:"tier,omitempty" placeholder:"TIER"`
	Access       *string  `json:"access,omitempty" placeholder:"LEVEL"`
	RedirectURIs []string `json:"redirect_uris,omitempty" name:"redirect-uri" placeholder:"URI" sep:"none"`
}

type appAddCmd struct {
	Name string `arg:"" json:"name" help:"Its name."`
	Type string `json:"type,omitempty" placeholder:"TYPE" help:"confidential (with a client secret, the default) or public."`
	AppFields
	Answer
}

func (c *appAddCmd) Run(e *env) error {
	return show(e, &c.Answer, request{method: "POST", path: at("apps"), body: c, mayMake: true}, func(m admin.MadeApp) [][2]string {
		return append(appLines(m.App), [2]string{"client secret", m.ClientSecret}, [2]string{"api secret", m.APISecret},
			[2]string{"bearer token", m.BearerToken})
	})
}

func appLines(a admin.App) [][2]string {
	return [][2]string{
		{"id", a.ID.String()}, {"name", a.Name}, {"owner", noZero(a.Owner)}, {"type", a.Type}, {"state", a.State.String()},
		{"tier", a.Tier.String()}, {"access", a.Access.String()}, {"redirect uris", strings.Join(a.RedirectURIs, " ")},
		{"created", when(a.CreatedAt)}, {"client id", a.ClientID}, {"api key", a.APIKey},
	}
}

type appListCmd struct{ Answer }

func (c *appListCmd) Run(e *env) error {
	return list(e, &c.Answer, at("apps"), "ID\tNAME\tTYPE\tSTATE\tTIER\tACCESS\tCLIENT ID",
		func(all admin.AppList) ([]admin.App, string) { return all.Apps, "" },
		func(a admin.App) []any { return []any{a.ID, a.Name, a.Type, a.State, a.Tier, a.Access, a.ClientID} })
}

type appSetCmd struct {
	App  string  `arg:"" json:"-" help:"Id, client id or name."`
	Name *string `json:"name,omitempty" help:"New name."`
	AppFields
	Answer
}

func (c *appSetCmd) Run(e *env) error {
	return show(e, &c.Answer, request{method: "PATCH", path: at("apps", c.App), body: c}, appLines)
}

type appDeleteCmd struct {
	App string `arg:"" help:"Id, client id or name."`
	Operator
}

func (c *appDeleteCmd) Run(e *env) error {
	return c.do(e, request{method: "DELETE", path: at("apps", c.App)})
}

type appRenewCmd struct {
	App  string `arg:"" json:"-" help:"Id, client id or name."`
	What string `arg:"" json:"what" help:"client_secret, api_keys (OAuth 1.0a; key and secret) or bearer_token (app-only)."`
	Answer
}

func (c *appRenewCmd) Run(e *env) error {
	return show(e, &c.Answer, request{method: "POST", path: at("apps", c.App, "secrets"), body: c}, func(m admin.MadeApp) [][2]string {
		key := ""
		if m.APISecret != "" {
			key = m.APIKey
		}
		return [][2]string{{"id", m.ID.String()}, {"name", m.Name}, {"client secret", m.ClientSecret}, {"api key", key},
			{"api secret", m.APISecret}, {"bearer token", m.BearerToken}}
	})
}

type tokenIssueCmd struct {
	Kind     string        `json:"kind" default:"user" placeholder:"KIND" help:"user (OAuth 2.0), app (app-only) or oauth1 (OAuth 1.0a)."`
	App      string        `json:"app" need:"the id, client id or name of the app that calls" help:"Id, client id or name."`
	User     string        `json:"user,omitempty" help:"Id or username; for kinds user and oauth1."`
	Scopes   string        `json:"scopes,omitempty" placeholder:"LIST" help:"Scopes with spaces between; for kind user. Default: all."`
	Lifetime time.Duration `json:"-" help:"Of the access token; for kind user. Default: 2h."`
	Seconds  int64         `json:"lifetime_seconds,omitempty" kong:"-"` // Lifetime in the request
	Access   *string       `json:"access,omitempty" placeholder:"LEVEL" help:"For kind oauth1: as in liked app set. Default: the app's."`
	Answer
}

func (c *tokenIssueCmd) check() error {
	var errs []error
	if c.Kind != "app" && c.User == "" {
		errs = append(errs, errors.New("user: missing; give the id or username that the app calls for"))
	}
	if c.Lifetime < 0 || c.Lifetime%time.Second != 0 {
		errs = append(errs, fmt.Errorf("lifetime: %s is not a number of whole seconds", c.Lifetime))
	}
	return errors.Join(append(errs, c.Operator.check())...)
}

func (c *tokenIssueCmd) Run(e *env) error {
	c.Seconds = int64(c.Lifetime / time.Second)
	return show(e, &c.Answer, request{method: "POST", path: at("tokens"), body: c}, func(t admin.Token) [][2]string {
		expires := ""
		if t.ExpiresIn > 0 {
			expires = (time.Duration(t.ExpiresIn) * time.Second).String()
		}
		return [][2]string{{"token", t.Token}, {"token secret", t.TokenSecret}, {"refresh token", t.RefreshToken},
			{"scope", t.Scope}, {"expires in", expires}}
	})
}

// OneToken has the argument of revoke and expire.
type OneToken struct {
	Token string `arg:"" json:"token" help:"The token; - reads it from standard input, where no list of processes shows it."`
	Operator
}

type (
	tokenRevokeCmd struct{ OneToken }
	tokenExpireCmd struct{ OneToken }
)

func (c *tokenRevokeCmd) Run(e *env) error { return c.send(e, "revoke") }
func (c *tokenExpireCmd) Run(e *env) error { return c.send(e, "expire") }

func (c *OneToken) send(e *env, what string) error {
	if c.Token == "-" {
		text, err := e.read("-", maxSecret)
		if err != nil {
			return err
		}
		c.Token = strings.TrimSpace(string(text))
	}
	return c.do(e, request{method: "POST", path: at("tokens", what), body: c})
}
