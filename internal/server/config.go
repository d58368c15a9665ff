package server

import (
	"cmp"
	"context"
	"crypto/rand"
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

	"liked"
	"liked/internal/api"
	"liked/internal/auth"
	"liked/internal/clock"
	"liked/internal/seed"
)

// Config configures a server. The zero value is a server in memory on free loopback ports.
type Config struct {
	// Data is the directory that holds everything; it is created if missing. Empty keeps everything in memory.
	Data string

	// Postgres is the connection string of a PostgreSQL database that holds everything, instead of Data, for any number of
	// servers. Without a password in it, that of the password file or PGPASSWORD is taken.
	Postgres string

	// SealKey is the file with the key of the secrets in the database, the same for all its servers. It is made if it is
	// missing and the database has none yet.
	SealKey string

	// Migrate raises the schema of an earlier release.
	Migrate bool

	// State is a directory for admin.json, created if missing, where there is no Data. Empty writes none.
	State string

	// Listen is the API's address, "host:port"; port 0 picks a free one, and localhost is 127.0.0.1 and ::1. Empty means
	// "127.0.0.1:0".
	Listen string

	// AdminListen is the address of the operator's side, in plain HTTP: probes, metrics, profiles and /admin/. Empty means
	// "127.0.0.1:0".
	AdminListen string

	// AdminToken protects /admin/ and /debug/pprof/; at least 16 characters. Empty picks a random one.
	AdminToken string

	// TLSCert and TLSKey are PEM files for HTTPS on the API, HTTP/2 included. Both or neither.
	TLSCert, TLSKey string

	// PublicURL is the API's URL, scheme://host[:port], as OAuth 1.0a clients sign it. Empty believes each request.
	PublicURL string

	// TrustedProxies are addresses ("10.0.0.1") and networks ("10.0.0.0/8") whose X-Forwarded-* headers are believed.
	TrustedProxies []string

	// CheckHost, where the API listens on loopback, has it answer only for addresses, localhost, X's hosts, that of PublicURL
	// and AllowHosts. So it does wherever there are AllowHosts.
	CheckHost  bool
	AllowHosts []string

	// Profile is the year of X's API to answer as, "2024" or "2026". Empty means "2024".
	Profile string

	// PrivateLikes shows a post's likers only to its author, and a user's liked posts only to that user, as X has done
	// since June 2024. Nil follows the profile: private in 2026, not in 2024.
	PrivateLikes *bool

	// RateLimits is empty for X's own, "off" for none, or JSON with exceptions:
	// {"usersIdLike":{"user_15m":5,"user_24h":0}}, where 0 removes a limit.
	RateLimits string

	// NoDailyLimits removes the limits per 24 hours.
	NoDailyLimits bool

	// NoHomePage leaves / to X's own 404; a browser is told, as at any other path, that there is no page.
	NoHomePage bool

	// TokenLifetime is that of OAuth 2.0 access tokens issued to apps. Zero means X's own, 2 h.
	TokenLifetime time.Duration

	// AutoConsent is the username of a user who consents to all that apps request, without being asked. For tests only.
	AutoConsent string

	// PrivateWebhooks allows webhooks with http URLs and ports, and addresses that only this machine can reach. Without
	// it they are https and lead only to the public internet.
	PrivateWebhooks bool

	// Seed fills an empty store with users, posts and credentials. Nil adds nothing.
	Seed *seed.Options

	// Journal is how many exchanges are kept to be looked at, journal.DefaultMax for a development server. Zero keeps none.
	Journal int

	// KnownSeed allows secrets from a seed other than zero, which everybody can know, where others can reach the server or
	// they are kept.
	KnownSeed bool

	// MaxConnections bounds the connections to the API; one more gets a 503 and is closed. The limit of open files may
	// allow fewer. Zero means 10,000.
	MaxConnections int

	// CacheMiB is the memory for data read from disk; an eighth is a filter that recognizes new likes, a byte per three
	// likes. At 512, with 100,000,000 likes, the process was seen to take 1.2 GiB. Zero means 512, or 128 in memory.
	CacheMiB int

	// Grace bounds how long requests under way may take once the server is told to stop. Zero means 10 s.
	Grace time.Duration

	// Dev is for development: clients are told why they were refused, in a header and on pages, and the operator's side can move
	// the clock, and what else admin.Dev offers. Without it the server
	// has none of that.
	Dev bool

	// AllowReset lets a development server take back all that happened in Data since it started.
	AllowReset bool

	// Now is the clock of everything but timers. Nil means time.Now. With Dev it is the real one, until it is moved.
	Now func() time.Time

	// Logger gets one line per request. Nil discards.
	Logger *slog.Logger

	disk      diskOption
	begins    *inherited    // what a fork begins with; nil: as Data or Postgres say
	vanished  time.Duration // how long a client may be silent on the network; 0: 30 s
	rejecting time.Duration // how long a client may take to read a rejection; 0: 1 s
	tick      time.Duration // by which idle connections are counted; 0: 1 s
}

