package auth_test

import (
	"fmt"
	"liked/internal/authtest"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"liked"
	"liked/internal/auth"
)

func docsClient() authtest.Client {
	return authtest.Client{Key: docsKey, Secret: docsSecret, Token: docsToken, TokenSecret: docsTokenSecret, Nonce: docsNonce,
		Timestamp: fmt.Sprint(docsTime), Version: "1.0"}
}

func TestOAuth1Vectors(t *testing.T) {
	t.Parallel()
	const form = "status=Hello%20Ladies%20%2b%20Gentlemen%2c%20a%20signed%20OAuth%20request%21"
	for _, c := range []struct {
		name, method, target, contentType, body string
		twitter, x                              string // signatures by host
	}{
		{"post with form", "POST", "/1.1/statuses/update.json?include_entities=true", "application/x-www-form-urlencoded", form,
			"hCtSmYh+iHYCEqBWrE7C7hYmtUk=", "Ls93hJiZbQ3akF3HF3x1Bz8/zU4="},
		{"like", "POST", "/2/users/370773112/likes", "application/json", `{"tweet_id":"1346889436626259968"}`,
			"eAdZDbRo/JNaGN6ZSECoFhVZsjo=", "IItJafMLSnUJ7l9rdZr6Gr3kI1g="},
		{"liked posts", "GET", "/2/users/370773112/liked_tweets?max_results=5&tweet.fields=created_at,public_metrics", "", "",
			"Jzg3UHJf1TkU50YpJsSJkppcVjc=", "WrUPTPVHqIOikthojxXdLS5FnsM="},
		{"unlike", "DELETE", "/2/users/370773112/likes/1346889436626259968", "application/json", "",
			"BVIEprZ+O1ExwiikFZQ3yunh3tE=", "bJLGGyAo675qMGj6LOTjiyVhwN8="},
	} {
		for host, signature := range map[string]string{"api.twitter.com": c.twitter, "api.x.com": c.x} {
			for _, sentHost := range []string{host, ""} { // led here by name, or by address
				t.Run(c.name+" "+host+" as "+sentHost, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t)
					r := newRequest(t, c.method, w.url+c.target, c.body)
					r.Host = sentHost
					if c.contentType != "" {
						r.Header.Set("Content-Type", c.contentType)
					}
					r.Header.Set("Authorization", docsClient().HeaderWith(signature))
					v := w.do(t, r)
					wantOK(t, v)
					want := liked.Principal{Credential: liked.OAuth1User, App: 1, ClientID: "docs", User: docsUser, Access: liked.ReadWrite}
					if v.Principal != want {
						t.Errorf("got %+v, want %+v", v.Principal, want)
					}
					if v.Body != c.body {
						t.Errorf("got body %q for the handler, want %q", v.Body, c.body)
					}
				})
			}
		}
	}
}

// Clients say the version in several ways, or not at all, and may sign with SHA-256.
func TestOAuth1VersionsAndHashes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, version := range []string{"", "1.0", "1.0a", "1.0A"} {
		for _, hash := range []string{"", "SHA256"} {
			client := docsClient()
			client.Version, client.Hash, client.Nonce = version, hash, version+hash+"n"
			wantOK(t, w.do(t, client.Request(t, "GET", w.url+"/2/users/me")))
		}
	}
}

