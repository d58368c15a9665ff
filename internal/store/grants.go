package store

import (
	"context"
	"time"

	"liked"
)

// Hash is the SHA-256 of a secret, or of a value that stands for one. Secrets themselves never reach a store.
type Hash [32]byte

// GrantID names one consent of one user to one app. Every token belongs to the grant that it came from, and dies
// with it.
type GrantID [16]byte

// App is an app with its secrets, as hashes, or sealed where a protocol needs the plain value.
type App struct {
	liked.App
	ClientSecretHash Hash   // unused for a public app
	SealedAPISecret  []byte // HMAC-SHA1 needs the plain value
	BearerHash       Hash   // of the app-only bearer token, decoded; zero while there is none
	SealedBearer     []byte // asking again must give the same token until it is invalidated
}

// Apps is the clients.
type Apps interface {
	// AddApp adds an app. Conflict if its id, client id or API key is taken, Invalid if a field is.
	AddApp(ctx context.Context, app App) error
	// UpdateApp works as Users.UpdateUser does. Credentials may change, the id may not.
	UpdateApp(ctx context.Context, id liked.AppID, change func(*App) error) error
	App(ctx context.Context, id liked.AppID) (App, error)
	AppByClientID(ctx context.Context, clientID string) (App, error)
	AppByAPIKey(ctx context.Context, key string) (App, error)
	AppByBearer(ctx context.Context, bearer Hash) (App, error)
	Apps(ctx context.Context) ([]liked.App, error)
}

// SealKeys is which key seals secrets.
type SealKeys interface {
	// SealKey keeps the name of the key that seals secrets in the store, unless one is kept, and returns the one that is.
	// SetSealKey replaces it.
	SealKey(ctx context.Context, name string) (kept string, err error)
	SetSealKey(ctx context.Context, name string) error
}

// Passwords is what users sign in with.
type Passwords interface {
	// SetPassword keeps an encoded password hash for the user (NotFound if there is no such user); Password returns it,
	// NotFound while there is none.
	SetPassword(ctx context.Context, user liked.UserID, encoded string) error
	Password(ctx context.Context, user liked.UserID) (encoded string, err error)
}

// Codes is authorization codes.
type Codes interface {
	// AddCode keeps an authorization code (RFC 6749, 4.1) until it is swept. Code returns it, spent or not.
	AddCode(ctx context.Context, c Code) error
	Code(ctx context.Context, code Hash) (Code, error)
	// RedeemCode spends the code and adds the grant and its first tokens in the same step. Conflict if it was spent
	// before; in that case the grant that the first redemption made is revoked in this step (RFC 6749, 4.1.2).
	RedeemCode(ctx context.Context, code Hash, g Grant, t Tokens, at time.Time) error
}

// Grants is consents, and the tokens that came from them.
type Grants interface {
	// AddGrant adds a grant with its first tokens. Conflict if there is a grant with this id or a token with one of these
	// hashes, or was until it was revoked and not swept since.
	AddGrant(ctx context.Context, g Grant, t Tokens) error
	// AccessToken and RefreshToken return a token of a living grant, NotFound otherwise. Expiry is for the caller to judge.
	AccessToken(ctx context.Context, token Hash) (AccessToken, Grant, error)
	RefreshToken(ctx context.Context, token Hash) (RefreshToken, Grant, error)
	// RotateRefreshToken spends the refresh token and adds its successors to the same grant in the same step. Conflict if
	// it was spent before; if that was more than grace before at, it is a replay, and the grant is revoked in this
	// step (RFC 9700, 4.14.2).
	RotateRefreshToken(ctx context.Context, token Hash, t Tokens, at time.Time, grace time.Duration) error
	// RevokeGrant ends the grant and all its tokens. Revoking what is gone is no error.
	RevokeGrant(ctx context.Context, id GrantID) error
	// GrantsOf lists the living grants of a user, oldest first.
	GrantsOf(ctx context.Context, user liked.UserID) ([]Grant, error)

	// AddOAuth1Token adds an access token with its grant.
	AddOAuth1Token(ctx context.Context, g Grant, t OAuth1Token) error
	// OAuth1Token returns an access token of a living grant, NotFound otherwise.
	OAuth1Token(ctx context.Context, token Hash) (OAuth1Token, Grant, error)
}

// RequestTokens is OAuth 1.0a temporary credentials.
type RequestTokens interface {
	// AddRequestToken keeps an OAuth 1.0a temporary credential (RFC 5849, 2.1) until it is swept.
	AddRequestToken(ctx context.Context, t RequestToken) error
	RequestToken(ctx context.Context, token Hash) (RequestToken, error)
	// ApproveRequestToken records the user's consent and the verifier. Conflict if it was approved before.
	ApproveRequestToken(ctx context.Context, token Hash, user liked.UserID, verifier Hash) error
	// RedeemRequestToken removes the request token and adds the access token with its grant in the same step.
	RedeemRequestToken(ctx context.Context, token Hash, g Grant, t OAuth1Token) error
}

// Sessions is browsers that are signed in.
type Sessions interface {
	// AddSession keeps a signed-in browser session; Session returns it, NotFound if there is none.
	AddSession(ctx context.Context, s Session) error
	Session(ctx context.Context, id Hash) (Session, error)
	DeleteSession(ctx context.Context, id Hash) error
}

// Grant is one consent of one user to one app.
type Grant struct {
	ID        GrantID
	App       liked.AppID
	User      liked.UserID
	OAuth1    bool         // consent in OAuth 1.0a, to the permission level Access; else in OAuth 2.0, to Scopes
	Access    liked.Access // of OAuth 1.0a
	Scopes    liked.Scope  // of OAuth 2.0
	CreatedAt time.Time
}

// Tokens is what one token response carries: an access token and, with offline.access, a refresh token.
type Tokens struct {
	Access  AccessToken
	Refresh *RefreshToken
}

// AccessToken is an OAuth 2.0 user access token.
type AccessToken struct {
	Token   Hash
	Expires time.Time
}

// RefreshToken is an OAuth 2.0 refresh token. It lives until it is spent or its grant ends.
type RefreshToken struct {
	Token Hash
	Spent time.Time // zero while it is not
}

// Code is an authorization code. All that its redemption is checked against is in this one record.
type Code struct {
	Code            Hash
	App             liked.AppID
	User            liked.UserID
	Scopes          liked.Scope
	RedirectURI     string
	Challenge       string // code_challenge (RFC 7636, 4.2)
	ChallengeMethod string // "S256" or "plain"
	Expires         time.Time
	Spent           bool
}

// RequestToken is an OAuth 1.0a temporary credential.
type RequestToken struct {
	Token        Hash
	SealedSecret []byte
	App          liked.AppID
	Access       liked.Access // what the access token will be allowed
	Callback     string       // "oob" for a PIN
	Expires      time.Time
	User         liked.UserID // zero until approved
	Verifier     Hash         // of the oauth_verifier; zero until approved
}

// OAuth1Token is an OAuth 1.0a token credential (RFC 5849, 2.3). It does not expire.
type OAuth1Token struct {
	Token        Hash // of the token as the client sends it
	SealedSecret []byte
	Access       liked.Access
}

// Session is a signed-in browser.
type Session struct {
	ID      Hash
	User    liked.UserID
	Expires time.Time
}
