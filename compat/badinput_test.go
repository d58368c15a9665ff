package compat

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const nothing = "\x00nothing" // an empty body, where "" is any body

// unauthorized is a refusal by X's gateway, which indents.
const unauthorized = `{
  "title": "Unauthorized",
  "type": "about:blank",
  "status": 401,
  "detail": "Unauthorized"
}`

const wrongMethod = `{"title":"Method Not Allowed","detail":"Method Not Allowed","type":"about:blank","status":405}`

func invalidRequest(entries ...string) string {
	return `{"errors":[` + strings.Join(entries, ",") + `],"title":"Invalid Request","detail":"One or more parameters to your ` +
		`request was invalid.","type":"https://api.twitter.com/2/problems/invalid-request"}`
}

// entry is one of an invalid request's errors. parameter is "" or `"name":["value"]`, in JSON like the message.
func entry(parameter, message string) string {
	return `{"parameters":{` + parameter + `},"message":"` + message + `"}`
}

var (
	notJSON     = invalidRequest(entry("", "Request body is not valid JSON."))
	keyMissing  = invalidRequest(entry("", "$.tweet_id: is missing but it is required"))
	contentType = invalidRequest(entry("", "Requests with bodies must have content-type of application/json."))
	notFound    = invalidRequest(`{"message":"This tweet cannot be found."}`)
)

// found is the answer to a tweet_id of another type than a string. Value is its JSON text.
func found(value, typ string) string {
	return invalidRequest(entry(`"$.tweet_id":["`+strings.ReplaceAll(value, `"`, `\"`)+`"]`, "$.tweet_id: "+typ+" found, string expected"))
}

// mismatch is the answer to a tweet_id that is no id. Value is its JSON text.
func mismatch(value string) string {
	return invalidRequest(entry(`"$.tweet_id":["`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)+`"]`,
		"$.tweet_id: does not match the regex pattern ^[0-9]{1,19}$"))
}

// notValid is the answer to an id in the path that is none.
func notValid(name, value string) string {
	return invalidRequest(entry(`"`+name+`":["`+value+`"]`, "The `"+name+"` query parameter value ["+value+"] is not valid"))
}

