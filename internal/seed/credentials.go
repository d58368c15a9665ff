package seed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"liked"
	"liked/internal/postman"
	"liked/internal/strictjson"
)

// Credentials is all that a client needs to call a seeded server. `liked dev` writes it as JSON to --credentials and
// to its data directory.
type Credentials struct {
	URL        string `json:"url"`       // of the API, without a trailing slash
	AdminURL   string `json:"admin_url"` // of the admin listener
	AdminToken string `json:"admin_token"`
	Apps       []App  `json:"apps"`  // the first is confidential, the second public
	Users      []User `json:"users"` // their tokens belong to the first app
	Posts      []Post `json:"posts"`
}

type App struct {
	Name         string   `json:"name"`
	Type         string   `json:"type"` // confidential or public
	ClientID     string   `json:"client_id"`
	ClientSecret string   `json:"client_secret,omitempty"` // confidential apps only
	APIKey       string   `json:"api_key"`
	APISecret    string   `json:"api_secret"`
	BearerToken  string   `json:"bearer_token"` // app-only
	RedirectURIs []string `json:"redirect_uris"`
}

type User struct {
	ID                liked.UserID `json:"id"`
	Username          string       `json:"username"`
	Name              string       `json:"name"`
	Password          string       `json:"password"`     // for sign-in; the same for all users
	AccessToken       string       `json:"access_token"` // OAuth 2.0
	RefreshToken      string       `json:"refresh_token"`
	Scope             string       `json:"scope"` // of the OAuth 2.0 tokens: every scope
	OAuth1Token       string       `json:"oauth1_token"`
	OAuth1TokenSecret string       `json:"oauth1_token_secret"`
}

type Post struct {
	ID       liked.PostID `json:"id"`
	AuthorID liked.UserID `json:"author_id"`
	Text     string       `json:"text"`
}

// Write writes JSON.
func (c Credentials) Write(w io.Writer) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err == nil {
		_, err = w.Write(append(text, '\n'))
	}
	return err
}

// Parse decodes JSON. Credentials without a URL, an app or a user are an error.
func Parse(text []byte) (c Credentials, err error) {
	if err = strictjson.UnmarshalKnown(text, &c); err == nil && (c.URL == "" || len(c.Apps) == 0 || len(c.Users) == 0) {
		err = errors.New("it lacks a url, an app or a user")
	}
	return c, err
}

// First returns the user and the post for examples, nil if there is no post.
func (c Credentials) First() (User, *Post) {
	u := c.Users[min(2, len(c.Users)-1)]
	if len(c.Posts) == 0 {
		return u, nil
	}
	return u, &c.Posts[min(1, len(c.Posts)-1)]
}

// Curl returns a command with which the user of First likes its post, "" without one. The options of curl are "" or
// end in a space.
func (c Credentials) Curl(options string) string {
	user, post := c.First()
	if post == nil {
		return ""
	}
	return fmt.Sprintf("curl %s-X POST %s/2/users/%s/likes \\\n  -H 'Authorization: Bearer %s' \\\n"+
		"  -H 'Content-Type: application/json' -d '{\"tweet_id\":\"%s\"}'",
		options, c.URL, user.ID, user.AccessToken, post.ID)
}

// Variables returns names and values of environment variables with which programs call the server as the user.
func (c Credentials) Variables(user User) [][2]string {
	app := c.Apps[0]
	variables := [][2]string{
		{"X_API_URL", c.URL}, {"TWITTER_API_BASE_PATH", c.URL}, {"API_BASE_URL", c.URL},
		{"X_CLIENT_ID", app.ClientID}, {"X_CLIENT_SECRET", app.ClientSecret},
		{"X_API_KEY", app.APIKey}, {"X_API_SECRET", app.APISecret}, {"X_BEARER_TOKEN", app.BearerToken},
		{"X_USER_ID", user.ID.String()}, {"X_USERNAME", user.Username}, {"X_PASSWORD", user.Password},
		{"X_ACCESS_TOKEN", user.AccessToken}, {"X_REFRESH_TOKEN", user.RefreshToken},
		{"X_OAUTH1_TOKEN", user.OAuth1Token}, {"X_OAUTH1_TOKEN_SECRET", user.OAuth1TokenSecret},
	}
	if _, post := c.First(); post != nil {
		variables = append(variables, [2]string{"X_POST_ID", post.ID.String()})
	}
	return variables
}

// Postman returns Postman's environment for the user.
func (c Credentials) Postman(user User) postman.Environment {
	app := c.Apps[0]
	e := postman.Environment{
		"baseUrl": c.URL, "userId": user.ID.String(), "username": user.Username,
		"clientId": app.ClientID, "clientSecret": app.ClientSecret, "accessToken": user.AccessToken, "refreshToken": user.RefreshToken,
		"apiKey": app.APIKey, "apiSecret": app.APISecret, "oauth1Token": user.OAuth1Token, "oauth1TokenSecret": user.OAuth1TokenSecret,
		"bearerToken": app.BearerToken,
	}
	if len(app.RedirectURIs) > 0 {
		e["callbackUrl"] = app.RedirectURIs[0]
	}
	if _, post := c.First(); post != nil {
		e["postId"] = post.ID.String()
	}
	for _, post := range c.Posts {
		if post.AuthorID == user.ID {
			e["ownPostId"] = post.ID.String()
			break
		}
	}
	return e
}
