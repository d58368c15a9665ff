package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"liked/internal/api"
	"liked/internal/seed"
)

// Config is all that a server can be told. The zero value is a server in memory on free loopback ports.
type Config struct {
	// Data is the directory that holds everything; it is made if missing. Empty keeps everything in memory.
	Data string

	// Listen is the address of the API, as "host:port"; port 0 picks a free one. Empty means "127.0.0.1:0".
	Listen string

	// AdminListen is the address of the operator's side: probes, metrics, profiles and /admin/. It speaks plain HTTP
	// whatever Listen does, so that it belongs on a loopback address, and is there if empty: "127.0.0.1:0".
	AdminListen string

	// AdminToken guards /admin/ and /debug/pprof/; at least 16 characters. Empty picks a random one.
	AdminToken string

	// TLSCert and TLSKey are PEM files with which the API speaks HTTPS, HTTP/2 included. Both or neither.
	TLSCert, TLSKey string

	// PublicURL is how clients reach the API, as "scheme://host[:port]": OAuth 1.0a signatures cover it. Empty takes
	// each request's own word for it.
	PublicURL string

	// TrustedProxies are addresses ("10.0.0.1") and networks ("10.0.0.0/8") whose X-Forwarded-Proto and
	// X-Forwarded-Host are believed.
	TrustedProxies []string

	// Profile is the year whose X the API answers as, "2024" or "2026". Empty means "2024".
	Profile string

	// PrivateLikes keeps who liked a post for its author, and what a user liked for that user, as X has done since June
	// 2024. Nil does as the profile does: 2026 keeps them private, 2024 does not.
	PrivateLikes *bool

	// RateLimits is empty for X's own, "off" for none, or JSON with exceptions: {"usersIdLike":{"user_15m":5,"user_24h":0}},
	// where 0 is no such limit.
	RateLimits string

	// NoDailyLimits takes the limits per 24 hours away.
	NoDailyLimits bool

	// NoHomePage leaves / to X's own answer, which is a 404. Otherwise who asks for HTML gets a page with the numbers of the
	// server and public posts.
	NoHomePage bool

	// Explain tells clients why they were refused, in a header and on pages. For development only.
	Explain bool

	// TokenLifetime is that of the OAuth 2.0 access tokens that apps are given. Zero means X's own, 2 h.
	TokenLifetime time.Duration

	// AutoConsent is the username of a user who consents to whatever any app asks for, unasked. For tests only.
	AutoConsent string

	// PrivateWebhooks lets webhooks have http URLs with ports, and lead to loopback and private addresses, which lets who
	// may register one reach what only this machine can. Without it they are https and lead to the public internet alone.
	PrivateWebhooks bool

	// Seed fills an empty store with users, posts and credentials. Nil fills in nothing.
	Seed *seed.Options

	// MaxConnections is how many connections to the API there may be at a time; one more is sent a 503 and closed. There
	// are fewer if the process may not have so many files open. Zero means 10,000.
	MaxConnections int

	// CacheMiB is how much memory may keep what was read from the disk, and which likes there are: an eighth of it tells
	// likes that are new, with a byte for each three that are there. At 512, with 100,000,000 likes, the process
	// was seen to take 1.2 GiB in all. Zero means 512, or 128 in memory.
	CacheMiB int

	// Grace is how long requests under way may take to end once the server was told to stop. Zero means 10 s.
	Grace time.Duration

	// Now is the clock of everything but timers. Nil means time.Now.
	Now func() time.Time

	// Logger gets a line a request. Nil discards.
	Logger *slog.Logger

	disk diskOption
}

// settings is a Config that was checked, with the defaults filled in.
type settings struct {
	Config
	limits       api.Limits
	profile      api.Profile
	privateLikes bool
	trusted      []netip.Prefix
	publicURL    string // in lower case, without a trailing slash
	tls          *tls.Config
}

// Validate reports every mistake that can be seen without touching the disk, joined.
func (c Config) Validate() error {
	_, err := c.check()
	return err
}

