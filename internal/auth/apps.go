package auth

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"liked"
	"liked/internal/store"
)

// AppSecrets are shown once.
type AppSecrets struct {
	ClientSecret string // empty for a public app
	APISecret    string
	Bearer       string // app-only token, percent-encoded as X sends it
}

// NewApp registers an app with new credentials, setting a zero ID or CreatedAt. Invalid names every mistake in name and
// redirect URIs; Conflict: the ID is taken; Forbidden: the owner owns as many as they may.
func (a *Issuer) NewApp(ctx context.Context, spec liked.App) (liked.App, AppSecrets, error) {
	return a.NewAppWith(ctx, spec, AppCredentials{})
}

// NewAppWith is NewApp with credentials that are given; Conflict: another app has one of them.
func (a *Issuer) NewAppWith(ctx context.Context, spec liked.App, credentials AppCredentials) (liked.App, AppSecrets, error) {
	app := store.App{App: spec}
	if err := a.CheckApp(spec); err != nil {
		return liked.App{}, AppSecrets{}, err
	}
	if app.CreatedAt.IsZero() {
		app.CreatedAt = a.now()
	}
	app.RedirectURIs = slices.Clone(app.RedirectURIs)
	given := app.ID != 0
	for try := 1; ; try++ {
		if !given {
			app.ID = liked.AppID(a.newID(a.now()))
		}
		app.ClientID = base64.RawURLEncoding.EncodeToString([]byte(a.RandomText(urlSafe, 20) + ":1:ci"))
		secrets := a.newSecrets(&app, !app.Public, true, true)
		err := a.give(&app, &secrets, credentials)
		if err == nil {
			err = a.store.AddApp(ctx, app)
		}
		if err == nil {
			return app.App, secrets, nil
		}
		// Another process may have drawn this ID in this millisecond.
		if given || try == 10 || liked.KindOf(err) != liked.Conflict {
			return liked.App{}, AppSecrets{}, err
		}
	}
}

// ExplorerApp is the ID of the API explorer's app.
const ExplorerApp liked.AppID = 1

// UseExplorerApp creates the explorer's app, or sets its redirect URIs and nothing else, and returns it. If beside, those of
// other servers stay, as many as an app may have. Of several servers that start at once on a store, one creates it.
func (a *Issuer) UseExplorerApp(ctx context.Context, redirectURIs []string, beside bool) (liked.App, error) {
	stored, err := a.store.App(ctx, ExplorerApp)
	if notFound(err) {
		app, _, failed := a.NewApp(ctx, liked.App{ID: ExplorerApp, Name: "API explorer", Public: true, Access: liked.ReadWrite,
			RedirectURIs: redirectURIs})
		if liked.KindOf(failed) != liked.Conflict {
			return app, failed
		}
		stored, err = a.store.App(ctx, ExplorerApp)
	}
	with := func(there []string) []string {
		if !beside {
			return redirectURIs
		}
		others := slices.DeleteFunc(slices.Clone(there), func(uri string) bool { return slices.Contains(redirectURIs, uri) })
		all := slices.Concat(others, redirectURIs)
		return all[max(0, len(all)-maxRedirects):]
	}
	app := stored.App
	if err == nil && !slices.Equal(app.RedirectURIs, with(app.RedirectURIs)) {
		err = a.store.UpdateApp(ctx, ExplorerApp, func(app *store.App) error {
			app.RedirectURIs = with(app.RedirectURIs)
			return a.CheckApp(app.App)
		})
	}
	return app, err
}

// handledSchemes are those that X refuses in redirect URIs, and others with which a browser or a system does something of
// its own.
var handledSchemes = strings.Fields(`vbscript javascript vbs data mocha keyword livescript ftp file gopher acrobat callto
	daap itpc itms firefoxurl hcp ldap mailto mmst mmsu msbd rtsp mso-offdap snews news nntp outlook stssync rlogin
	telnet tn3270 shell sip
	about afp android-app applescript apt blob brave chrome cid content dav davs edge facetime feed filesystem ftps geo
	git help imap intent ipp ipps irc ircs jar ldaps magnet maps market mid mms nfs opera pop rdp res
	resource rtmp search search-ms sftp sips skype sms smsto smb ssh steam svn tel tftp urn view-source vnc wais webcal ws
	wss wtai xmpp
	app-prefs app-settings devtools dict finger firefox googlechrome googlechromes ipfs ipns its mhtml mk pres prefs rsync safari scp shortcuts
	telprompt tv vivaldi windowsdefender workflow wyciwyg x-javascript`)

// handledFamilies are beginnings of such schemes. An app's own may begin with the same letters, so that each ends where a word does.
var handledFamilies = []string{"ms-", "itms-", "chrome-", "firefox-", "microsoft-", "moz-", "safari-", "x-apple", "x-help", "x-man-page",
	"x-safari"}