// The parameters may stand in the query or a form (RFC 5849, 3.5), and leave the query, since they are no endpoint's.
func TestOAuth1Places(t *testing.T) {
	t.Parallel()
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		name, header, query, body, contentType string // P stands for the parameters, of which S is the signature
		refused                                string
	}{
		{"query", "", "?P&S", "", "", ""},
		{"query among others", "", "?max_results=5&P&S&expansions=a", "", "", ""},
		{"query, with a body", "", "?P&S", `{"tweet_id":"1"}`, "application/json", ""},
		{"form", "", "", "P&S&a=b", form, ""},
		{"form and query", "", "?P", "S", form, ""},
		{"signature in the query", "P", "?S", "", "", ""},
		{"all but the signature in the query", "S", "?P&max_results=5", "", "", ""},
		{"everywhere", "P,S", "?P&S", "P&S", form, ""},
		{"form, of another type", "", "", "P&S", "text/plain", "there is no Authorization header"},
		{"another signature in the query", "P,S", "?oauth_signature=AAAA", "", "", "oauth_signature appears twice"},
		{"no signature", "", "?P", "", "", "there is no Authorization header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			client, rest := docsClient(), strings.NewReplacer("&P", "", "P&", "", "P", "", "&S", "", "S&", "", "S", "")
			var signed string
			for _, p := range client.Params() {
				signed += "&" + encode(p[0]) + "=" + encode(p[1])
			}
			plain := strings.TrimSuffix(rest.Replace(c.query), "?")
			body := ""
			if c.contentType == form {
				body = rest.Replace(c.body)
			}
			header := client.Header(t, "POST", w.url+"/x"+plain, body)
			_, signature, _ := strings.Cut(header, `oauth_signature="`)
			all := strings.NewReplacer("P", signed[1:], "S", "oauth_signature="+strings.TrimSuffix(signature, `"`))
			r := newRequest(t, "POST", w.url+"/x"+all.Replace(c.query), all.Replace(c.body))
			if c.contentType != "" {
				r.Header.Set("Content-Type", c.contentType)
			}
			if c.header != "" {
				quoted := strings.ReplaceAll(strings.ReplaceAll(all.Replace(c.header), "&", ","), "=", `="`)
				r.Header.Set("Authorization", "OAuth "+strings.ReplaceAll(quoted, ",", `",`)+`"`)
			}
			v := w.do(t, r)
			if c.refused != "" {
				wantRefused(t, v, c.refused)
				return
			}
			wantOK(t, v)
			if want := strings.TrimPrefix(plain, "?"); v.Query != want || v.Body != all.Replace(c.body) {
				t.Errorf("got query %q and body %q for the handler, want %q and %q", v.Query, v.Body, want, all.Replace(c.body))
			}
		})
	}
}

func TestOAuth1BaseURLs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, signed, host string // what is signed, and which Host is sent; {} is the server's own host and port
		refused            bool
	}{
		{"as called", "http://{}", "{}", false},
		{"port left out", "http://127.0.0.1", "{}", false},
		{"https to the same host and port", "https://{}", "{}", false},
		{"https without the port", "https://127.0.0.1", "{}", true},
		{"default port of http", "http://likes.example", "likes.example:80", false},
		{"default port of https", "https://likes.example", "likes.example:443", false},
		{"other port", "http://likes.example:8081", "likes.example:8080", true},
		{"other host", "http://other.example", "likes.example", true},
		{"host in capitals", "http://likes.example", "LIKES.example", false},
		{"address of version 6", "http://[::1]:8080", "[::1]:8080", false},
		{"address of version 6 without port", "http://[::1]", "[::1]:8080", false},
		{"address of version 6, no port sent", "http://[::1]", "[::1]", false},
		{"api.x.com", "https://api.x.com", "{}", false},
		{"api.twitter.com", "https://api.twitter.com", "{}", false},
		{"api.x.com without TLS", "http://api.x.com", "{}", true},
		{"another host of X", "https://x.com", "{}", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			own := strings.TrimPrefix(w.url, "http://")
			header := docsClient().Header(t, "GET", strings.Replace(c.signed, "{}", own, 1)+"/2/users/me", "")
			r := newRequest(t, "GET", w.url+"/2/users/me", "")
			r.Host = strings.Replace(c.host, "{}", own, 1)
			r.Header.Set("Authorization", header)
			if c.refused {
				wantRefused(t, w.do(t, r), "does not match GET /2/users/me at any of http")
			} else {
				wantOK(t, w.do(t, r))
			}
		})
	}
}

func TestOAuth1ReasonNamesBaseURLsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := newRequest(t, "GET", w.url+"/2/users/me?a=b", "")
	r.Host = "api.x.com"
	r.Header.Set("Authorization", docsClient().HeaderWith("AAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	wantRefused(t, w.do(t, r), "does not match GET /2/users/me at any of http://api.x.com, https://api.x.com, https://api.twitter.com: ")
}

func TestOAuth1Encodings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, target string }{
		{"no path", ""},
		{"space as plus and as escape", "/x?a=b+c&d=e%20f"},
		{"star plain and escaped", "/x?a=*&b=%2A&c=%2a"},
		{"tilde escaped", "/x?a=%7E"},
		{"brackets", "/x?ids[]=1&ids[]=2&filter%5Ba%5D=c"},
		{"repeated parameter", "/x?a=2&a=1&a=2"},
		{"sorted by encoded name", "/x?a%C3%A9=1&aZ=2&a-=3&a=4"},
		{"no value", "/x?a&b=&=c&&"},
		{"equals sign in value", "/x?a=b=c"},
		{"not UTF-8", "/x?a=%ff%fe"},
		{"escapes in path", "/2/users/%31%2f%2A/a%20b"},
		{"stars in path", "/2/users/*/(a)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			// net/http sends the path "/" for an empty one, and that is what clients sign (RFC 5849, 3.4.1.2).
			signed := w.url + c.target
			if c.target == "" {
				signed += "/"
			}
			r := newRequest(t, "GET", w.url+c.target, "")
			r.Header.Set("Authorization", docsClient().Header(t, "GET", signed, ""))
			wantOK(t, w.do(t, r))
		})
	}
}

func TestOAuth1RepeatedParameters(t *testing.T) {
	t.Parallel()
	const formType = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		name, query, form string
		extra             [][2]string
		refused           string
	}{
		{"token in query too", "?oauth_token=" + docsToken, "", nil, ""},
		{"token in form too", "", "oauth_token=" + docsToken + "&oauth_verifier=1", nil, ""},
		{"token everywhere", "?oauth_token=" + docsToken, "oauth_token=" + docsToken, [][2]string{{"oauth_token", docsToken}}, ""},
		{"another token in query", "?oauth_token=other", "", nil, "oauth_token appears twice"},
		{"another token in form", "", "oauth_token=other", nil, "oauth_token appears twice"},
		{"another token in header", "", "", [][2]string{{"oauth_token", "other"}}, "oauth_token appears twice"},
		{"another callback in query", "?oauth_callback=a", "", [][2]string{{"oauth_callback", "b"}}, "oauth_callback appears twice"},
		{"unknown oauth parameter is signed", "", "", [][2]string{{"oauth_body_hash", "abc="}}, ""},
		{"other parameter is signed twice", "?a=b&a=b", "a=b", nil, ""},
		{"signature in query", "?oauth_signature=AAAAAAAAAAAAAAAAAAAAAAAAAAA%3D", "", nil, "oauth_signature appears twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			client := docsClient()
			client.Extra = c.extra
			r := newRequest(t, "POST", w.url+"/oauth/access_token"+c.query, c.form)
			r.Header.Set("Content-Type", formType+"; charset=UTF-8")
			r.Header.Set("Authorization", client.Header(t, "POST", w.url+"/oauth/access_token"+c.query, c.form))
			v := w.do(t, r)
			if c.refused != "" {
				wantRefused(t, v, c.refused)
			} else {
				wantOK(t, v)
			}
			if v.Body != c.form {
				t.Errorf("got body %q for the handler, want %q", v.Body, c.form)
			}
		})
	}
}

func TestOAuth1Body(t *testing.T) {
	t.Parallel()
	full := "a=" + strings.Repeat("x", auth.MaxSigned-2)
	for _, c := range []struct {
		name, contentType, body, signed string
		refused                         string
	}{
		{"form", "application/x-www-form-urlencoded", "a=b+c", "a=b+c", ""},
		{"form in capitals", "Application/X-WWW-Form-URLEncoded ;charset=utf-8", "a=b", "a=b", ""},
		{"form not signed", "application/x-www-form-urlencoded", "a=b", "", "does not match"},
		{"json not signed", "application/json", "a=b", "", ""},
		{"json signed", "application/json", "a=b", "a=b", "does not match"},
		{"multipart not signed", "multipart/form-data; boundary=x", "--x--", "", ""},
		{"no content type", "", "a=b", "", ""},
		{"largest form", "application/x-www-form-urlencoded", full, full, ""},
		{"too large a form", "application/x-www-form-urlencoded", full + "x", full + "x", "more than 65536 bytes"},
		{"broken escape", "application/x-www-form-urlencoded", "a=%2", "", "percent sign"},
		{"too many parameters", "application/x-www-form-urlencoded", strings.Repeat("a&", 1001), "", "more than 1000 parameters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := newRequest(t, "POST", w.url+"/1.1/x.json", c.body)
			if c.contentType != "" {
				r.Header.Set("Content-Type", c.contentType)
			}
			r.Header.Set("Authorization", docsClient().Header(t, "POST", w.url+"/1.1/x.json", c.signed))
			v := w.do(t, r)
			if c.refused != "" {
				wantRefused(t, v, c.refused)
			} else {
				wantOK(t, v)
			}
			if v.Body != c.body {
				t.Errorf("got %d bytes of body for the handler, want %d", len(v.Body), len(c.body))
			}
		})
	}
}