// settings is a checked Config with defaults filled in.
type settings struct {
	Config
	limits       api.Limits
	profile      api.Profile
	privateLikes bool
	trusted      []netip.Prefix
	publicURL    string // in lower case, without a trailing slash
	tls          *tls.Config
	clock        *clock.Clock                         // what Now reads; nil: it cannot be moved
	sleep        func(context.Context, time.Duration) // by Now, if that can be moved
}

// Validate reports, joined, every mistake that can be seen without touching the disk.
func (c Config) Validate() error {
	_, err := c.check()
	return err
}

const (
	maxSeeded   = 1_000_000
	maxJournal  = 100_000 // exchanges; their memory is bounded in any case
	maxLifetime = 10 * 365 * 24 * time.Hour
)

func (c Config) check() (settings, error) {
	s := settings{Config: c}
	s.Listen = cmp.Or(s.Listen, "127.0.0.1:0")
	s.AdminListen = cmp.Or(s.AdminListen, "127.0.0.1:0")
	s.AdminToken = cmp.Or(s.AdminToken, rand.Text())
	s.TokenLifetime = cmp.Or(s.TokenLifetime, auth.DefaultLifetime)
	s.MaxConnections = cmp.Or(s.MaxConnections, 10_000)
	s.Grace = cmp.Or(s.Grace, 10*time.Second)
	s.vanished = cmp.Or(s.vanished, 30*time.Second)
	s.rejecting = cmp.Or(s.rejecting, rejectTime)
	s.tick = cmp.Or(s.tick, time.Second)
	s.Logger = cmp.Or(s.Logger, slog.New(slog.DiscardHandler))
	if s.Now == nil {
		s.Now = time.Now
	}
	s.sleep = clock.Sleep
	if s.Dev {
		s.clock = clock.New(s.Now)
		s.Now, s.sleep = s.clock.Now, s.clock.Sleep
	}

	var errs []error
	refuse := func(mistaken bool, name, format string, args ...any) {
		if mistaken {
			errs = append(errs, fmt.Errorf(name+": "+format, args...))
		}
	}
	within := func(name string, n, least, most int) {
		refuse(n < least || n > most, name, "%d is not from %d to %d", n, least, most)
	}
	lifetime := func(d time.Duration) {
		refuse(d < time.Second || d > maxLifetime, "token-lifetime", "%s is not from 1s to %s", d, maxLifetime)
	}
	refuse(s.Postgres != "" && s.Data != "", "postgres", "give either this or data")
	refuse(s.Postgres != "" && s.SealKey == "", "seal-key", "missing; name the file with the key of the secrets in the database, "+
		"which is made for an empty one, and the same for all its servers")
	refuse(s.Postgres != "" && s.CacheMiB != 0, "cache", "a database has its own")
	for flag, given := range map[string]bool{"seal-key": s.SealKey != "", "migrate": s.Migrate, "state": s.State != ""} {
		refuse(s.Postgres == "" && given, flag, "it belongs to postgres, which is missing")
	}
	err := checkAddr(s.Listen)
	refuse(err != nil, "listen", "%w", err)
	err = checkAddr(s.AdminListen)
	refuse(err != nil, "admin-listen", "%w", err)
	refuse(s.Listen == s.AdminListen && !strings.HasSuffix(s.Listen, ":0"), "admin-listen",
		"%s is taken by listen; the operator's side needs an address of its own", s.AdminListen)
	refuse(len(s.AdminToken) < 16, "admin-token", "%d characters are too few; give at least 16", len(s.AdminToken))
	refuse(strings.ContainsFunc(s.AdminToken, func(r rune) bool { return r <= ' ' || r > '~' }), "admin-token",
		"it must be printable ASCII without spaces, to fit into a header")
	refuse(s.TLSCert == "" && s.TLSKey != "", "tls-cert", "missing; tls-key is given and is of no use alone")
	refuse(s.TLSCert != "" && s.TLSKey == "", "tls-key", "missing; tls-cert is given and is of no use alone")
	within("journal", s.Journal, 0, maxJournal)
	refuse(s.Journal != 0 && !s.Dev, "journal", "it is of development servers alone")
	if s.PublicURL != "" {
		u, err := url.Parse(s.PublicURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.TrimSuffix(u.Path, "/") != "" ||
			u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil {
			refuse(true, "public-url", "%q is not scheme://host[:port] with http or https", s.PublicURL)
		} else {
			s.publicURL = u.Scheme + "://" + strings.ToLower(u.Host)
		}
	}
	for _, name := range s.AllowHosts {
		refuse(name == "" || strings.ContainsAny(name, "/:*@ "), "allow-host", "%q is not the name of a host, as in likes.test", name)
	}
	for _, text := range s.TrustedProxies {
		prefix, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		refuse(err != nil, "trusted-proxy", "%q is neither an address nor a network such as 10.0.0.0/8", text)
		s.trusted = append(s.trusted, prefix.Masked())
	}
	if s.Profile != "" {
		s.profile, err = api.ParseProfile(s.Profile)
		errs = append(errs, err)
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
		s.limits, err = api.ParseLimits([]byte(s.RateLimits))
		errs = append(errs, err)
	}
	if s.NoDailyLimits {
		s.limits = s.limits.WithoutDaily()
	}
	if s.Seed != nil {
		within("users", s.Seed.Users, 1, maxSeeded)
		err := auth.CheckApp(liked.App{Name: "demo", RedirectURIs: s.Seed.Callbacks()}, s.Dev)
		refuse(err != nil, "redirect-uri", "%w", err)
		within("posts", s.Seed.Posts, 0, maxSeeded)
		lifetime(s.Seed.TokenLifetime)
		refuse(s.Seed.Seed != 0 && !s.KnownSeed && (s.kept() || s.Exposed()), "seed",
			"everybody can make the secrets of a seed, and here they are kept, or others can reach the server: "+
				"leave the seed out for random ones, or allow it with --known-seed")
	}
	lifetime(s.TokenLifetime)
	within("max-connections", s.MaxConnections, 1, 1_000_000)
	refuse(s.CacheMiB < 0 || s.CacheMiB > 1<<20, "cache", "%d MiB are not from 1 to %d", s.CacheMiB, 1<<20)
	refuse(s.Grace < 0, "grace", "%s is negative", s.Grace)
	return s, errors.Join(errs...)
}

func checkAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port, as in 127.0.0.1:8180", addr)
	}
	switch n, err := strconv.ParseUint(port, 10, 16); {
	case err != nil:
		return fmt.Errorf("%q: the port %q is not a number from 0 to 65535", addr, port)
	case strconv.FormatUint(n, 10) != port:
		return fmt.Errorf("%q: write the port as %d", addr, n)
	case strings.ContainsAny(host, " /"):
		return fmt.Errorf("%q: %q is not a host", addr, host)
	}
	return nil
}

