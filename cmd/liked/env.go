package main

import (
	"fmt"
	"io"
	"strings"

	"liked/internal/seed"
)

type envCmd struct {
	File string `arg:"" help:"What \"liked dev --credentials FILE\" wrote; - is standard input."`
	User string `placeholder:"USER" help:"Id or username of the user whose tokens are exported. Default: alice, or the last."`

	Postman bool `help:"Write an environment for Postman instead."`
}

func (c *envCmd) Run(e *env) error {
	k, err := e.readCredentials(c.File)
	if err != nil {
		return err
	}
	user, post := k.First()
	if c.User != "" {
		found := false
		for _, u := range k.Users {
			if u.ID.String() == c.User || strings.EqualFold(u.Username, strings.TrimPrefix(c.User, "@")) {
				user, found = u, true
			}
		}
		if !found {
			return fmt.Errorf("%s has no user %q", c.File, c.User)
		}
	}
	if c.Postman {
		_, err := e.stdout.Write(k.Postman(user).Encode(true))
		return err
	}
	exports := [][2]string{
		{"X_API_URL", k.URL}, {"TWITTER_API_BASE_PATH", k.URL}, {"API_BASE_URL", k.URL},
		{"X_CLIENT_ID", k.Apps[0].ClientID}, {"X_CLIENT_SECRET", k.Apps[0].ClientSecret},
		{"X_API_KEY", k.Apps[0].APIKey}, {"X_API_SECRET", k.Apps[0].APISecret}, {"X_BEARER_TOKEN", k.Apps[0].BearerToken},
		{"X_USER_ID", user.ID.String()}, {"X_USERNAME", user.Username}, {"X_PASSWORD", user.Password},
		{"X_ACCESS_TOKEN", user.AccessToken}, {"X_REFRESH_TOKEN", user.RefreshToken},
		{"X_OAUTH1_TOKEN", user.OAuth1Token}, {"X_OAUTH1_TOKEN_SECRET", user.OAuth1TokenSecret},
		{"LIKED_ADMIN_URL", k.AdminURL}, {"LIKED_ADMIN_TOKEN", k.AdminToken},
	}
	if post != nil {
		exports = append(exports, [2]string{"X_POST_ID", post.ID.String()})
	}
	for _, x := range exports {
		if _, err := io.WriteString(e.stdout, "export "+x[0]+"="+quoted(x[1])+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func (e *env) readCredentials(file string) (k seed.Credentials, err error) {
	text, err := e.read(file, 1<<30)
	if err == nil {
		if k, err = seed.Parse(text); err != nil {
			err = fmt.Errorf("%s is not a credentials file: %w", file, err)
		}
	}
	return k, err
}

// quoted quotes text for a POSIX shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