func (c Config) check() (settings, error) {
	s := settings{Config: c}
	var errs []error
	mistake := func(name, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: "+format, append([]any{name}, args...)...))
	}
	if s.Listen == "" {
		s.Listen = "127.0.0.1:0"
	}
	if s.AdminListen == "" {
		s.AdminListen = "127.0.0.1:0"
	}
	for _, l := range []struct{ name, addr string }{{"listen", s.Listen}, {"admin-listen", s.AdminListen}} {
		if err := checkAddr(l.addr); err != nil {
			mistake(l.name, "%w", err)
		}
	}
	if _, port, _ := net.SplitHostPort(s.Listen); s.Listen == s.AdminListen && port != "0" {
		mistake("admin-listen", "%s is taken by listen; the operator's side needs an address of its own", s.AdminListen)
	}
	if s.AdminToken != "" && len(s.AdminToken) < 16 {
		mistake("admin-token", "%d characters are too few; give at least 16", len(s.AdminToken))
	}
	if strings.ContainsFunc(s.AdminToken, func(r rune) bool { return r <= ' ' || r > '~' }) {
		mistake("admin-token", "it must be printable ASCII without spaces, to fit into a header")
	}
	switch {
	case s.TLSCert == "" && s.TLSKey != "":
		mistake("tls-cert", "missing; tls-key is given and is of no use alone")
	case s.TLSCert != "" && s.TLSKey == "":
		mistake("tls-key", "missing; tls-cert is given and is of no use alone")
	}
	if s.PublicURL != "" {
		u, err := url.Parse(s.PublicURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.TrimSuffix(u.Path, "/") != "" ||
			u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil {
			mistake("public-url", "%q is not scheme://host[:port] with http or https", s.PublicURL)
		} else {
			s.publicURL = u.Scheme + "://" + strings.ToLower(u.Host)
		}
	}
	for _, text := range s.TrustedProxies {
		prefix, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			mistake("trusted-proxy", "%q is neither an address nor a network such as 10.0.0.0/8", text)
			continue
		}
		s.trusted = append(s.trusted, prefix.Masked())
	}
	var err error
	if s.Profile != "" {
		if s.profile, err = api.ParseProfile(s.Profile); err != nil {
			errs = append(errs, err)
		}
	}
	s.privateLikes = s.profile.PrivateLikes()
	if s.PrivateLikes != nil {
		s.privateLikes = *s.PrivateLikes
	}
	switch s.RateLimits {
	case "":
	case "off":
		s.limits = api.NoLimits()
	default:
		if s.limits, err = api.ParseLimits([]byte(s.RateLimits)); err != nil {
			errs = append(errs, err)
		}
	}
	if s.NoDailyLimits {
		s.limits = s.limits.WithoutDaily()
	}
	if w := s.Seed; w != nil {
		if w.Users < 1 || w.Users > maxSeeded {
			mistake("users", "%d is not from 1 to %d", w.Users, maxSeeded)
		}
		if w.Posts < 0 || w.Posts > maxSeeded {
			mistake("posts", "%d is not from 0 to %d", w.Posts, maxSeeded)
		}
		if w.TokenLifetime < time.Second || w.TokenLifetime > maxLifetime {
			mistake("token-lifetime", "%s is not from 1s to %s", w.TokenLifetime, maxLifetime)
		}
	}
	if s.TokenLifetime != 0 && (s.TokenLifetime < time.Second || s.TokenLifetime > maxLifetime) {
		mistake("token-lifetime", "%s is not from 1s to %s", s.TokenLifetime, maxLifetime)
	}
	if s.MaxConnections < 0 || s.MaxConnections > 1_000_000 {
		mistake("max-connections", "%d is not from 1 to 1000000", s.MaxConnections)
	}
	if s.MaxConnections == 0 {
		s.MaxConnections = 10_000
	}
	if s.CacheMiB < 0 || s.CacheMiB > 1<<20 {
		mistake("cache", "%d MiB are not from 1 to %d", s.CacheMiB, 1<<20)
	}
	if s.Grace < 0 {
		mistake("grace", "%s is negative", s.Grace)
	}
	if s.Grace == 0 {
		s.Grace = 10 * time.Second
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	return s, errors.Join(errs...)
}

const (
	maxSeeded   = 1_000_000
	maxLifetime = 10 * 365 * 24 * time.Hour
)

func checkAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port, as in 127.0.0.1:8080", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q: the port %q is not a number from 0 to 65535", addr, port)
	} else if strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("%q: write the port as %d", addr, n)
	}
	if strings.ContainsAny(host, " /") {
		return fmt.Errorf("%q: %q is not a host", addr, host)
	}
	return nil
}

// Loopback reports whether an address to listen on can be reached from this machine alone.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}

// baseURL says which scheme, host and port a client believes it is talking to, as "scheme://host[:port]": that is what
// it signed. The public URL, where one is set, is the only answer. Otherwise the request itself is believed, which is
// harmless: who can make a client sign another URL has no need to send it here.
//
// A proxy in front changes scheme and host, and says what they were in X-Forwarded-Proto and X-Forwarded-Host. Any client
// can write these headers, so that they count only on a connection that comes straight from a trusted proxy; and since
// a proxy may append to what its client sent, only the last word of each counts.
func (s *settings) baseURL(peer string, isTLS bool, host string, forwardedProto, forwardedHost []string) string {
	if s.publicURL != "" {
		return s.publicURL
	}
	scheme := "http"
	if isTLS {
		scheme = "https"
	}
	if len(s.trusted) > 0 && s.trusts(peer) {
		if proto := strings.ToLower(lastWord(forwardedProto)); proto == "http" || proto == "https" {
			scheme = proto
		}
		if h := lastWord(forwardedHost); h != "" {
			host = h
		}
	}
	return scheme + "://" + strings.ToLower(host)
}

func (s *settings) trusts(peer string) bool {
	ap, err := netip.ParseAddrPort(peer)
	if err != nil {
		return false
	}
	ip := ap.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(s.trusted, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// clientAddress says which address a request came from. Proxies append to X-Forwarded-For what they see, so that on a
// connection from a trusted proxy the last address in it that is no trusted proxy itself is the client's.
func (s *settings) clientAddress(r *http.Request) string {
	peer := r.RemoteAddr
	if s.trusts(peer) {
		list := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
		for _, word := range slices.Backward(list) {
			addr, err := netip.ParseAddr(strings.TrimSpace(word))
			if err != nil {
				break
			}
			peer = netip.AddrPortFrom(addr, 0).String()
			if !s.trusts(peer) {
				break
			}
		}
	}
	if ap, err := netip.ParseAddrPort(peer); err == nil {
		return ap.Addr().Unmap().WithZone("").String()
	}
	return peer
}

// lastWord returns the last element of a comma-separated list in one or more headers (RFC 9110, 5.3).
func lastWord(headers []string) string {
	if len(headers) == 0 {
		return ""
	}
	last := headers[len(headers)-1]
	return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
}
