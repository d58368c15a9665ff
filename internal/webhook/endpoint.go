package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"liked"
	"liked/internal/exchange"
	"liked/internal/strictjson"
)

// maxURL is X's limit in bytes.
const maxURL = 200

// checkURL returns Invalid for a bad URL of a webhook. X takes only https, without a port.
func checkURL(s string, anywhere bool) error {
	wrong := func(format string, args ...any) error {
		return liked.Errorf(liked.Invalid, "the URL of a webhook "+format, args...)
	}
	u, err := url.Parse(s)
	switch {
	case len(s) > maxURL:
		return wrong("must have at most %d bytes", maxURL)
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }):
		return wrong("must have neither spaces nor letters beyond ASCII: write them as %%20 and the like")
	case anywhere && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == ""):
		return wrong("must begin with https:// or http:// and a host")
	case !anywhere && (err != nil || u.Scheme != "https" || u.Hostname() == ""):
		return wrong("must begin with https:// and a host")
	case u.User != nil || strings.Contains(s, "#"):
		return wrong("must have neither a user nor a fragment")
	case u.Port() != "" && !anywhere:
		return wrong("must have no port")
	case u.Query().Has("crc_token"):
		return wrong("must have no crc_token of its own")
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && !anywhere && !public(addr) {
		return wrong("must lead to the public internet")
	}
	return nil
}

// special are the non-public addresses that netip does not know (RFC 6890 and its updates), and ranges that can hide an
// IPv4 address.
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32",
	"2002::/16", "3fff::/20", "5f00::/16", "fec0::/10")

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsGlobalUnicast() && !a.IsPrivate() && !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// elsewhere reports whether an address and port is on the public internet, and not one of this machine's.
func elsewhere(address string, machine []net.Addr) bool {
	ap, err := netip.ParseAddrPort(address)
	return err == nil && public(ap.Addr()) && !slices.ContainsFunc(machine, func(own net.Addr) bool {
		prefix, err := netip.ParsePrefix(own.String())
		return err == nil && prefix.Addr().Unmap() == ap.Addr().Unmap()
	})
}

// newTransport checks the address when it is dialled, since a name may resolve to another one by then. It uses no
// proxy, which would do the dialling.
func newTransport(anywhere bool, timeout time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second}
	if !anywhere {
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			machine, err := net.InterfaceAddrs()
			if err == nil && !elsewhere(address, machine) {
				err = errors.New("the address is this machine's, or none of the public internet")
			}
			return err
		}
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    timeout,
		ResponseHeaderTimeout:  timeout,
		MaxResponseHeaderBytes: 16 << 10,
		MaxIdleConnsPerHost:    parallel,
		IdleConnTimeout:        time.Minute,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}

// maxAnswer is how many bytes of a response are read.
const maxAnswer = 16 << 10

