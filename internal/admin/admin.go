// Package admin is the admin API: accounts, posts, apps and credentials, as JSON under /admin/. [New] returns the
// handler; [Guard] puts it behind a token.
//
// A body is one JSON object, read by package strictjson. An error is {"error": "..."} with a fitting status.
package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"liked"
	"liked/internal/auth"
	"liked/internal/store"
	"liked/internal/strictjson"
	"liked/internal/web"
	"liked/internal/webhook"
)

// Options of New. All but Backup are required.
type Options struct {
	Store  Store
	Backup store.Backup // nil: the store has no files
	Auth   *auth.Issuer
	Hooks  *webhook.Hooks
	Key    string // name of the key that seals the store's secrets
	Now    func() time.Time
	Logger *slog.Logger // one line per request, with the cause of a 5xx
}

type Store interface {
	store.Users
	store.Posts
	store.Relations
	store.Log
	store.Transfer
	Apps(ctx context.Context) ([]liked.App, error)
	DeleteApp(ctx context.Context, id liked.AppID) error
	UpdateApp(ctx context.Context, id liked.AppID, change func(*store.App) error) error
	ExpireTokens(ctx context.Context, id store.GrantID, at time.Time) error
	SetPassword(ctx context.Context, user liked.UserID, encoded string) error
	Webhooks(ctx context.Context, app liked.AppID) ([]liked.Webhook, error)
	DeadLetters(ctx context.Context, id liked.WebhookID, after store.DeadLetter, max int) ([]store.DeadLetter, error)
	Check(ctx context.Context) (store.Report, error)
	NewID(at time.Time) int64
}

// Handler serves /admin/ without authentication: see Guard.
type Handler struct {
	Options
	likes likeWatch
	mux   *http.ServeMux
}

func New(o Options) *Handler {
	h := &Handler{Options: o, likes: likeWatch{now: time.Now}, mux: http.NewServeMux()}
	for _, rt := range []struct {
		pattern string
		status  int // of a success
		serve   endpoint
		long    bool // no limits of time and size: they depend on the store
	}{
		{"POST /admin/users", 201, on(body[NewUser], h.addUser), false},
		{"GET /admin/users", 200, h.users, false},
		{"GET /admin/users/{user}", 200, on(h.pathUser, h.getUser), false},
		{"PATCH /admin/users/{user}", 200, on(body[UserChange], h.changeUser), false},
		{"GET /admin/users/{user}/following", 200, h.related(store.Following), false},
		{"GET /admin/users/{user}/followers", 200, h.related(store.Followers), false},
		{"GET /admin/users/{user}/blocking", 200, h.related(store.Blocking), false},
		{"GET /admin/users/{user}/blocked-by", 200, h.related(store.BlockedBy), false},
		{"PUT /admin/users/{user}/following/{target}", 200, h.relate(store.Relations.SetFollow, true), false},
		{"DELETE /admin/users/{user}/following/{target}", 200, h.relate(store.Relations.SetFollow, false), false},
		{"PUT /admin/users/{user}/blocking/{target}", 200, h.relate(store.Relations.SetBlock, true), false},
		{"DELETE /admin/users/{user}/blocking/{target}", 200, h.relate(store.Relations.SetBlock, false), false},
		{"POST /admin/posts", 201, on(body[NewPost], h.addPost), false},
		{"GET /admin/posts", 200, h.posts, false},
		{"GET /admin/posts/{post}", 200, on(pathPost, h.getPost), false},
		{"DELETE /admin/posts/{post}", 200, on(pathPost, h.deletePost), false},
		{"POST /admin/apps", 201, on(body[NewApp], h.addApp), false},
		{"GET /admin/apps", 200, h.apps, false},
		{"GET /admin/apps/{app}", 200, on(h.pathApp, h.getApp), false},
		{"PATCH /admin/apps/{app}", 200, on(body[AppFields], h.changeApp), false},
		{"DELETE /admin/apps/{app}", 200, on(h.pathApp, h.deleteApp), false},
		{"POST /admin/apps/{app}/secrets", 200, on(body[NewSecret], h.renewApp), false},
		{"POST /admin/tokens", 201, on(body[NewToken], h.issueToken), false},
		{"POST /admin/tokens/expire", 200, on(body[OneToken], h.expireToken), false},
		{"POST /admin/tokens/revoke", 200, on(body[OneToken], h.revokeToken), false},
		{"POST /admin/webhooks", 201, on(body[NewWebhook], h.addWebhook), false},
		{"GET /admin/webhooks", 200, h.webhooks, false},
		{"DELETE /admin/webhooks/{webhook}", 200, on(pathWebhook, h.removeWebhook), false},
		{"POST /admin/webhooks/{webhook}/validate", 200, on(pathWebhook, h.validateWebhook), false},
		{"POST /admin/webhooks/{webhook}/replay", 200, on(pathWebhook, h.replayWebhook), false},
		{"GET /admin/webhooks/{webhook}/dead", 200, on(pathWebhook, h.deadLetters), false},
		{"POST /admin/check", 200, h.check, true},
		{"GET /admin/export", 200, h.export, true},
		{"POST /admin/import", 200, h.importing, true},
		{"POST /admin/backup", 200, h.backup, true},
		{"/", 200, func(r *http.Request) (any, error) {
			return nil, liked.Errorf(liked.NotFound, "no endpoint %s %s", r.Method, r.URL.Path)
		}, false},
	} {
		h.mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			if rt.long {
				// They fail only on a writer without deadlines.
				_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
				_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
			} else {
				r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			}
			body, err := rt.serve(r)
			out := &streamed{w: w}
			if s, ok := body.(stream); ok {
				w.Header().Set("Content-Type", s.contentType)
				w.Header().Set("Cache-Control", "no-store")
				if err = s.write(out); err == nil {
					out.begun = true // even if empty
				}
			}
			status := rt.status
			if err != nil {
				status, body = refuse(err)
			}
			level := slog.LevelInfo
			if status >= 500 {
				level = slog.LevelError
			}
			attrs := []slog.Attr{slog.String("method", r.Method), slog.String("endpoint", rt.pattern), slog.Int("status", status),
				slog.Duration("duration", time.Since(start))}
			if status >= 500 { // other errors may quote a misplaced secret of the caller
				attrs = append(attrs, slog.String("error", err.Error()))
			}
			h.Logger.LogAttrs(r.Context(), level, "admin request", attrs...)
			switch {
			case !out.begun:
				web.SendJSON(w, status, body)
			case err != nil:
				panic(http.ErrAbortHandler)
			}
		})
	}
	return h
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(madeHere, "1")
	h.mux.ServeHTTP(w, r)
}