func TestOAuth1HeaderRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := docsClient().Header(t, "GET", w.url+"/2/users/me", "")
	without := func(name string) func(string) string {
		return func(header string) string {
			list := strings.Split(strings.TrimPrefix(header, "OAuth "), ", ")
			return "OAuth " + strings.Join(slices.DeleteFunc(list, func(p string) bool { return strings.HasPrefix(p, name+"=") }), ", ")
		}
	}
	replace := func(old, with string) func(string) string {
		return func(header string) string {
			if !strings.Contains(header, old) {
				t.Errorf("%q is not in the header", old)
			}
			return strings.Replace(header, old, with, 1)
		}
	}
	for _, c := range []struct {
		name    string
		change  func(header string) string
		refused string
	}{
		{"nothing after the scheme", func(string) string { return "OAuth" }, "oauth_consumer_key is missing"},
		{"no consumer key", without("oauth_consumer_key"), "oauth_consumer_key is missing"},
		{"no token", without("oauth_token"), "oauth_token is missing"},
		{"empty token", replace(`oauth_token="`+docsToken+`"`, `oauth_token=""`), "oauth_token is missing"},
		{"no signature method", without("oauth_signature_method"), "oauth_signature_method is missing"},
		{"no signature", without("oauth_signature"), "oauth_signature is missing"},
		{"no timestamp", without("oauth_timestamp"), "oauth_timestamp is missing"},
		{"no nonce", without("oauth_nonce"), "oauth_nonce is missing"},
		{"PLAINTEXT", replace("HMAC-SHA1", "PLAINTEXT"), `is "PLAINTEXT"; only HMAC-SHA1`},
		{"HMAC-SHA256 of 20 bytes", replace("HMAC-SHA1", "HMAC-SHA256"), "not the base64 form of 32 bytes"},
		{"hmac-sha1", replace("HMAC-SHA1", "hmac-sha1"), `is "hmac-sha1"; only HMAC-SHA1`},
		{"version 2.0", replace(`"1.0"`, `"2.0"`), `oauth_version is "2.0"`},
		{"timestamp with a sign", replace(`="1318622958"`, `="+1318622958"`), "not a number of seconds"},
		{"timestamp with a fraction", replace(`="1318622958"`, `="1318622958.0"`), "not a number of seconds"},
		{"timestamp in milliseconds", replace(`="1318622958"`, `="1318622958000"`), "s ahead of the server's clock"},
		{"endless timestamp", replace(`="1318622958"`, `="99999999999999999999"`), "not a number of seconds"},
		{"long nonce", replace(docsNonce, strings.Repeat("n", 257)), "oauth_nonce has 257 bytes"},
		{"unknown consumer key", replace(docsKey, "xvz1evFS4wEEPTGEFPHBoh"), "no app has this oauth_consumer_key"},
		{"client id as consumer key", replace(docsKey, w.app.ClientID), "looks like an OAuth 2.0 client id"},
		{"unknown token", replace(docsToken, docsToken+"x"), "oauth_token is unknown"},
		{"token of another app", replace(docsKey, w.app.APIKey), "belongs to app 1, the oauth_consumer_key to app 2"},
		{"no quotes", replace(`"`+docsNonce+`"`, docsNonce), "no quotes"},
		{"single quotes", replace(`"`+docsNonce+`"`, "'"+docsNonce+"'"), "no quotes"},
		{"no closing quote", func(h string) string { return strings.TrimSuffix(h, `"`) }, "no closing quote"},
		{"no commas", func(h string) string { return strings.ReplaceAll(h, ", ", " ") }, "no comma after"},
		{"comma at the end", func(h string) string { return h + "," }, "not of the form"},
		{"two commas", replace(", ", ",, "), "not of the form"},
		{"no name", replace("oauth_nonce=", "="), "not of the form"},
		{"space before the equals sign", replace("oauth_nonce=", "oauth_nonce ="), "not of the form"},
		{"broken escape", replace(docsNonce, "%4"), "percent sign"},
		{"escape of other than hex", replace(docsNonce, "%G0"), "percent sign"},
		{"space in a value", replace(docsNonce, "a b"), "must be percent-encoded"},
		{"raw bytes in a value", replace(docsNonce, "caf\xc3\xa9"), "must be percent-encoded"},
		{"short signature", replace(`oauth_signature="`, `oauth_signature="x`), "not the base64 form of 20 bytes"},
		{"two signatures", func(h string) string { return h + `, oauth_signature="x"` }, "oauth_signature appears twice"},
		{"other signature", func(string) string { return docsClient().HeaderWith("AAAAAAAAAAAAAAAAAAAAAAAAAAA=") }, "does not match"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantRefused(t, w.get(t, c.change(good)), c.refused)
		})
	}
	wantOK(t, w.get(t, good)) // which none of the above used up
}

