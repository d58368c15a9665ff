package auth

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"liked"
	"liked/internal/exchange"
)

// explain describes a signature for a development server's journal; matched is the origin with which it is right, zero for none.
// Of a wrong one it looks for the mistake: it signs as clients are known to sign by mistake, until the signatures are equal, and
// reports whether it found one.
func (a *Auth) explain(r *http.Request, s *signed, c *caller, matched origin) (out *exchange.Signature, found bool) {
	method := s.get("oauth_signature_method")
	origins := slices.Collect(a.origins(r))
	path := cmp.Or(r.URL.EscapedPath(), "/")
	verified := matched != origin{}
	out = &exchange.Signature{Method: method, Verified: verified, App: c.principal.App, User: c.principal.User}
	for _, o := range origins {
		out.Tried = append(out.Tried, o.scheme+"://"+o.host)
	}
	if !verified {
		matched = origins[0]
		if https := (origin{"https", matched.host}); isX(matched.host) && slices.Contains(origins, https) {
			matched = https // whatever stands before this server, X is called so
		}
	}
	right := guess{method: strings.ToUpper(r.Method), params: withoutSignature(s.params), sorted: true}
	right.target = matched.scheme + "://" + matched.host + path
	out.BaseString = right.base(true)
	if verified {
		return out, false
	}
	got, err := base64.StdEncoding.DecodeString(s.get("oauth_signature"))
	if err != nil {
		return out, false
	}
	newHash := sha1.New
	if method == "HMAC-SHA256" {
		newHash = sha256.New
	}
	makes := func(key []byte, base string) bool {
		mac := hmac.New(newHash, key)
		mac.Write([]byte(base))
		return hmac.Equal(mac.Sum(nil), got)
	}

	// All pairs of a mistake in what is signed and one in the key; without a mistake first.
	same := func(g guess) guess { return g }
	bases := append([]mistake{{change: same}}, paramMistakes(r, s)...)
	keys := append([]keyMistake{{"", c.signer.key}}, a.keyMistakes(s, c)...)
	targets := append(rightTargets(origins, path), targetMistakes(r, origins, path)...)
	for most := 1; most <= 2; most++ {
		for _, target := range targets {
			for _, base := range bases {
				n := count(target.words, base.words)
				if n > most || n < most-1 {
					continue
				}
				g := base.change(target.change(right))
				text := g.base(false)
				for _, key := range keys {
					if n+count(key.words) != most || !makes(key.key, text) {
						continue
					}
					words := slices.DeleteFunc([]string{target.words, base.words, key.words}, func(w string) bool { return w == "" })
					out.Difference = strings.Join(words, ", and ")
					if !base.ofBody {
						out.Signed = g.base(true)
						if where := firstDifference(out.BaseString, out.Signed); where != "" {
							out.Difference += ": " + where
						}
					}
					return out, true
				}
			}
		}
	}
	out.Difference = "no mistake that is known explains it: compare base_string with the one of the client, and if they are the same, its " +
		"API secret or token secret is wrong"
	return out, false
}

// count is how many of the words are not empty.
func count(words ...string) (n int) {
	for _, w := range words {
		if w != "" {
			n++
		}
	}
	return n
}

func isX(host string) bool { return host == "api.x.com" || host == "api.twitter.com" }

// guess is a request as a client may have signed it.
type guess struct {
	method, target string
	query          string // behind the target, with a question mark
	params         []param
	sorted         bool
	once           bool // parameters are not encoded before they are joined
	plus           bool // a space is a plus sign
}

// base is the base string; cut, without its secrets.
func (g guess) base(cut bool) string {
	params := slices.Clone(g.params)
	for i, p := range params {
		if cut {
			p.value = shownParam(p.name, p.value)
		}
		if !g.once {
			p = param{g.encoded(p.name), g.encoded(p.value)}
		}
		params[i] = p
	}
	if g.sorted {
		slices.SortFunc(params, func(a, b param) int {
			return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
		})
	}
	var pairs []string
	for _, p := range params {
		pairs = append(pairs, p.name+"="+p.value)
	}
	if cut {
		g.query = shownQuery(g.query)
	}
	for _, part := range []string{g.target + g.query, strings.Join(pairs, "&")} {
		g.method += "&" + string(appendEncoded(nil, part, "%"))
	}
	if cut {
		g.method = strings.NewReplacer("%25E2%2580%25A6", "…", "%E2%80%A6", "…").Replace(g.method)
	}
	return g.method
}

func (g guess) encoded(text string) string {
	if g.plus {
		return url.QueryEscape(text)
	}
	return string(appendEncoded(nil, text, "%"))
}