// kept reports whether anything outlives the server.
func (c Config) kept() bool { return c.Data != "" || c.Postgres != "" }

// ownDir is the directory for what this server tells others of itself, "" for none.
func (c Config) ownDir() string { return cmp.Or(c.Data, c.State) }

// Exposed reports whether more than this machine may reach the API.
func (c Config) Exposed() bool {
	return c.Listen != "" && !Loopback(c.Listen) || c.PublicURL != "" || len(c.TrustedProxies) > 0
}

// Loopback reports whether a listen address can be reached from this machine only.
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

// baseURL returns the scheme://host[:port] that the client used and signed. Without a public URL the request is
// believed. That is harmless: an attacker who can make a client sign another URL has no need to send it here.
//
// A proxy changes scheme and host, and puts the originals into X-Forwarded-Proto and X-Forwarded-Host. They count only
// from a trusted proxy, which may append to what its client sent, so only the last element of each counts.
func (s *settings) baseURL(r *http.Request) string {
	if s.publicURL != "" {
		return s.publicURL
	}
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if s.trusts(peer(r)) {
		if proto := strings.ToLower(lastWord(r.Header["X-Forwarded-Proto"])); proto == "http" || proto == "https" {
			scheme = proto
		}
		host = cmp.Or(lastWord(r.Header["X-Forwarded-Host"]), host)
	}
	return scheme + "://" + strings.ToLower(host)
}

// pageURL is baseURL for pages and cookies. In development X's own hosts are captured, and called over TLS, which may have ended
// before this server.
func (s *settings) pageURL(r *http.Request) string {
	base := s.baseURL(r)
	if host, ok := strings.CutPrefix(base, "http://"); ok && s.Dev && below(hostname(host), "x.com", "twitter.com") {
		return "https://" + host
	}
	return base
}

// peer returns the IP address of the connection's other end, without a zone.
func peer(r *http.Request) string {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	host, _, _ = strings.Cut(host, "%")
	return host
}

func (s *settings) trusts(address string) bool {
	if len(s.trusted) == 0 {
		return false
	}
	ip, _ := netip.ParseAddr(address) // the zero address is in no network
	return slices.ContainsFunc(s.trusted, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// clientAddress returns the client's IP address. Proxies append to X-Forwarded-For: from a trusted proxy, it is the last
// address that is no trusted proxy.
func (s *settings) clientAddress(r *http.Request) string {
	client, list := peer(r), strings.Join(r.Header["X-Forwarded-For"], ",")
	for s.trusts(client) {
		i := strings.LastIndexByte(list, ',')
		ip, err := netip.ParseAddr(strings.TrimSpace(list[i+1:]))
		if err != nil {
			break
		}
		client, list = ip.Unmap().WithZone("").String(), list[:max(i, 0)]
	}
	return client
}

// lastWord returns the last element of a comma-separated list in one or more headers (RFC 9110, 5.3).
func lastWord(headers []string) string {
	list := strings.Join(headers, ",")
	return strings.TrimSpace(list[strings.LastIndexByte(list, ',')+1:])
}
