package main

import (
	"net/http"
	"net/url"

	"liked/internal/admin"
)

type appRenewCmd struct {
	App  string `arg:"" json:"-" help:"Id, client id or name."`
	What string `arg:"" json:"what" help:"client_secret, api_keys (OAuth 1.0a; key and secret) or bearer_token (app-only)."`
	Output
	Operator
}

func (*appRenewCmd) Help() string {
	return `Examples:

  liked app renew shop client_secret --data DIR
  liked app renew shop api_keys --json --data DIR

The old one is good for nothing from then on. Tokens of users stay, but those of OAuth 1.0a need the app's new keys, and
after "liked restore --new-key" to be given anew as well.`
}

func (c *appRenewCmd) Run(e *env) error {
	return c.with(e, false, func(a *operator) error {
		var m admin.MadeApp
		if err := a.call(http.MethodPost, "/admin/apps/"+url.PathEscape(c.App)+"/secrets", admin.NewSecret{What: c.What}, &m); err != nil {
			return err
		}
		lines := [][2]string{{"id", m.ID.String()}, {"name", m.Name}}
		for _, s := range [][2]string{{"client secret", m.ClientSecret}, {"api secret", m.APISecret}, {"bearer token", m.BearerToken}} {
			if s[1] == "" {
				continue
			}
			if s[0] == "api secret" {
				lines = append(lines, [2]string{"api key", m.APIKey})
			}
			lines = append(lines, s)
		}
		return c.print(e.stdout, m, lines)
	})
}