func TestOAuth1HeaderForms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(header string) string
	}{
		{"lower-case scheme", func(h string) string { return "oauth" + strings.TrimPrefix(h, "OAuth") }},
		{"no spaces", func(h string) string { return strings.ReplaceAll(h, ", ", ",") }},
		{"spaces before commas", func(h string) string { return strings.ReplaceAll(h, ", ", " ,\t") }},
		{"realm", func(h string) string {
			return strings.Replace(h, "OAuth ", `OAuth realm="http://sp.example/ 100%", `, 1)
		}},
		{"capitals and needless escapes", func(h string) string { return strings.Replace(h, docsNonce, "%6b"+docsNonce[1:], 1) }},
		{"signature with raw base64", func(h string) string {
			return strings.NewReplacer("%2B", "+", "%2F", "/", "%3D", "=").Replace(h)
		}},
		{"same parameter twice", func(h string) string { return h + `, oauth_nonce="` + docsNonce + `"` }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			wantOK(t, w.get(t, c.change(docsClient().Header(t, "GET", w.url+"/2/users/me", ""))))
		})
	}
	t.Run("no version", func(t *testing.T) {
		t.Parallel()
		w, client := newWorld(t), docsClient()
		client.Version = ""
		wantOK(t, w.do(t, client.Request(t, "GET", w.url+"/2/users/me")))
	})
}

// No reason ever contains a secret, a token or a signature, wherever the client put it by mistake.
func TestReasonsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tokens := w.issue(t, liked.AllScopes)
	mac := docsClient().Sign("x")
	w.secrets = append(w.secrets, mac, encode(mac))
	texts := []string{docsKey, docsSecret, docsToken, docsTokenSecret, mac, encode(mac), w.app1.Bearer, w.app1.ClientSecret,
		tokens.AccessToken, tokens.RefreshToken, docsNonce, "1318622958", "HMAC-SHA1", "1.0", "", "%", "\"", "=", " ", ","}
	names := append([]string{"oauth_consumer_key", "oauth_token", "oauth_signature_method", "oauth_signature",
		"oauth_timestamp", "oauth_nonce", "oauth_version", "realm"}, texts...)
	var refused int
	rapid.Check(t, func(rt *rapid.T) {
		header := rapid.SampledFrom([]string{"OAuth ", "Bearer ", "Basic ", "", docsSecret + " "}).Draw(rt, "scheme")
		for range rapid.IntRange(0, 9).Draw(rt, "parameters") {
			header += rapid.SampledFrom(names).Draw(rt, "name") + rapid.SampledFrom([]string{`="`, "=", ""}).Draw(rt, "opening") +
				rapid.SampledFrom(texts).Draw(rt, "value") + rapid.SampledFrom([]string{`", `, `"`, ","}).Draw(rt, "closing")
		}
		r, err := http.NewRequest("GET", "http://127.0.0.1/2/users/me?access_token="+tokens.AccessToken, nil)
		if err != nil {
			rt.Fatal(err)
		}
		r.Header.Set("Authorization", header)
		if _, err := w.auth.Authenticate(r); err != nil {
			refused++
			w.checkReason(rt, err.Error())
		}
	})
	if refused == 0 {
		t.Error("nothing was refused")
	}
}
