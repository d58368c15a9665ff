package store

import (
	"context"
	"time"

	"liked"
)

// Hash is the SHA-256 of a secret, or of a value that stands for one. Plain secrets never reach a store.
type Hash [32]byte

// GrantID identifies a grant. Each token belongs to the grant that it came from, and ends with it.
type GrantID [16]byte

// App is an app with its secrets, hashed, or sealed where a protocol needs the plain value.
type App struct {
	liked.App
	ClientSecretHash Hash   // unused for a public app
	SealedAPISecret  []byte // HMAC-SHA1 needs the plain value
	BearerHash       Hash   // of the decoded app-only bearer token; zero: none
	SealedBearer     []byte // requests return the same token until it is invalidated
}

// MaxOwnedApps is how many apps a user may own.
const MaxOwnedApps = 25

type Apps interface {
	// AddApp adds an app. Conflict if its id is taken, or was by a deleted app, or its client id or API key is; Invalid if
	// a field is. Forbidden if its owner owns MaxOwnedApps; of any number of calls at once, none is one too many.
	AddApp(ctx context.Context, app App) error
	// UpdateApp works as Users.UpdateUser does. Credentials may change. If the app becomes suspended, its codes and approved
	// request tokens end with that step. If it goes to another owner, so does all that ends with DeleteApp, and its app-only
	// token, since the owner before may know them: only the secrets stay. Forbidden is then as in AddApp.
	UpdateApp(ctx context.Context, id liked.AppID, change func(*App) error) error
	// DeleteApp removes the app for good, with its grants and their tokens, its codes and request tokens, its webhooks,
	// what they hold, and its subscriptions, in one step. NotFound if it is not there.
	DeleteApp(ctx context.Context, id liked.AppID) error
	App(ctx context.Context, id liked.AppID) (App, error)
	AppByClientID(ctx context.Context, clientID string) (App, error)
	AppByAPIKey(ctx context.Context, key string) (App, error)
	AppByBearer(ctx context.Context, bearer Hash) (App, error)
	Apps(ctx context.Context) ([]liked.App, error)
}

// SealKeys names the key that seals secrets, and tells whether they are any.
type SealKeys interface {
	// SealKey keeps name unless one is kept, and returns the one that is. SetSealKey replaces it.
	SealKey(ctx context.Context, name string) (kept string, err error)
	SetSealKey(ctx context.Context, name string) error

	// SetKnownSeed remembers for good that secrets in the store were made from a seed: everybody can know them.
	SetKnownSeed(ctx context.Context) error
	KnownSeed(ctx context.Context) (bool, error)
}

type Passwords interface {
	// SetPassword keeps an encoded password hash, and ends the user's codes and approved request tokens; NotFound if there
	// is no such user.
	SetPassword(ctx context.Context, user liked.UserID, encoded string) error
	Password(ctx context.Context, user liked.UserID) (encoded string, err error)
}

type Codes interface {
	// AddCode keeps an authorization code (RFC 6749, 4.1) until swept. Code returns it, spent or not.
	AddCode(ctx context.Context, c Code) error
	Code(ctx context.Context, code Hash) (Code, error)
	// ExpireCodes makes codes expire at the given time, if not before: this one, those of the user, or of the app; zero means
	// any. Each is a step of its own. It reads all codes.
	ExpireCodes(ctx context.Context, code Hash, user liked.UserID, app liked.AppID, at time.Time) error
	// RedeemCode spends the code and adds the grant and its first tokens, in one step, which ends the refresh token of the
	// grant that a code of the same user and app made last. If the code was spent before, that step revokes the grant of
	// the first redemption instead (RFC 6749, 4.1.2): Conflict. NotFound if the code has ended: see Grants.Withdraw.
	RedeemCode(ctx context.Context, code Hash, g Grant, t Tokens, at time.Time) error
}