func TestBadInput(t *testing.T) {
	s := start(t, build(t, false), "--rate-limits", "off", "--log-level", "warn")
	alice := s.Users[s.user(t, "alice")]
	post := s.Posts[0].ID
	addr := strings.TrimPrefix(s.URL, "http://")
	likes := "/2/users/" + alice.ID + "/likes"
	bearer := "Authorization: Bearer " + alice.AccessToken
	const missing = "1" // a post that does not exist: a request that gets as far as the store is answered with notFound
	const asJSON = "Content-Type: application/json"

	request := func(line string, headers []string, body string) string {
		headers = append(headers, fmt.Sprintf("Content-Length: %d", len(body)))
		return line + "\r\nHost: " + addr + "\r\nConnection: close\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n" + body
	}
	// posted is a like with that body, which is right in all else.
	posted := func(body string) string {
		return request("POST "+likes+" HTTP/1.1", []string{bearer, asJSON}, body)
	}
	tweetID := func(value string) string { return posted(`{"tweet_id":` + value + `}`) }
	// with is a like of the post with other headers.
	with := func(headers ...string) string {
		return request("POST "+likes+" HTTP/1.1", headers, `{"tweet_id":"`+post+`"}`)
	}
	typed := func(contentType string) string { return with(bearer, "Content-Type: "+contentType) }
	signed := func(header string) string { return with("Authorization: "+header, asJSON) }
	// oauth1 is a like with an OAuth 1.0a header that has no signature, with the timestamp after a prefix, then what is given.
	oauth1 := func(prefix, rest string) string {
		now := time.Now()
		return signed(fmt.Sprintf(`OAuth oauth_consumer_key="%s", oauth_token="%s", oauth_nonce="%d", oauth_timestamp="%s%d", `+
			`oauth_signature_method="HMAC-SHA1", oauth_version="1.0"%s`,
			s.Apps[0].APIKey, alice.OAuth1Token, now.UnixNano(), prefix, now.Unix(), rest))
	}
	// to is a like of the post by another path, and by another method.
	to := func(method, path string) string {
		return request(method+" "+path+" HTTP/1.1", []string{bearer, asJSON}, `{"tweet_id":"`+post+`"}`)
	}
	// framed is a like of which the headers about its length are given, and all that follows.
	framed := func(headers, rest string) string {
		return "POST " + likes + " HTTP/1.1\r\nHost: " + addr + "\r\n" + bearer + "\r\n" + asJSON + "\r\n" + headers + "\r\n\r\n" + rest
	}
	body := func(id string) string { return `{"tweet_id":"` + id + `"}` }
	chunked := func(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }
	inChunks := func(rest string) string { return framed("Connection: close\r\nTransfer-Encoding: chunked", rest) }
	second := framed("Content-Length: 34", body(post))
	deep := strings.Repeat("[", 100_000)
	big := strings.Repeat(" ", 1<<20)

	tests := []struct {
		name    string
		request string // as it goes over the wire
		status  int    // 0 for any of 400 to 499
		body    string
	}{
		// Bodies.
		{"body is empty", posted(""), 400, keyMissing},
		{"body is empty, without a content type", request("POST "+likes+" HTTP/1.1", []string{bearer}, ""), 400, keyMissing},
		{"body is an empty object", posted("{}"), 400, keyMissing},
		{"body is white space", posted(" \r\n\t"), 400, notJSON},
		{"body is not JSON", posted("tweet_id=" + post), 400, notJSON},
		{"body is cut off", posted(`{"tweet_id":"` + post), 400, notJSON},
		{"body goes on after the object", posted(body(post) + body(post)), 400, notJSON},
		{"body in single quotes", posted(`{'tweet_id':'` + post + `'}`), 400, notJSON},
		{"body with a trailing comma", posted(`{"tweet_id":"` + post + `",}`), 400, notJSON},
		{"body with a comment", posted(`{"tweet_id":"` + post + `"/**/}`), 400, notJSON},
		{"body with a byte order mark", posted("\ufeff" + body(post)), 400, notJSON},
		{"body in UTF-16", posted("{\x00\"\x00}\x00"), 400, notJSON},
		{"body of a NUL", posted("\x00"), 400, notJSON},
		{"body is an array", posted(`["` + post + `"]`), 400, invalidRequest(entry("", "$: array found, object expected"))},
		{"body is a string", posted(`"` + post + `"`), 400, invalidRequest(entry("", "$: string found, object expected"))},
		{"body is an integer", posted(post), 400, invalidRequest(entry("", "$: integer found, object expected"))},
		{"body is a boolean", posted("true"), 400, invalidRequest(entry("", "$: boolean found, object expected"))},
		{"body is null", posted("null"), 400, invalidRequest(entry("", "$: null found, object expected"))},
		{"body is compressed", request("POST "+likes+" HTTP/1.1", []string{bearer, asJSON, "Content-Encoding: gzip"},
			gzipped(t, body(post))), 400, notJSON},
		{"deeply nested, not closed", posted(deep), 0, ""},
		{"deeply nested", posted(deep + strings.Repeat("]", 100_000)), 0, ""},
		{"deeply nested in the key", tweetID(deep + strings.Repeat("]", 100_000)), 0, ""},
		{"deeply nested objects", posted(strings.Repeat(`{"a":`, 100_000)), 0, ""},
		{"deeply nested beside the key", posted(`{"tweet_id":"` + post + `","a":` +
			strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}"), 0, ""},
		{"1 MiB before the object", posted(big + body(post)), 0, ""},
		{"1 MiB after the object", posted(body(post) + big), 0, ""},
		{"1 MiB of digits", tweetID(`"` + strings.Repeat("1", 1<<20) + `"`), 0, ""},
		{"1 MiB key", posted(`{"` + strings.Repeat("k", 1<<20) + `":1,"tweet_id":"` + post + `"}`), 0, ""},
		{"8 MiB", posted(body(post) + strings.Repeat(big, 8)), 0, ""},
		{"the key twice", posted(`{"tweet_id":"` + missing + `","tweet_id":"` + post + `"}`), 0, ""},
		{"the key twice, once in escapes", posted(`{"tweet_id":"` + missing + `","tweet\u005fid":"` + post + `"}`), 0, ""},
		{"the key in another case", posted(`{"Tweet_ID":"` + post + `"}`), 400, keyMissing},
		{"another key", posted(`{"post_id":"` + post + `"}`), 400, keyMissing},
		{"invalid UTF-8 in the value", tweetID("\"\xff\""), 400, ""},
		{"invalid UTF-8 in another key", posted("{\"\xff\":1,\"tweet_id\":\"" + post + `"}`), 400, notJSON},
		{"half a surrogate pair", tweetID(`"\ud83e"`), 400, ""},

		// The value of tweet_id.
		{"tweet_id is an integer", tweetID(post), 400, found(post, "integer")},
		{"tweet_id is negative", tweetID("-1"), 400, found("-1", "integer")},
		{"tweet_id is a fraction", tweetID("1.5"), 400, found("1.5", "number")},
		{"tweet_id is a huge number", tweetID("1e999"), 400, found("1e999", "number")},
		{"tweet_id is an object", tweetID("{}"), 400, found("{}", "object")},
		{"tweet_id is an array", tweetID(`["` + post + `"]`), 400, found(`["`+post+`"]`, "array")},
		{"tweet_id is a boolean", tweetID("true"), 400, found("true", "boolean")},
		{"tweet_id is null", tweetID("null"), 400, found("null", "null")},
		{"tweet_id is empty", tweetID(`""`), 400, mismatch(`""`)},
		{"tweet_id is 0", tweetID(`"0"`), 400, notFound},
		{"tweet_id has 19 digits", tweetID(`"9223372036854775807"`), 400, notFound},
		{"tweet_id has 19 digits and is too large", tweetID(`"9999999999999999999"`), 400, ""},
		{"tweet_id has 20 digits", tweetID(`"00000000000000000001"`), 400, mismatch(`"00000000000000000001"`)},
		{"tweet_id has a plus", tweetID(`"+1"`), 400, mismatch(`"+1"`)},
		{"tweet_id has a minus", tweetID(`"-1"`), 400, mismatch(`"-1"`)},
		{"tweet_id has a space before", tweetID(`" ` + post + `"`), 400, mismatch(`" ` + post + `"`)},
		{"tweet_id has a space after", tweetID(`"` + post + ` "`), 400, mismatch(`"` + post + ` "`)},
		{"tweet_id has a line break after", tweetID(`"` + post + `\n"`), 400, mismatch(`"` + post + `\n"`)},
		{"tweet_id has a NUL after", tweetID(`"` + post + `\u0000"`), 400, mismatch(`"` + post + `\u0000"`)},
		{"tweet_id in full-width digits", tweetID(`"１２３"`), 400, mismatch(`"１２３"`)},
		{"tweet_id in Arabic digits", tweetID(`"١٢٣"`), 400, mismatch(`"١٢٣"`)},
		{"tweet_id with a percent-escape", tweetID(`"%31"`), 400, mismatch(`"%31"`)},
		{"tweet_id in hexadecimal", tweetID(`"0x1"`), 400, mismatch(`"0x1"`)},
		{"tweet_id with an exponent", tweetID(`"1e1"`), 400, mismatch(`"1e1"`)},
		{"tweet_id with an underscore", tweetID(`"1_0"`), 400, mismatch(`"1_0"`)},

		// Content types.
		{"no content type", with(bearer), 400, contentType},
		{"content type of a form", typed("application/x-www-form-urlencoded"), 400, contentType},
		{"content type of plain text", typed("text/plain"), 400, contentType},
		{"content type of multipart", typed("multipart/form-data; boundary=x"), 400, contentType},
		{"content type of a problem", typed("application/problem+json"), 400, contentType},
		{"content type without a slash", typed("application"), 400, contentType},
		{"content type that only begins well", typed("application/jsonp"), 400, contentType},
		{"content type is empty", typed(""), 400, contentType},

		// Ids in the path.
		{"path id is a word", to("POST", "/2/users/abc/likes"), 400, notValid("id", "abc")},
		{"path id is me", to("POST", "/2/users/me/likes"), 400, notValid("id", "me")},
		{"path id is 0", to("POST", "/2/users/0/likes"), 400, invalidRequest(entry(`"id":["0"]`,
			"The `id` query parameter value [0] must be the same as the authenticating user ["+alice.ID+"]"))},
		{"path id has 19 digits and is too large", to("POST", "/2/users/9999999999999999999/likes"), 400, notValid("id", "9999999999999999999")},
		{"path id has 20 digits", to("POST", "/2/users/0"+alice.ID+"/likes"), 400, notValid("id", "0"+alice.ID)},
		{"path id has a plus", to("POST", "/2/users/+1/likes"), 400, notValid("id", "+1")},
		{"path id has a minus", to("POST", "/2/users/-1/likes"), 400, notValid("id", "-1")},
		{"path id has a space", to("POST", "/2/users/"+alice.ID+"%20/likes"), 400, notValid("id", alice.ID+" ")},
		{"path id in full-width digits", to("POST", "/2/users/%EF%BC%91/likes"), 400, notValid("id", "１")},
		{"path id in full-width digits, raw", to("POST", "/2/users/１/likes"), 400, notValid("id", "１")},
		{"path id is invalid UTF-8", to("POST", "/2/users/%FF/likes"), 400, ""},
		{"path id with a slash", to("POST", "/2/users/"+alice.ID+"%2F/likes"), 0, ""},
		{"path id with a NUL", to("POST", "/2/users/"+alice.ID+"%00/likes"), 400, ""},
		{"path id with half an escape", to("POST", "/2/users/"+alice.ID+"%3/likes"), 400, ""},
		{"path id of escaped digits is the id", request("POST /2/users/%"+fmt.Sprintf("%x", alice.ID[0])+alice.ID[1:]+"/likes HTTP/1.1",
			[]string{bearer, asJSON}, body(missing)), 400, notFound},
		{"DELETE: tweet_id is a word", to("DELETE", likes+"/abc"), 400, notValid("tweet_id", "abc")},
		{"DELETE: tweet_id has 20 digits", to("DELETE", likes+"/00000000000000000001"), 400, notValid("tweet_id", "00000000000000000001")},
		{"DELETE: tweet_id has a minus", to("DELETE", likes+"/-1"), 400, notValid("tweet_id", "-1")},
		{"query parameter that is not there", to("POST", likes+"?foo=1"), 400,
			invalidRequest(entry(`"foo":["1"]`, "The query parameter [foo] is not one of [id]"))},
		{"query with half an escape", to("POST", likes+"?foo=%3"), 400, ""},
		{"query with a semicolon", to("POST", likes+"?a=1;b=2"), 400, ""},

		// Headers.
		{"no credentials", with(asJSON), 401, unauthorized},
		{"credentials twice", with(bearer, bearer, asJSON), 0, ""},
		{"credentials twice, a wrong one first", with("Authorization: Bearer x", bearer, asJSON), 0, ""},
		{"bearer of nothing", signed("Bearer"), 401, unauthorized},
		{"bearer of a space", signed("Bearer "), 401, unauthorized},
		{"bearer of more than a token", signed("Bearer " + alice.AccessToken + " x"), 401, unauthorized},
		{"bearer in another scheme", signed("Basic " + alice.AccessToken), 401, unauthorized},
		{"bearer with a comma", signed("Bearer " + alice.AccessToken + ","), 401, unauthorized},
		{"bearer in another case", signed("Bearer " + strings.ToUpper(alice.AccessToken)), 401, unauthorized},
		{"bearer of 16 KiB", signed("Bearer " + strings.Repeat("x", 16<<10)), 0, ""},
		{"bearer in the query", request("POST "+likes+"?access_token="+alice.AccessToken+" HTTP/1.1",
			[]string{asJSON}, body(post)), 401, unauthorized},
		{"header of 64 KiB", with(bearer, asJSON, "X-Filler: "+strings.Repeat("x", 64<<10)), 431, ""},
		{"10,000 headers", with(append(slices.Repeat([]string{"X-Filler: x"}, 10_000), bearer, asJSON)...), 431, ""},
		{"request line of 64 KiB", to("POST", likes+"?foo="+strings.Repeat("x", 64<<10)), 0, ""},
		{"header without a colon", with(bearer, asJSON, "X-Filler"), 400, ""},
		{"header without a name", with(bearer, asJSON, ": x"), 400, ""},
		{"header name with a space", with(bearer, asJSON, "X Filler: x"), 400, ""},
		{"header with a space before the colon", with(bearer, asJSON, "X-Filler : x"), 400, ""},
		{"header with a NUL", with(bearer, asJSON, "X-Filler: \x00"), 400, ""},
		{"header with a bare CR", with(bearer, asJSON, "X-Filler: a\rb"), 400, ""},
		{"host twice", with(bearer, asJSON, "Host: example.com"), 400, ""},
		{"host missing", strings.Replace(posted(body(post)), "Host: "+addr+"\r\n", "", 1), 400, ""},
		{"unknown expectation", with(bearer, asJSON, "Expect: the-unexpected"), 417, ""},

		// OAuth 1.0a headers.
		{"OAuth alone", signed("OAuth"), 401, unauthorized},
		{"OAuth with commas", signed("OAuth ,,,,"), 401, unauthorized},
		{"OAuth with a quote", signed(`OAuth "`), 401, unauthorized},
		{"OAuth with no name", signed(`OAuth ="",=""`), 401, unauthorized},
		{"OAuth with no quotes", signed("OAuth oauth_consumer_key=x, oauth_token=" + alice.OAuth1Token), 401, unauthorized},
		{"OAuth with an open quote", signed(`OAuth oauth_consumer_key="` + s.Apps[0].APIKey + `", oauth_token="` +
			alice.OAuth1Token), 401, unauthorized},
		{"OAuth with a quote in a value", signed(`OAuth oauth_consumer_key="a"b", oauth_token="x"`), 401, unauthorized},
		{"OAuth with half an escape", signed(`OAuth oauth_consumer_key="%", oauth_token="%3"`), 401, unauthorized},
		{"OAuth with a NUL in an escape", signed(`OAuth oauth_consumer_key="%00", oauth_token="%00", oauth_signature="%00"`), 401, unauthorized},
		{"OAuth without a signature", oauth1("", ""), 401, unauthorized},
		{"OAuth with an empty signature", oauth1("", `, oauth_signature=""`), 401, unauthorized},
		{"OAuth with a signature that is no base64", oauth1("", `, oauth_signature="!!"`), 401, unauthorized},
		{"OAuth with two signatures", oauth1("", `, oauth_signature="YQ%3D%3D", oauth_signature="Yg%3D%3D"`), 401, unauthorized},
		{"OAuth with a time that is no number", oauth1("x", `, oauth_signature="YQ%3D%3D"`), 401, unauthorized},
		{"OAuth with a time beyond 64 bits", oauth1("99999999999999999", `, oauth_signature="YQ%3D%3D"`), 401, unauthorized},
		{"OAuth without a token", signed(`OAuth oauth_consumer_key="` + s.Apps[0].APIKey + `"`), 401, unauthorized},
		{"OAuth with a thousand parameters", signed(`OAuth ` + strings.TrimSuffix(strings.Repeat(`a="b",`, 1000), ",")), 401, unauthorized},

		// Methods and paths.
		{"OPTIONS of the server", to("OPTIONS", "*"), 0, ""},
		{"method with a space", to("PO ST", likes), 400, ""},
		{"unknown path", to("POST", "/2/users/"+alice.ID+"/loves"), 404, nothing},
		{"unknown path without credentials", request("GET / HTTP/1.1", nil, ""), 404, nothing},
		{"doubled slash first", to("POST", "/"+likes), 404, nothing},
		{"doubled slash within", to("POST", "/2/users//"+alice.ID+"/likes"), 404, nothing},
		{"trailing slash", to("POST", likes+"/"), 404, nothing},
		{"dots", to("POST", "/2/users/./"+alice.ID+"/likes"), 404, nothing},
		{"two dots", to("POST", "/2/users/x/../"+alice.ID+"/likes"), 404, nothing},
		{"two dots in escapes", to("POST", "/2/users/x/%2E%2E/"+alice.ID+"/likes"), 404, nothing},
		{"path in another case", to("POST", "/2/Users/"+alice.ID+"/Likes"), 404, nothing},
		{"path of escaped slashes", to("POST", "/2%2Fusers%2F"+alice.ID+"%2Flikes"), 404, nothing},
		{"path with .json", to("POST", likes+".json"), 404, nothing},
		{"path of the first version", to("POST", "/1/favorites/create.json"), 404, nothing},
		{"path without a slash", to("POST", strings.TrimPrefix(likes, "/")), 400, ""},
		{"path with a fragment", to("POST", likes+"#x"), 404, nothing},

		// Other forms of HTTP.
		{"absolute form is the same request", request("POST http://api.twitter.com"+likes+" HTTP/1.1",
			[]string{bearer, asJSON}, body(missing)), 400, notFound},
		{"absolute form with a path that is not there", to("POST", "http://"+addr), 404, nothing},
		{"HTTP/1.0 is the same request", "POST " + likes + " HTTP/1.0\r\n" + bearer + "\r\n" + asJSON + "\r\n" +
			"Content-Length: 16\r\n\r\n" + body(missing), 400, notFound},
		{"HTTP/0.9", "GET " + likes + "\r\n\r\n", 400, ""},
		{"HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, ""},
		{"HTTP/3", strings.Replace(to("POST", likes), "HTTP/1.1", "HTTP/3.0", 1), 505, ""},
		{"HTTP in small letters", strings.Replace(to("POST", likes), "HTTP/1.1", "http/1.1", 1), 400, ""},
		{"what TLS begins with", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", 400, ""},
		{"chunked is the same request", inChunks(chunked(body(missing))), 400, notFound},
		{"chunk that does not end", inChunks("22\r\n" + body(post) + "0\r\n\r\n"), 400, ""},
		{"chunk size that is no number", inChunks("zz\r\n" + body(post) + "\r\n0\r\n\r\n"), 400, ""},
		{"chunk size that is negative", inChunks("-1\r\n" + body(post) + "\r\n0\r\n\r\n"), 400, ""},
		{"chunk size beyond 64 bits", inChunks("10000000000000010\r\n" + body(post) + "\r\n0\r\n\r\n"), 400, ""},
		{"chunk of more than its size", inChunks("2\r\n" + body(post) + "\r\n0\r\n\r\n"), 400, ""},

		// Two lengths. What follows the body is a second request, which must not be taken for one (RFC 9112, 6.1).
		{"a length and chunks", framed("Content-Length: 1000\r\nTransfer-Encoding: chunked", chunked(body(missing))+second), 400, ""},
		{"chunks and a length", framed("Transfer-Encoding: chunked\r\nContent-Length: 3", chunked(body(missing))+second), 400, ""},
		{"two lengths that differ", framed("Content-Length: 16\r\nContent-Length: 34", body(missing)+second), 400, ""},
		{"two lengths in one header", framed("Content-Length: 16, 34", body(missing)+second), 400, ""},
		{"length with a plus", framed("Content-Length: +34", body(post)), 400, ""},
		{"length that is negative", framed("Content-Length: -1", body(post)), 400, ""},
		{"length beyond 64 bits", framed("Content-Length: 18446744073709551650", body(post)), 400, ""},
		{"length in hexadecimal", framed("Content-Length: 0x22", body(post)), 400, ""},
		{"length that is empty", framed("Content-Length:", body(post)), 400, ""},
		{"transfer encoding that is not chunked", framed("Transfer-Encoding: xchunked", chunked(body(post))), 501, ""},
		{"transfer encoding that is chunked twice", framed("Transfer-Encoding: chunked, chunked", chunked(body(post))), 501, ""},
		{"transfer encoding with identity", framed("Transfer-Encoding: chunked, identity", chunked(body(post))), 501, ""},
		{"transfer encoding in two headers", framed("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", chunked(body(post))), 501, ""},
		{"transfer encoding with a space before the colon", framed("Transfer-Encoding : chunked", chunked(body(post))), 400, ""},
		{"transfer encoding on a folded line", framed("Content-Length: 34\r\nTransfer-Encoding:\r\n chunked", body(post)+"\r\n\r\n"), 0, ""},
	}
	wrongMethods := []struct{ name, request, body, allow string }{
		{"GET", to("GET", likes), wrongMethod, "POST"},
		{"PUT", to("PUT", likes), wrongMethod, "POST"},
		{"PATCH", to("PATCH", likes), wrongMethod, "POST"},
		{"DELETE without a post", to("DELETE", likes), wrongMethod, "POST"},
		{"POST with a post in the path", to("POST", likes+"/"+post), wrongMethod, "DELETE"},
		{"HEAD", to("HEAD", likes), nothing, "POST"},
		{"HEAD of a post", to("HEAD", "/2/tweets/"+post), nothing, "DELETE, GET"},
		{"OPTIONS", to("OPTIONS", likes), wrongMethod, "POST"},
		{"OPTIONS of a preflight", request("OPTIONS "+likes+" HTTP/1.1", []string{"Origin: https://example.com",
			"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization"}, ""), wrongMethod, "POST"},
		{"TRACE", to("TRACE", likes), wrongMethod, "POST"},
		{"CONNECT", to("CONNECT", likes), wrongMethod, "POST"},
		{"unknown method", to("BREW", likes), wrongMethod, "POST"},
		{"method in small letters", to("post", likes), wrongMethod, "POST"},
		{"path with a backslash", to("POST", `/2/users/`+alice.ID+`\likes`), wrongMethod, "GET"}, // one segment: a user's id
	}
	before := s.likeCount(t, post)
	unchanged := func(t *testing.T) {
		t.Helper()
		if after := s.likeCount(t, post); after != before {
			t.Errorf("like_count went from %d to %d", before, after)
			before = after
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.refuses(t, tt.request, tt.status, tt.body)
			unchanged(t)
		})
	}
	for _, tt := range wrongMethods {
		t.Run(tt.name, func(t *testing.T) {
			if allow := s.refuses(t, tt.request, 405, tt.body).Get("Allow"); allow != tt.allow {
				t.Errorf("allow %q, want %q", allow, tt.allow)
			}
			unchanged(t)
		})
	}
	t.Run("half a request", func(t *testing.T) {
		whole := posted(body(post))
		for _, n := range []int{1, len(whole) / 2, len(whole) - 1} {
			c := dial(t, addr)
			if _, err := io.WriteString(c, whole[:n]); err != nil {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("slow", func(t *testing.T) {
		if testing.Short() {
			t.Skip("the server waits for half a minute before it gives up")
		}
		whole := posted(body(post))
		for _, tt := range []struct {
			name string
			sent int // before the drops
			want string
		}{
			{"headers", 20, "HTTP/1.1 400 Bad Request"},
			{"body", strings.Index(whole, "\r\n\r\n") + 6, "HTTP/1.1 408 Request Timeout"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				dribble(t, addr, whole[:tt.sent], whole[tt.sent:], tt.want)
			})
		}
	})

	// None of that stored a like, and a correct request still does.
	unchanged(t)
	var stored struct{ Likes int }
	if s.admin(t, "POST", "/admin/check", nil, &stored); stored.Likes != before {
		t.Errorf("the store has %d likes, want %d", stored.Likes, before)
	}
	c := dial(t, addr)
	defer c.Close()
	if resp, text := exchange(t, c, bufio.NewReader(c), posted(body(post))); resp.StatusCode != 200 || text != `{"data":{"liked":true}}` {
		t.Errorf("a correct like: %d %s", resp.StatusCode, text)
	}
	if after := s.likeCount(t, post); after != before+1 {
		t.Errorf("like_count went from %d to %d, want one more", before, after)
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// exchange sends the request and reads the first answer. The server may answer, and hang up, while it is being sent.
func exchange(t *testing.T, c net.Conn, from *bufio.Reader, request string) (*http.Response, string) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(c, request) }() // what counts is the answer
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(from, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("half an answer: %v", err)
	}
	return resp, string(text)
}

// refuses sends the request, checks that there is one answer, with the status and the body, after which the server hangs
// up, and returns its headers.
func (s *server) refuses(t *testing.T, request string, status int, body string) http.Header {
	t.Helper()
	c := dial(t, strings.TrimPrefix(s.URL, "http://"))
	defer c.Close()
	from := bufio.NewReader(c)
	resp, text := exchange(t, c, from, request)
	switch {
	case status == 0 && (resp.StatusCode < 400 || resp.StatusCode > 499):
		t.Errorf("status %d, want 400 to 499", resp.StatusCode)
	case status != 0 && resp.StatusCode != status:
		t.Errorf("status %d, want %d", resp.StatusCode, status)
	}
	if body == nothing && text != "" || body != nothing && body != "" && text != body {
		t.Errorf("body %.1000q\nwant %q", text, body)
	}
	if len(text) > 128<<10 {
		t.Errorf("an answer of %d bytes, which echoes too much", len(text))
	}
	for name := range resp.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("header %s, which X does not send", name)
		}
	}
	if rest, err := io.ReadAll(io.LimitReader(from, 1000)); len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the answer came %q (%v), want the end", rest, err)
	}
	return resp.Header
}

// dribble sends the start of a request at once and the rest a byte every two seconds. The server must give up on it,
// with that status line.
func dribble(t *testing.T, addr, start, rest, want string) {
	c := dial(t, addr)
	defer c.Close()
	if _, err := io.WriteString(c, start); err != nil {
		t.Fatal(err)
	}
	const limit = time.Minute
	began := time.Now()
	if err := c.SetReadDeadline(began.Add(limit)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	defer func() { <-ended }()
	done := make(chan struct{})
	defer close(done)
	go func() {
		defer close(ended)
		for i := range len(rest) {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Second):
			}
			if _, err := io.WriteString(c, rest[i:i+1]); err != nil {
				return
			}
		}
	}()
	answer, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the server still waits after %s", limit)
	}
	if got, _, _ := strings.Cut(string(answer), "\r\n"); got != want {
		t.Errorf("after %s: %q, want %q", time.Since(began).Round(time.Second), got, want)
	}
}