const (
	maxRedirects = 10
	maxRedirect  = 2048 // bytes
	maxName      = 100  // characters
)

// Mistake is something wrong with an app. Text says what to do about it.
type Mistake struct {
	Callback int // which redirect URI is wrong, from 1; 0: the name
	Text     string
}

// CheckApp is the function, for this server.
func (a *Issuer) CheckApp(app liked.App) error { return CheckApp(app, a.dev) }

// Mistakes is the function, for this server.
func (a *Issuer) Mistakes(app liked.App) []Mistake { return Mistakes(app, a.dev) }

// CheckApp returns Invalid with every mistake in the name and redirect URIs. dev: see Options.
func CheckApp(app liked.App, dev bool) error {
	var wrong []string
	for _, m := range Mistakes(app, dev) {
		wrong = append(wrong, m.Text)
	}
	if len(wrong) == 0 {
		return nil
	}
	return liked.Errorf(liked.Invalid, "the app is not valid: %s", strings.Join(wrong, "; "))
}

// Mistakes returns every mistake in the name and redirect URIs, at most one for each of them.
func Mistakes(app liked.App, dev bool) (wrong []Mistake) {
	if text := nameMistake(app.Name); text != "" {
		wrong = append(wrong, Mistake{Text: text})
	}
	if n := len(app.RedirectURIs); n > maxRedirects {
		wrong = append(wrong, Mistake{maxRedirects + 1, fmt.Sprintf("there are %d callbacks: an app has at most %d", n, maxRedirects)})
	}
	for i, s := range app.RedirectURIs[:min(len(app.RedirectURIs), maxRedirects)] {
		err := CheckRedirect(s, "code", "state", "error", "error_description", "error_uri", "iss", "oauth_token", "oauth_verifier", "denied")
		if u, _ := url.Parse(s); err == nil && u.Scheme == "http" && !dev && app.ID != ExplorerApp && !loopback(u.Hostname()) {
			err = badRedirect(s, "use https: http sends what people grant in the clear, and is for this machine alone "+
				"(127.0.0.1, [::1], localhost), but for liked dev")
		}
		if err != nil {
			wrong = append(wrong, Mistake{i + 1, fmt.Sprintf("callback %d, %s", i+1, strings.TrimPrefix(err.Error(), "redirect URI "))})
		}
	}
	return wrong
}

func nameMistake(name string) string {
	seen, hidden := liked.Seen(name)
	switch n := utf8.RuneCountInString(name); {
	case strings.TrimSpace(name) == "":
		return "enter a name"
	case n > maxName:
		return fmt.Sprintf("the name has %d characters: use at most %d", n, maxName)
	case !utf8.ValidString(name):
		return "the name is not UTF-8"
	case seen != name:
		return fmt.Sprintf("the name has the character %U, which nobody sees: with it the name reads as another, so remove it", hidden)
	}
	return ""
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// badRedirect says what is to be done about a redirect URI.
func badRedirect(s, do string, args ...any) error {
	shown := strconv.Quote(s)
	if len(s) > maxShown {
		shown = fmt.Sprintf("%.*q...", maxShown, s)
	}
	return fmt.Errorf("redirect URI %s: %s", shown, fmt.Sprintf(do, args...))
}

// maxShown is how much of a long redirect URI a message quotes.
const maxShown = 200

// hostAndPort is what people write who mean a server of theirs, and would be a scheme.
var hostAndPort = regexp.MustCompile(`^[\w.-]+:\d+(/|$)`)

// CheckRedirect returns what is wrong with a redirect URI, to which parameters with the reserved names are added. A valid
// one is safe in a Location header.
func CheckRedirect(s string, reserved ...string) error {
	if len(s) > maxRedirect {
		return badRedirect(s, "it has %d bytes: use at most %d", len(s), maxRedirect)
	}
	const begin = "begin with https:// or with your app's own scheme"
	u, err := url.Parse(s)
	ownScheme := err == nil && (strings.Contains(u.Scheme, ".") || strings.HasPrefix(s[len(u.Scheme):], "://")) // RFC 8252, 7.1
	switch {
	case !ownScheme && hostAndPort.MatchString(s):
		return badRedirect(s, "begin with http:// or https://")
	case err == nil && !u.IsAbs():
		return badRedirect(s, begin)
	case err != nil || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }):
		return badRedirect(s, "percent-encode what a URI cannot hold (RFC 3986, 2)")
	case strings.Contains(s, "#"):
		return badRedirect(s, "remove the fragment, from # on") // RFC 6749, 3.1.2
	case slices.Contains(handledSchemes, u.Scheme),
		slices.ContainsFunc(handledFamilies, func(family string) bool { return strings.HasPrefix(u.Scheme, family) }):
		return badRedirect(s, "%s; the scheme %s is not allowed", begin, u.Scheme)
	case u.User != nil:
		return badRedirect(s, "remove the user name before the host, which deceives people")
	case u.Scheme == "http" || u.Scheme == "https":
		if u.Hostname() == "" {
			return badRedirect(s, "name a host")
		}
	case !ownScheme:
		return badRedirect(s, "give the app's own scheme a dot (com.example.app:/callback), or let :// follow it")
	}
	err = EachField(u.RawQuery, func(name, _ string) error {
		if slices.ContainsFunc(reserved, func(r string) bool { return strings.EqualFold(r, name) }) {
			return badRedirect(s, "remove the parameter %s, which is one of the answer", name)
		}
		return nil
	})
	if err == errPercent {
		return badRedirect(s, "percent-encode what a URI cannot hold: %v", err)
	}
	return err
}

