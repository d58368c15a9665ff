package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"liked"
	"liked/internal/faults"
)

// problem is a refusal: the client's answer and the operator's reason. Checks and handlers return it as an error;
// problemOf maps others.
type problem struct {
	status  int
	gateway bool // refused before the API: problem+json, no rate-limit headers
	body    []byte
	allow   string // of a 405: its Allow header
	v1      bool   // in v1.1's format
	code    int    // v1.1's code; 0: none of its own
	retry   bool   // the same request may succeed in a moment
	why     string // for the operator; holds no secret
	cause   error  // of a 5xx

	provoked *faults.Fault // nil: it is a refusal in earnest
}

func (p *problem) Error() string { return p.why }

// because returns a copy with a reason.
func (p problem) because(why string) *problem {
	p.why = why
	return &p
}

// coded returns a copy with a code of v1.1.
func (p problem) coded(v1 int) problem {
	p.code = v1
	return p
}

// Constant refusals. The profile decides the texts of those in a catalogue.
var (
	notPermitted = forbiddenAction("You are not permitted to perform this action.") // a business rule
	notYourPost  = forbiddenAction("You are not authorized to delete this Tweet.")
	duplicate    = forbiddenAction("You are not allowed to create a Tweet with duplicate content.")
	replyUnseen  = forbiddenAction("You attempted to reply to a Tweet that is deleted or not visible to you.")
	timeout      = titled(408, "Request Timeout", "Request Timeout")
	tooLarge     = titled(413, "Payload Too Large", "Payload Too Large")
	rateLimited  = titled(429, "Too Many Requests", "Too Many Requests").coded(88)
	internal     = titled(500, "Internal Server Error",
		"Something is broken. This is usually a temporary error, for example in a high load situation or if an endpoint is "+
			"temporarily having issues. Check in the developer forums in case others are having similar issues, or try again later. ")
	unavailable = titled(503, "Service Unavailable", "Service Unavailable").coded(130)
)

type catalogue struct {
	facts
	unauthorized    problem // 401: unknown caller
	forbidden       problem // 403: a scope is missing
	readOnly        problem // 403: OAuth 1.0a without write permission
	locked          problem // 403: account locked
	postCannotFound problem // 400: like of a missing post
	tooManyReaders  problem // 429: the app reads the partition already
}

func newCatalogue(f facts) *catalogue {
	unauthorized := []any{"title", "Unauthorized", "type", "about:blank", "status", 401, "detail", "Unauthorized"}
	if f.typeFirst {
		unauthorized = []any{"type", "about:blank", "title", "Unauthorized", "detail", "Unauthorized", "status", 401}
	}
	return &catalogue{
		facts:        f,
		unauthorized: f.atGateway(401, unauthorized...).coded(89),
		forbidden:    f.atGateway(403, "title", "Forbidden", "type", "about:blank", "status", 403, "detail", "Forbidden").coded(220),
		readOnly: plain(403, "title", "Forbidden", "status", 403,
			"detail", "Your client app is not configured with the appropriate oauth1 app permissions for this endpoint.",
			"type", f.problems+"oauth1-permissions").coded(261),
		locked: titled(403, "Forbidden",
			"Your account is temporarily locked. Please log in to "+f.site+" to unlock your account.").coded(326),
		postCannotFound: *f.invalid("", fault{Message: "This tweet cannot be found."}),
		tooManyReaders: plain(429, "title", "ConnectionException",
			"detail", "This stream is currently at the maximum allowed connection limit.",
			"connection_issue", "TooManyConnections", "type", f.problems+"streaming-connection"),
	}
}

func forbiddenAction(detail string) problem {
	return plain(403, "detail", detail, "type", "about:blank", "title", "Forbidden", "status", 403)
}

func titled(status int, title, detail string) problem {
	return plain(status, "title", title, "detail", detail, "type", "about:blank", "status", status)
}

