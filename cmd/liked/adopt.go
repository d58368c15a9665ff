package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/joho/godotenv"

	"liked/internal/admin"
	"liked/internal/seed"
)

// secretKind is what a variable of a program holds.
type secretKind string

const (
	clientID     secretKind = "client id"
	clientSecret secretKind = "client secret"
	apiKey       secretKind = "API key"
	apiSecret    secretKind = "API secret"
	bearerToken  secretKind = "bearer token"
	accessToken  secretKind = "access token"
	oauth1Token  secretKind = "token of OAuth 1.0a"
	tokenSecret  secretKind = "token secret"
	refreshToken secretKind = "refresh token"
	callback     secretKind = "callback"
)

// kinds is by names without what says whose they are. An access token may be one of OAuth 1.0a.
var kinds = map[string]secretKind{
	"CLIENT_ID": clientID, "CLIENT_KEY": clientID, "CLIENT_SECRET": clientSecret,
	"API_KEY": apiKey, "CONSUMER_KEY": apiKey, "APP_KEY": apiKey, "CONSUMER_API_KEY": apiKey,
	"API_SECRET": apiSecret, "API_KEY_SECRET": apiSecret, "API_SECRET_KEY": apiSecret, "CONSUMER_SECRET": apiSecret,
	"CONSUMER_KEY_SECRET": apiSecret, "CONSUMER_API_SECRET": apiSecret, "APP_SECRET": apiSecret, "APP_KEY_SECRET": apiSecret,
	"BEARER": bearerToken, "BEARER_TOKEN": bearerToken,
	"ACCESS_TOKEN": accessToken, "ACCESS_KEY": accessToken, "TOKEN": accessToken, "USER_TOKEN": accessToken,
	"USER_ACCESS_TOKEN": accessToken, "ACCESS_TOKEN_KEY": accessToken,
	"ACCESS_TOKEN_SECRET": tokenSecret, "ACCESS_SECRET": tokenSecret, "ACCESS_KEY_SECRET": tokenSecret, "TOKEN_SECRET": tokenSecret,
	"REFRESH_TOKEN": refreshToken,
	"CALLBACK":      callback, "CALLBACK_URL": callback, "CALLBACK_URI": callback, "REDIRECT_URI": callback, "REDIRECT_URL": callback,
}

// kindOf returns what a variable of that name holds, "" for what is nothing of X's. named: the name says that it is X's, as
// others' API keys have the same names.
func kindOf(name string) (kind secretKind, named bool) {
	var rest []string
	for _, word := range strings.Split(strings.ToUpper(name), "_") {
		switch word {
		case "X", "TWITTER":
			named = true
		case "OAUTH", "OAUTH1", "OAUTH2", "AUTH", "V2":
		default:
			rest = append(rest, word)
		}
	}
	short := strings.Join(rest, "_")
	kind = kinds[short]
	if first, after, ok := strings.Cut(short, "_"); kind == "" && ok && (first == "API" || first == "APP") {
		kind = kinds[after]
	}
	if kind == "" && named { // Auth.js has AUTH_TWITTER_ID and AUTH_TWITTER_SECRET
		kind = map[string]secretKind{"ID": clientID, "SECRET": clientSecret}[short]
	}
	return kind, named
}

// ofOAuth1 is how X writes tokens of OAuth 1.0a: the user's id comes first.
var ofOAuth1 = regexp.MustCompile(`^[0-9]+-[0-9A-Za-z]+$`)

// kindIn is kindOf for a variable among others, which tell of two kinds of token which it is.
func kindIn(name string, all map[string]string) (kind secretKind, named bool) {
	kind, named = kindOf(name)
	switch upper := strings.ToUpper(name); {
	case kind != accessToken || strings.Contains(upper, "OAUTH2"):
	case strings.Contains(upper, "OAUTH1"), ofOAuth1.MatchString(all[name]), all[name+"_SECRET"] != "",
		all[strings.TrimSuffix(name, "_TOKEN")+"_SECRET"] != "", all[strings.TrimSuffix(name, "_KEY")+"_SECRET"] != "":
		kind = oauth1Token
	}
	return kind, named
}

// ownSecrets are the credentials that a program has, and under which names.
type ownSecrets struct {
	names  map[secretKind]string
	values map[secretKind]string
}