// shownParam is a value as it may be shown: of a URL what is before its query, of JSON nothing.
func shownParam(name, value string) string {
	switch i := strings.IndexAny(value, "?#"); {
	case name == "oauth_timestamp" || name == "oauth_version" || name == "oauth_signature_method":
		return value
	case exchange.IsSecret(name):
		return exchange.Cut(value)
	case strings.HasPrefix(value, "{") || strings.HasPrefix(value, "["):
		return "…"
	case i >= 0 && strings.Contains(value[i:], "="):
		return value[:i+1] + "…"
	}
	return value
}

func shownQuery(query string) string {
	fields := strings.Split(query, "&")
	for i, field := range fields {
		name, value, ok := strings.Cut(field, "=")
		plain, err := url.QueryUnescape(strings.TrimPrefix(name, "?"))
		text, valueErr := url.QueryUnescape(value)
		if shown := shownParam(plain, text); ok && (err != nil || valueErr != nil || shown != text) {
			fields[i] = name + "=" + shown
		}
	}
	return strings.Join(fields, "&")
}

func withoutSignature(params []param) (kept []param) {
	for i, p := range params {
		if p.name != "oauth_signature" && !(strings.HasPrefix(p.name, "oauth_") && slices.Contains(params[:i], p)) {
			kept = append(kept, p)
		}
	}
	return kept
}

// mistake changes what is signed.
type mistake struct {
	words  string // "" for none
	change func(guess) guess
	ofBody bool // a body is signed as it is, which may hold secrets
}

func at(words, target string) mistake {
	return mistake{words: words, change: func(g guess) guess { g.target = target; return g }}
}

func rightTargets(origins []origin, path string) (all []mistake) {
	for _, o := range origins {
		all = append(all, at("", o.scheme+"://"+o.host+path))
	}
	return all
}

func targetMistakes(r *http.Request, origins []origin, path string) (all []mistake) {
	add := func(words string, o origin, path string) {
		if !slices.Contains(origins, o) || path != cmp.Or(r.URL.EscapedPath(), "/") {
			all = append(all, at(words, o.scheme+"://"+o.host+path))
		}
	}
	here := origins[0]
	name := withoutPort(here.host)
	for _, scheme := range []string{"http", "https"} {
		for _, host := range []string{here.host, name} {
			add("the client signed the scheme "+scheme+", not the one that it called with", origin{scheme, host}, path)
		}
		for _, host := range []string{"api.x.com", "api.twitter.com"} {
			add("the client signed "+scheme+"://"+host+", which is https", origin{scheme, host}, path)
		}
		for _, port := range []string{":80", ":443", ":8080"} {
			add("the client signed the port "+port[1:]+", which a URL is signed without if it is the scheme's own",
				origin{scheme, name + port}, path)
		}
		for _, host := range []string{"x.com", "twitter.com", "localhost", "127.0.0.1", "localhost" + strings.TrimPrefix(here.host, name),
			"127.0.0.1" + strings.TrimPrefix(here.host, name)} {
			add("the client signed the host "+host+", not the one that it called", origin{scheme, host}, path)
		}
	}
	for _, o := range origins {
		if query := r.URL.RawQuery; query != "" {
			all = append(all, mistake{words: "the client signed the URL with its query, which belongs to the parameters alone",
				change: func(g guess) guess { g.target, g.query = o.scheme+"://"+o.host+path, "?"+query; return g }})
		}
		add("the client signed the path with a slash at its end", o, path+"/")
		add("the client signed the path without the slash at its end", o, strings.TrimSuffix(path, "/"))
		add("the client signed the decoded path", o, r.URL.Path)
		add("the client signed the URL without its path", o, "")
		if port, ok := strings.CutPrefix(o.host, withoutPort(o.host)); ok && port != "" {
			all = append(all, at("the client signed the port behind the path", o.scheme+"://"+withoutPort(o.host)+path+port))
		}
		for _, version := range []string{"/2", "/1.1"} {
			if rest, ok := strings.CutPrefix(path, version+"/"); ok {
				add("the client signed the path without "+version, o, "/"+rest)
			}
		}
	}
	return all
}