// send makes a request, following no redirects, and returns the status and the beginning of the body.
func (h *Hooks) send(ctx context.Context, of exchange.Details, address string, body []byte, signature string) (
	status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	of.Exchange.TransactionID = cmp.Or(of.Exchange.TransactionID, exchange.RandomHex(8))
	ctx = exchange.WithDetails(ctx, &of)
	r, err := http.NewRequestWithContext(ctx, of.Exchange.Method, address, bytes.NewReader(body))
	if err != nil {
		return 0, nil, errors.New("the URL cannot be requested")
	}
	r.Header["User-Agent"] = []string{"liked"}
	if body != nil {
		r.Header["Content-Type"] = []string{"application/json; charset=utf-8"}
		r.Header["X-Twitter-Webhooks-Signature"] = []string{signature}
	}
	resp, err := h.sends.RoundTrip(r)
	if err != nil {
		return 0, nil, h.unanswered(ctx, r.URL.Host, err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, answer, h.unanswered(ctx, r.URL.Host, err)
}

// unanswered is an error of the network, with the text that the app's owner may read.
type unanswered struct {
	text string
	error
}

func (u *unanswered) Error() string { return u.text }
func (u *unanswered) Unwrap() error { return u.error }

// unanswered gives an error its text. It is one for a name that there is not, a name of this network, a closed port and
// silence: else an app could explore the network with webhooks. A fault of TLS is one of a public endpoint.
func (h *Hooks) unanswered(ctx context.Context, host string, err error) error {
	told, _ := errors.AsType[*unanswered](err)
	_, plainText := errors.AsType[tls.RecordHeaderError](err)
	_, stranger := errors.AsType[x509.UnknownAuthorityError](err)
	number, _ := errors.AsType[syscall.Errno](err)
	switch {
	case err == nil, told != nil:
		return err
	case plainText:
		return &unanswered{fmt.Sprintf("what answers at %s speaks no TLS, which a URL with https:// needs", host), err}
	case stranger:
		return &unanswered{fmt.Sprintf("the certificate of %s is signed by nobody whom this server trusts", host), err}
	case !h.Anywhere && !isTLS(err):
		h.Logger.Debug("webhook: no answer", "host", host, "error", err)
		return &unanswered{fmt.Sprintf("it cannot be reached over the public internet, or gave no answer within %v", h.Timeout), err}
	case ctx.Err() == context.DeadlineExceeded:
		return &unanswered{fmt.Sprintf("no answer within %v", h.Timeout), err}
	case number == syscall.ECONNREFUSED:
		return &unanswered{fmt.Sprintf("nothing answers at %s. Is your receiver running?", host), err}
	case number == syscall.ECONNRESET, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &unanswered{fmt.Sprintf("%s closed the connection before it had answered", host), err}
	case number != 0:
		return &unanswered{fmt.Sprintf("%s cannot be reached: %v", host, number), err}
	case strings.Contains(err.Error(), "malformed HTTP"): // which net/http gives no type
		return &unanswered{fmt.Sprintf("what answers at %s speaks no HTTP", host), err}
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok && name.IsNotFound {
		return &unanswered{fmt.Sprintf("there is no host %s. Is the URL right?", name.Name), err}
	}
	return err
}

// sign returns the HMAC-SHA-256 of the text in X's form.
func sign(secret string, text []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(text) // a hash never fails
	return "sha256=" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// ChallengeError says how an endpoint failed a challenge.
type ChallengeError struct {
	Why    string
	Wrong  bool // it answered incorrectly; else it may succeed later
	Silent bool // it did not answer
}

func (e *ChallengeError) Error() string {
	if e.Silent {
		return e.Why
	}
	return "the endpoint failed its challenge: " + e.Why
}

// challenge sends a challenge, to be answered with the app's consumer secret. A failure is a *ChallengeError: Wrong for
// a wrong answer, a redirect or a fault of the endpoint's TLS, else temporary.
func (h *Hooks) challenge(ctx context.Context, w liked.Webhook) error {
	err := h.ask(ctx, w)
	refused, _ := errors.AsType[*ChallengeError](err)
	switch {
	case err == nil:
		h.Count(ChallengeRight)
	case refused != nil && refused.Wrong:
		h.Count(ChallengeWrong)
	case refused != nil && ctx.Err() == nil:
		h.Count(Unreachable)
	}
	return err
}

func (h *Hooks) ask(ctx context.Context, w liked.Webhook) error {
	secret, err := h.Secret(ctx, w.App)
	if err != nil {
		return err
	}
	u, err := url.Parse(w.URL)
	if err != nil {
		return &ChallengeError{Why: "the URL cannot be read", Wrong: true}
	}
	token := rand.Text()
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += "crc_token=" + token
	of := exchange.Details{Exchange: exchange.Exchange{Operation: Challenge, Method: http.MethodGet, App: w.App}}
	status, answer, err := h.send(ctx, of, u.String(), nil, "")
	switch {
	case err != nil:
		return &ChallengeError{Why: plain(err, token), Wrong: isTLS(err), Silent: !isTLS(err)}
	case status >= 400 || status < 200:
		return &ChallengeError{Why: fmt.Sprintf("it answered with status %d", status)}
	case status >= 300:
		return &ChallengeError{Why: fmt.Sprintf("it answered with status %d; redirects are not followed", status), Wrong: true}
	}
	var body struct {
		Token string `json:"response_token"`
	}
	if strictjson.UnmarshalKnown(answer, &body) != nil {
		return &ChallengeError{Why: "Invalid `response_token`: the answer is no JSON object with one", Wrong: true}
	}
	if !hmac.Equal([]byte(body.Token), []byte(sign(secret, []byte(token)))) {
		return &ChallengeError{Why: "Invalid `response_token`", Wrong: true}
	}
	return nil
}

// plain is an error text for the app's owner, without the challenge's token.
func plain(err error, token string) string {
	text := err.Error()
	if token != "" {
		text = strings.ReplaceAll(text, token, "…")
	}
	return strings.ToValidUTF8(text[:min(len(text), 300)], "?")
}

func isTLS(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	return verification || record || alert || authority
}
