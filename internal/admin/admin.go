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
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"liked"
	"liked/internal/auth"
	"liked/internal/store"
	"liked/internal/web"
	"liked/internal/webhook"
)

// Options of New. All but Backup, NoKey and Dev are required.
type Options struct {
	Store  Store
	Backup store.Backup // nil: the store has no files
	Auth   *auth.Issuer
	Hooks  *webhook.Hooks
	Key    string // name of the key that seals the store's secrets
	NoKey  error  // why what makes or shows secrets is refused; nil: it is not
	Dev    *Dev   // nil: this is no development server
	Now    func() time.Time
	Logger *slog.Logger // one line per request, with the cause of a 5xx
}

type Store interface {
	store.Users
	store.Posts
	store.Relations
	store.Log
	store.Transfer
	store.Likes
	Windows(ctx context.Context, now time.Time, of store.Callers) ([]store.Window, error)
	ResetWindows(ctx context.Context, of store.Callers) (int, error)
	GrantsOf(ctx context.Context, user liked.UserID) ([]store.Grant, error)
	RefreshToken(ctx context.Context, token store.Hash) (store.RefreshToken, store.Grant, error)
	ExpireRefreshToken(ctx context.Context, id store.GrantID) error
	Code(ctx context.Context, code store.Hash) (store.Code, error)
	ExpireCodes(ctx context.Context, code store.Hash, user liked.UserID, app liked.AppID, at time.Time) error
	Apps(ctx context.Context) ([]liked.App, error)
	DeleteApp(ctx context.Context, id liked.AppID) error
	UpdateApp(ctx context.Context, id liked.AppID, change func(*store.App) error) error
	ExpireTokens(ctx context.Context, id store.GrantID, at time.Time) error
	SetPassword(ctx context.Context, user liked.UserID, encoded string) error
	Webhooks(ctx context.Context, app liked.AppID) ([]liked.Webhook, error)
	store.Subscriptions
	DeadLetters(ctx context.Context, id liked.WebhookID, after store.DeadLetter, max int) ([]store.DeadLetter, error)
	Check(ctx context.Context) (store.Report, error)
	NewID(at time.Time) int64
}

// Handler serves /admin/ without authentication: see Guard.
type Handler struct {
	Options
	likes   likeWatch
	mux     *http.ServeMux
	nowhere http.Handler
}

func New(o Options) *Handler {
	h := &Handler{Options: o, likes: likeWatch{now: time.Now}, mux: http.NewServeMux()}
	rows := h.routes()
	if h.Dev != nil {
		rows = with(rows, h.devRoutes())
	}
	described := rows
	description := sync.OnceValue(func() json.RawMessage { return describe(described) })
	rows = append(rows, route{pattern: "GET /admin/openapi.json", endpoint: gives(func(*http.Request) (json.RawMessage, error) {
		return description(), nil
	})})
	for _, rt := range rows {
		h.mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { h.answer(w, r, rt) })
	}
	nowhere := gives(func(r *http.Request) (struct{}, error) {
		return struct{}{}, liked.Errorf(liked.NotFound, "no endpoint %s %s", r.Method, r.URL.Path)
	})
	h.nowhere = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.answer(w, r, route{pattern: "/", endpoint: nowhere, query: anything})
	})
	h.mux.Handle("/", h.nowhere)
	return h
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request, rt route) {
	start := time.Now()
	if rt.long {
		// They fail only on a writer without deadlines.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		defer io.CopyN(io.Discard, r.Body, maxUnread)
	}
	if rt.reads == "" {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	}
	body, err := h.call(r, rt)
	out := &streamed{w: w}
	if s, ok := body.(stream); ok && err == nil {
		w.Header().Set("Content-Type", rt.content)
		w.Header().Set("Cache-Control", "no-store")
		if err = s(out); err == nil {
			out.begun = true // even if empty
		}
	}
	status := cmp.Or(rt.status, http.StatusOK)
	if err != nil {
		status, body = refuse(err)
	} else if v, ok := body.(interface{ Refused() bool }); ok && v.Refused() {
		status = http.StatusConflict
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
}

// call refuses what the row says before it calls the endpoint.
func (h *Handler) call(r *http.Request, rt route) (any, error) {
	if rt.seals && h.NoKey != nil {
		return nil, liked.Errorf(liked.Invalid, "this makes or shows secrets: %v", h.NoKey)
	}
	if rt.query == anything {
		return rt.call(r)
	}
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &liked.Error{Kind: liked.Invalid, Msg: "query", Err: err}
	}
	known := strings.Fields(rt.query)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		switch values := given[name]; {
		case !slices.Contains(known, name):
			return nil, liked.Errorf(liked.Invalid, "%s=%q: unknown parameter; there are %s", name, values[0],
				cmp.Or(strings.Join(known, ", "), "none"))
		case len(values) > 1:
			return nil, liked.Errorf(liked.Invalid, "%s=%q: the parameter stands twice", name, values[1])
		}
	}
	if rt.in == nil && rt.reads == "" {
		if err := noBody(r); err != nil {
			return nil, err
		}
	}
	return rt.call(r)
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(madeHere, "1")
	if p := r.URL.EscapedPath(); p != path.Clean(p) && p != path.Clean(p)+"/" { // net/http's mux would send a client elsewhere
		h.nowhere.ServeHTTP(w, r)
		return
	}
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

// query calls the parser of each parameter that the request has with its value.
func query(r *http.Request, parsers map[string]func(string) error) error {
	given := r.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(given)) {
		parse := parsers[name]
		if parse == nil {
			continue
		}
		if err := parse(given.Get(name)); err != nil {
			return &liked.Error{Kind: liked.Invalid, Msg: fmt.Sprintf("%s=%q", name, given.Get(name)), Err: err}
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

// listInto parses ids with commas between them into *ids.
func listInto[ID ~int64](ids *[]ID) func(string) error {
	return func(list string) error {
		for text := range strings.SplitSeq(list, ",") {
			id, err := liked.ParseID[ID](text)
			if err != nil {
				return err
			}
			if *ids = append(*ids, id); len(*ids) > 1000 {
				return errors.New("more than 1000 ids")
			}
		}
		return nil
	}
}

// upTo parses how many items a page may have.
func upTo(most *int) func(string) error {
	*most = 100
	return func(text string) (err error) {
		if *most, err = strconv.Atoi(text); err != nil || *most < 1 || *most > 1000 {
			err = errors.New("not from 1 to 1000")
		}
		return err
	}
}

// place parses next of a page whose items have neither an id nor a name to continue after.
func place(after *uint64) func(string) error {
	return func(text string) (err error) {
		if *after, err = strconv.ParseUint(text, 10, 64); err != nil || *after == 0 {
			err = errors.New("it is no next of a page before")
		}
		return err
	}
}

// flag parses true or false.
func flag(on *bool) func(string) error {
	return func(text string) error {
		if *on = text == "true"; !*on && text != "false" {
			return errors.New("neither true nor false")
		}
		return nil
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

func (h *Handler) check(r *http.Request) (Report, error) { return h.Store.Check(r.Context()) }