func readOwn(file string) (own ownSecrets, err error) {
	f, err := os.Open(file)
	if err != nil {
		return own, err
	}
	defer f.Close()
	found, err := godotenv.Parse(f)
	if err != nil {
		return own, fmt.Errorf("%s has not the form NAME=value, a line for each", file) // what was read may be a secret
	}
	own = ownSecrets{map[secretKind]string{}, map[secretKind]string{}}
	for _, wantNamed := range []bool{true, false} {
		for _, name := range slices.Sorted(maps.Keys(found)) {
			kind, named := kindIn(name, found)
			if kind == "" || named != wantNamed || found[name] == "" {
				continue
			}
			switch old := own.values[kind]; {
			case old == "":
				own.names[kind], own.values[kind] = name, found[name]
			case named && old != found[name]:
				return own, fmt.Errorf("%s has two of a %s, %s and %s: leave one", file, kind, own.names[kind], name)
			}
		}
	}
	if len(own.values) == 0 {
		return own, fmt.Errorf("%s has no variable such as X_CLIENT_ID, X_API_KEY or X_ACCESS_TOKEN", file)
	}
	return own, nil
}

// app is the name of the app that gets the credentials: the same for the same ones, and another for another program's, whose
// app it would take from it otherwise. It shows nothing of them, and has the form of a name however they look.
func (own ownSecrets) app() string {
	identity := cmp.Or(own.values[clientID], own.values[apiKey], own.values[bearerToken])
	if identity == "" { // tokens of users, of which an app has any number
		return "adopted"
	}
	sum := sha256.Sum256([]byte(identity))
	return fmt.Sprintf("adopted-%x", sum[:6])
}

// adopt makes the credentials good in the world, for the user, and returns their names.
func (own ownSecrets) adopt(ctx context.Context, k seed.Credentials, user seed.User, callbacks []string) (names []string, err error) {
	c := admin.Client{URL: k.AdminURL, Token: k.AdminToken, Transport: &http.Transport{DisableKeepAlives: true}}
	v := own.values
	if v[callback] != "" {
		callbacks = append(slices.Clone(callbacks), v[callback])
	}
	var apps admin.AppList
	if err := c.Call(ctx, "GET", "/admin/apps", nil, &apps); err != nil {
		return nil, err
	}
	name, kind := own.app(), "confidential"
	if v[clientID] != "" && v[clientSecret] == "" {
		kind = "public"
	}
	app := map[string]any{"type": kind, "redirect_uris": callbacks}
	for _, a := range apps.Apps {
		if a.ClientID == v[clientID] || a.APIKey == v[apiKey] { // it may have come from here
			name, app = a.ID.String(), map[string]any{}
			if uri := v[callback]; uri != "" && !slices.Contains(a.RedirectURIs, uri) {
				app["redirect_uris"] = append(a.RedirectURIs, uri)
			}
		}
	}
	for member, kind := range map[string]secretKind{"client_id": clientID, "client_secret": clientSecret, "api_key": apiKey,
		"api_secret": apiSecret, "bearer_token": bearerToken} {
		if v[kind] != "" {
			app[member] = v[kind]
		}
	}
	if err := c.Call(ctx, "PUT", "/admin/apps/"+url.PathEscape(name), app, nil); err != nil {
		return nil, fmt.Errorf("the app of %s: %w", own.list(clientID, clientSecret, apiKey, apiSecret, bearerToken), err)
	}
	for kind, members := range map[string]map[string]secretKind{
		"oauth1": {"token": oauth1Token, "token_secret": tokenSecret},
		"user":   {"token": accessToken, "refresh_token": refreshToken},
	} {
		token := map[string]any{"kind": kind, "app": name, "user": user.ID.String()}
		for member, kind := range members {
			if v[kind] != "" {
				token[member] = v[kind]
			}
		}
		if len(token) == 3 {
			continue
		}
		if err := c.Call(ctx, "POST", "/admin/tokens", token, nil); err != nil {
			return nil, fmt.Errorf("the token of %s: %w", own.list(slices.Collect(maps.Values(members))...), err)
		}
	}
	return slices.Sorted(maps.Values(own.names)), nil
}

func (own ownSecrets) list(kinds ...secretKind) string {
	var names []string
	for _, kind := range kinds {
		if name := own.names[kind]; name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