func paramMistakes(r *http.Request, s *signed) (all []mistake) {
	form, _ := readForm(r)
	query := r.URL.RawQuery
	add := func(words string, change func(*guess)) *mistake {
		all = append(all, mistake{words: words, change: func(g guess) guess {
			g.params = slices.Clone(g.params)
			change(&g)
			return g
		}})
		return &all[len(all)-1]
	}
	without := func(words string, drop func(param) bool) {
		add(words, func(g *guess) { g.params = slices.DeleteFunc(g.params, drop) })
	}
	in := func(text string) func(param) bool {
		var fields []param
		_ = EachField(text, func(name, value string) error { fields = append(fields, param{name, value}); return nil })
		return func(p param) bool { return slices.Contains(fields, p) }
	}
	if query != "" {
		without("the client did not sign the parameters of the query", in(query))
	}
	if form != "" {
		without("the client did not sign the fields of the form", in(form))
	}
	if query != "" || form != "" {
		without("the client signed no parameters but those of OAuth", func(p param) bool { return !strings.HasPrefix(p.name, "oauth_") })
	}
	add("the client did not sort the parameters", func(g *guess) { g.sorted = false })
	add("the client signed first the query and the form, then the parameters of OAuth, unsorted", func(g *guess) {
		g.sorted = false
		slices.SortStableFunc(g.params, func(a, b param) int {
			return cmp.Compare(strings.Index(a.name, "oauth_"), strings.Index(b.name, "oauth_"))
		})
	})
	for _, p := range s.params {
		if strings.HasPrefix(p.name, "oauth_") && p.name != "oauth_signature" {
			without("the client did not sign "+p.name, func(q param) bool { return q.name == p.name })
		}
	}
	add("the client signed an oauth_signature, which is empty", func(g *guess) { g.params = append(g.params, param{"oauth_signature", ""}) })
	add("the client did not percent-encode names and values before it joined them", func(g *guess) { g.once = true })
	add("the client encoded a space as a plus sign, not as %20", func(g *guess) { g.plus = true })
	if s.get("oauth_version") == "" {
		add("the client signed an oauth_version that it did not send", func(g *guess) {
			g.params = append(g.params, param{"oauth_version", "1.0"})
		})
	}
	if body := otherBody(r); body != "" {
		var members map[string]any
		if json.Unmarshal([]byte(body), &members) == nil {
			add("the client signed the members of the JSON body, which is not signed", func(g *guess) {
				for name, value := range members {
					text, ok := value.(string)
					if !ok {
						encoded, _ := json.Marshal(value)
						text = string(encoded)
					}
					g.params = append(g.params, param{name, text})
				}
			})
		}
		add("the client signed the body, which is no form", func(g *guess) { g.params = append(g.params, param{body, ""}) }).ofBody = true
	}
	return all
}

// otherBody returns a body that is no form, and leaves it to be read again.
func otherBody(r *http.Request) string {
	if r.Body == nil || r.Body == http.NoBody || IsForm(r.Header.Get("Content-Type")) || r.ContentLength < 0 || r.ContentLength > maxSigned {
		return ""
	}
	body := r.Body
	text, err := io.ReadAll(io.LimitReader(body, maxSigned))
	if err != nil {
		body = io.NopCloser(failed{err})
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(text), body), body}
	return string(text)
}

type failed struct{ error }

func (f failed) Read([]byte) (int, error) { return 0, f.error }

// keyMistake is a key that the client may have signed with.
type keyMistake struct {
	words string
	key   []byte
}

func (a *Auth) keyMistakes(s *signed, c *caller) (all []keyMistake) {
	add := func(words, key string) { all = append(all, keyMistake{words, []byte(key)}) }
	api, token, _ := strings.Cut(string(c.signer.key), "&")
	for _, secret := range a.requested.of(c.principal.App) {
		add("the client signed with the secret of the request token: it must take the secret that came with the access token",
			api+"&"+secret)
	}
	if token != "" {
		add("the client signed without the token's secret", api+"&")
		add("the client signed with both secrets in the wrong order: the API secret comes first", token+"&"+api)
		add("the client signed with the oauth_token in place of its secret", api+"&"+string(appendEncoded(nil, s.get("oauth_token"), "%")))
		add("the client signed with the secrets joined without &", api+token)
	}
	add("the client signed without the API secret", "&"+token)
	add("the client signed without the & behind the API secret", api)
	add("the client signed with the API key in place of the API secret",
		string(appendEncoded(nil, s.get("oauth_consumer_key"), "%"))+"&"+token)
	add("the client signed with the API secret twice", api+"&"+api)
	return all
}

// firstDifference says in words where two base strings begin to differ, "" if nowhere.
func firstDifference(want, got string) string {
	a, b := []rune(want), []rune(got)
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if i == len(a) && i == len(b) {
		return ""
	}
	piece := func(text []rune) string {
		if i >= len(text) {
			return "its end"
		}
		return fmt.Sprintf("%q", string(text[i:min(len(text), i+24)]))
	}
	before := string(a[max(0, i-16):i])
	return fmt.Sprintf("after %q, at character %d, the client signed %s, and the server takes %s", before, i+1, piece(b), piece(a))
}

// requested has the secrets of the last request tokens, which a client may sign with by mistake once it has an access token. It
// is for development servers alone.
type requested struct {
	mu   sync.Mutex
	last []requestedSecret
}

type requestedSecret struct {
	app    liked.AppID
	secret string
}

const maxRequested = 100

func (q *requested) add(app liked.AppID, secret string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last = append(q.last[max(0, len(q.last)-maxRequested+1):], requestedSecret{app, secret})
}

// of returns the secrets of the app, the latest first.
func (q *requested) of(app liked.AppID) (secrets []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range slices.Backward(q.last) {
		if s.app == app {
			secrets = append(secrets, s.secret)
		}
	}
	return secrets
}