// newSecrets sets the chosen credentials of the app, which must have its ClientID.
func (a *Issuer) newSecrets(app *store.App, clientSecret, apiKeys, bearer bool) (s AppSecrets) {
	if clientSecret {
		s.ClientSecret = a.RandomText(urlSafe, 50)
		app.ClientSecretHash = HashOf(s.ClientSecret)
	}
	if apiKeys {
		app.APIKey, s.APISecret = a.RandomText(Alphanumeric, 25), a.RandomText(Alphanumeric, 50)
	}
	if bearer {
		plain := a.appBearer()
		app.BearerHash, s.Bearer = HashOf(plain), url.QueryEscape(plain)
	}
	if apiKeys { // after all that is drawn: a seed makes the same credentials as ever
		app.SealedAPISecret = a.Seal(sealAPISecret, app.APIKey, s.APISecret)
	}
	if bearer {
		app.SealedBearer = a.Seal(sealBearer, app.ClientID, s.Bearer)
	}
	return s
}

// Credentials that Regenerate replaces.
const (
	ClientSecret = "client_secret"
	APIKeys      = "api_keys"
	BearerToken  = "bearer_token"
)

// Regenerate replaces the client secret, API key and secret, or app-only token, and returns the new app; users' tokens
// stay valid. NotFound if owner has no such app, Invalid for the client secret of a public app. undo is for Undo.
func (a *Issuer) Regenerate(
	ctx context.Context, owner liked.UserID, id liked.AppID, what string,
) (app liked.App, s AppSecrets, undo string, err error) {
	err = a.store.UpdateApp(ctx, id, func(stored *store.App) error {
		if stored.Owner != owner {
			return liked.Errorf(liked.NotFound, "no such app %d", id)
		}
		if what != APIKeys && what != BearerToken && (what != ClientSecret || stored.Public) {
			return liked.Errorf(liked.Invalid, "an app of this type has no %.20q", what)
		}
		before := credentialsOf(stored)
		s = a.newSecrets(stored, what == ClientSecret, what == APIKeys, what == BearerToken)
		app = stored.App
		undo, err = a.sealUndo(stored, before)
		return err
	})
	return app, s, undo, err
}

// APISecret returns the API (consumer) secret. NotFound if there is no such app, Forbidden if it is suspended.
func (a *Issuer) APISecret(ctx context.Context, id liked.AppID) (string, error) {
	app, err := a.store.App(ctx, id)
	if err != nil {
		return "", err
	}
	if app.State == liked.AppSuspended {
		return "", liked.Errorf(liked.Forbidden, "app %v is suspended", id)
	}
	return a.apiSecret(app)
}

// Bearer returns the app-only token, percent-encoded as X sends it. It stays the same until revoked or the sealing key
// changes. NotFound if there is no such app.
func (a *Issuer) Bearer(ctx context.Context, id liked.AppID) (string, error) {
	for {
		app, err := a.store.App(ctx, id)
		if err != nil {
			return "", err
		}
		before := app.BearerHash
		if token, err := a.Unseal(sealBearer, app.ClientID, app.SealedBearer); err == nil && before != (store.Hash{}) {
			return token, nil
		}
		err = a.store.UpdateApp(ctx, id, func(app *store.App) error {
			if app.BearerHash == before { // else a concurrent call replaced it
				a.newSecrets(app, false, false, true)
			}
			return nil
		})
		if err != nil {
			return "", err
		}
	}
}

// RevokeBearer ends an app-only token, percent-encoded or not. NotFound if it is unknown or not owner's (zero: any app's).
func (a *Issuer) RevokeBearer(ctx context.Context, owner liked.AppID, token string) error {
	errUnknown := liked.Errorf(liked.NotFound, "no app has this app-only token")
	token, err := url.PathUnescape(token)
	if err != nil {
		return errUnknown
	}
	key := HashOf(token)
	app, err := a.store.AppByBearer(ctx, key)
	switch {
	case err != nil:
		return err
	case owner != 0 && owner != app.ID:
		return errUnknown
	}
	return a.store.UpdateApp(ctx, app.ID, func(app *store.App) error {
		if app.BearerHash != key {
			return errUnknown
		}
		app.BearerHash, app.SealedBearer = store.Hash{}, nil
		return nil
	})
}