// madeHere is a header of each response of a Handler, by which a Client knows one.
const madeHere = "X-Liked-Admin"

// maxBody is far above any valid body, in bytes.
const maxBody = 256 << 10

// Guard passes requests with the token of that moment, as "Authorization: Bearer <token>", to next and answers 401
// otherwise. It compares hashes, so that timing reveals nothing about the token.
func Guard(token func() string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got, want := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token()))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || !strings.EqualFold(scheme, "Bearer") {
			w.Header().Set("WWW-Authenticate", "Bearer")
			web.SendJSON(w, http.StatusUnauthorized, Failure{"the admin token is missing or wrong"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Failure is the body of every unsuccessful response.
type Failure struct {
	Error string `json:"error"`
}

// refuse alone maps errors to statuses.
func refuse(err error) (status int, body Failure) {
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge, Failure{fmt.Sprintf("the body is larger than %d bytes", large.Limit)}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return http.StatusServiceUnavailable, Failure{"the request was given up"}
	}
	// An internal error is not hidden: the caller is the operator.
	return cmp.Or(statuses[liked.KindOf(err)], http.StatusInternalServerError), Failure{err.Error()}
}

var statuses = map[liked.Kind]int{liked.Invalid: http.StatusBadRequest, liked.Unauthorized: http.StatusUnauthorized,
	liked.Forbidden: http.StatusForbidden, liked.NotFound: http.StatusNotFound, liked.Conflict: http.StatusConflict,
	liked.Unavailable: http.StatusServiceUnavailable}

// Refuse answers with err as a Handler does.
func Refuse(w http.ResponseWriter, err error) {
	status, body := refuse(err)
	web.SendJSON(w, status, body)
}

// body reads one JSON object (package strictjson).
func body[T any](r *http.Request) (in T, err error) {
	text, err := io.ReadAll(r.Body)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return in, err
	}
	if err == nil {
		err = strictjson.Unmarshal(text, &in)
	}
	if err != nil {
		return in, &liked.Error{Kind: liked.Invalid, Msg: "body", Err: err}
	}
	return in, nil
}

// endpoint returns the body of a success, which is ignored with an error.
type endpoint = func(*http.Request) (any, error)

// on passes what get finds in the request to serve.
func on[T any](get func(*http.Request) (T, error), serve func(*http.Request, T) (any, error)) endpoint {
	return func(r *http.Request) (any, error) {
		in, err := get(r)
		if err != nil {
			return nil, err
		}
		return serve(r, in)
	}
}

// query calls the parser of each parameter of the request with its value; another parameter is Invalid.
func query(r *http.Request, parsers map[string]func(string) error) error {
	for name, values := range r.URL.Query() {
		err := errors.New("unknown parameter")
		if parse := parsers[name]; parse != nil {
			err = parse(values[0])
		}
		if err != nil {
			return &liked.Error{Kind: liked.Invalid, Msg: fmt.Sprintf("%s=%q", name, values[0]), Err: err}
		}
	}
	return nil
}

// into parses an id into *id.
func into[ID ~int64](id *ID) func(string) error {
	return func(text string) (err error) {
		*id, err = liked.ParseID[ID](text)
		return err
	}
}

// upTo parses how many items a page may have.
func upTo(most *int) func(string) error {
	*most = 100
	return func(text string) (err error) {
		if *most, err = strconv.Atoi(text); err == nil && (*most < 1 || *most > 1000) {
			err = errors.New("not from 1 to 1000")
		}
		return err
	}
}

// each returns what of makes of the items, never nil.
func each[A, B any](items []A, of func(A) B) []B {
	made := make([]B, len(items))
	for i, item := range items {
		made[i] = of(item)
	}
	return made
}

// Report is the result of a check of the store. Without Problems all is well.
type Report = store.Report

func (h *Handler) check(r *http.Request) (any, error) { return h.Store.Check(r.Context()) }