// Grants keeps grants and their tokens. Only tokens of living grants are found.
type Grants interface {
	// AddGrant adds a grant with its first tokens. Conflict if its id or a token's hash is in use, or was until it was
	// revoked and not swept since.
	AddGrant(ctx context.Context, g Grant, t Tokens) error
	// AccessToken does not check expiry: the caller does.
	AccessToken(ctx context.Context, token Hash) (AccessToken, Grant, error)
	RefreshToken(ctx context.Context, token Hash) (RefreshToken, Grant, error)
	// RotateRefreshToken spends the refresh token and adds its successors to the grant, in one step. Conflict if it was
	// spent before; if more than grace before at, it is a replay, and that step revokes the grant (RFC 9700, 4.14.2).
	RotateRefreshToken(ctx context.Context, token Hash, t Tokens, at time.Time, grace time.Duration) error
	// RevokeGrant ends the grant, if there is one, and all its tokens.
	RevokeGrant(ctx context.Context, id GrantID) error
	// Withdraw ends all that the user has granted the app, in one step: grants with their tokens, codes, and approved
	// request tokens. A code or request token that has ended stays until swept, and is never redeemed: NotFound. SetPassword,
	// a user who becomes hidden, and an app that becomes suspended end codes and approved request tokens in the same way,
	// but no grants.
	Withdraw(ctx context.Context, user liked.UserID, app liked.AppID) error
	// ExpireTokens makes the grant's access tokens expire at the given time, if not before. Each is a step of its own: a
	// crash may leave some as they were. It does nothing if the grant is gone.
	ExpireTokens(ctx context.Context, id GrantID, at time.Time) error
	// ExpireRefreshToken ends the grant's refresh token that is not spent, if it has one. It does nothing if the grant is gone.
	ExpireRefreshToken(ctx context.Context, id GrantID) error
	// GrantsOf lists the user's living grants, oldest first.
	GrantsOf(ctx context.Context, user liked.UserID) ([]Grant, error)

	// AddOAuth1Token adds an access token with its grant.
	AddOAuth1Token(ctx context.Context, g Grant, t OAuth1Token) error
	OAuth1Token(ctx context.Context, token Hash) (OAuth1Token, Grant, error)
}

// RequestTokens keeps OAuth 1.0a temporary credentials (RFC 5849, 2.1).
type RequestTokens interface {
	// AddRequestToken keeps a request token until it is swept.
	AddRequestToken(ctx context.Context, t RequestToken) error
	RequestToken(ctx context.Context, token Hash) (RequestToken, error)
	// ApproveRequestToken records the user's consent and the verifier. Conflict if one was recorded before.
	ApproveRequestToken(ctx context.Context, token Hash, user liked.UserID, verifier Hash) error
	// RedeemRequestToken replaces the request token by the access token and its grant, in one step. NotFound if the
	// approval has ended: see Grants.Withdraw.
	RedeemRequestToken(ctx context.Context, token Hash, g Grant, t OAuth1Token) error
}

type Sessions interface {
	AddSession(ctx context.Context, s Session) error
	Session(ctx context.Context, id Hash) (Session, error)
	DeleteSession(ctx context.Context, id Hash) error
}

// Grant is a user's consent to an app.
type Grant struct {
	ID        GrantID
	App       liked.AppID
	User      liked.UserID
	OAuth1    bool // consent to Access; else, in OAuth 2.0, to Scopes
	Access    liked.Access
	Scopes    liked.Scope
	CreatedAt time.Time
}

// Tokens is the tokens of one response; Refresh needs offline.access.
type Tokens struct {
	Access  AccessToken
	Refresh *RefreshToken
}

// AccessToken is an OAuth 2.0 user access token.
type AccessToken struct {
	Token   Hash
	Expires time.Time
}

// RefreshToken lives until it is spent or its grant ends.
type RefreshToken struct {
	Token Hash
	Spent time.Time // zero: unspent
}

// Code is an authorization code, with all that its redemption is checked against.
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
	Access       liked.Access // of the access token to come
	Callback     string       // "oob" for a PIN
	Expires      time.Time
	User         liked.UserID // zero until approved
	Verifier     Hash         // of the oauth_verifier; zero until approved
}

// OAuth1Token is a token credential (RFC 5849, 2.3). It does not expire.
type OAuth1Token struct {
	Token        Hash // of the token as sent by the client
	SealedSecret []byte
	Access       liked.Access
}

// Session is a signed-in browser.
type Session struct {
	ID      Hash
	User    liked.UserID
	Expires time.Time
}