// atGateway is a refusal by the gateway in front of X's API.
func (f facts) atGateway(status int, members ...any) problem {
	text := mustEncode(object(members))
	if f.indentGateway {
		var b bytes.Buffer
		json.Indent(&b, text, "", "  ") // never fails for JSON
		text = b.Bytes()
	}
	return problem{status: status, gateway: true, body: text}
}

// plain is a refusal by the API itself.
func plain(status int, members ...any) problem {
	return problem{status: status, body: mustEncode(object(members))}
}

// noRoute is for unknown paths: no body, whatever the credentials.
func noRoute() *problem {
	return &problem{status: http.StatusNotFound, gateway: true, why: "no endpoint has this path"}
}

func wrongMethod(method string, allow []string) *problem {
	p := titled(405, "Method Not Allowed", "Method Not Allowed")
	p.allow = strings.Join(allow, ", ")
	return p.because("the path is known, but not with " + method + "; it has " + p.allow)
}

// unsupported refuses a kind of credential. X's text has two spaces in a row.
func (c *catalogue) unsupported(used, allowed liked.Credential) *problem {
	var names []string
	name := "Unknown"
	for _, k := range []struct {
		kind liked.Credential
		name string
	}{
		{liked.OAuth1User, "OAuth 1.0a User Context"},
		{liked.AppOnly, "OAuth 2.0 Application-Only"},
		{liked.OAuth2User, "OAuth 2.0 User Context"},
	} {
		if allowed&k.kind != 0 {
			names = append(names, k.name)
		}
		if used == k.kind {
			name = k.name
		}
	}
	detail := "Authenticating with " + name + " is forbidden for this endpoint.  Supported authentication types are [" +
		strings.Join(names, ", ") + "]."
	return c.atGateway(403, "title", "Unsupported Authentication", "detail", detail,
		"type", c.problems+"unsupported-authentication", "status", 403).coded(220).because(detail)
}

// notEnrolled refuses an app without a project. The body has no status.
func (c *catalogue) notEnrolled(clientID string) *problem {
	return plain(403, "client_id", clientID,
		"detail", "When authenticating requests to the Twitter API v2 endpoints, you must use keys and tokens from a Twitter developer App "+
			"that is attached to a Project. You can create a project via the developer portal.",
		"registration_url", "https://developer.twitter.com/en/docs/projects/overview", "title", "Client Forbidden",
		"required_enrollment", "Appropriate Level of API Access", "reason", "client-not-enrolled",
		"type", c.problems+"client-forbidden").coded(453).because("the app is not enrolled; change it with: liked app set --state enrolled")
}

// fault is an entry of an Invalid Request answer. Clients read Message.
type fault struct {
	Parameters object `json:"parameters,omitzero"` // the parameter and its values as sent; {}: unnamed
	Message    string `json:"message"`
}

// invalid refuses a malformed request. It has no status member, and at least one fault.
func (f facts) invalid(why string, faults ...fault) *problem {
	return plain(http.StatusBadRequest, "errors", faults, "title", "Invalid Request",
		"detail", "One or more parameters to your request was invalid.", "type", f.problems+"invalid-request").
		because(cmp.Or(why, faults[0].Message))
}

// problem is the refusal of the endpoint's version.
func (c *catalogue) problem(rt *endpoint, r *http.Request, err error) *problem {
	if rt.tag == tagOlder {
		return c.v1Problem(r, err)
	}
	return c.problemOf(err)
}

// problemOf maps an error to the client's answer. Handlers make the refusals that X has texts for; the others are 4xx if
// about the request, else 5xx.
func (c *catalogue) problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	p := internal.because(err.Error())
	switch liked.KindOf(err) {
	case liked.Unauthorized:
		return c.unauthorized.because(err.Error())
	case liked.Forbidden:
		return notPermitted.because(err.Error())
	case liked.Invalid, liked.NotFound, liked.Conflict:
		known, _ := errors.AsType[*liked.Error](err)
		return c.invalid(err.Error(), fault{object{}, known.Msg})
	case liked.Overloaded:
		p = unavailable.because(err.Error())
		p.retry = true
		return p
	case liked.Unavailable:
		p = unavailable.because(err.Error())
	}
	p.cause = err
	return p
}
