// Package server opens the store, listens, serves and stops, in a fixed order. Fill in a [Config], call [New], then
// [Server.Run].
package server

import (
	"cmp"
	"context"
	cryptorand "crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"liked"
	"liked/internal/admin"
	"liked/internal/api"
	"liked/internal/console"
	"liked/internal/fastpath"
	"liked/internal/faults"
	"liked/internal/journal"
	"liked/internal/seed"
	"liked/internal/store"
	"liked/internal/web"
	"liked/internal/webhook"
)

// Server is a running server: the API on one listener, the operator's side on another.
type Server struct {
	settings
	observer     *observer
	files        fileBudget
	apiL, adminL *limitListener
	seal         [32]byte          // key of the store's secrets
	credentials  *seed.Credentials // of the seed data; nil without
	world        atomic.Pointer[world]
	moments      moments
	leavings     sync.WaitGroup   // of worlds that were replaced
	broken       chan error       // gets why there is no world any more
	faults       *faults.Rules    // nil but in a development server
	journal      *journal.Journal // nil: none is kept
	console      *console.Console // nil but in a development server
	api, admin   *http.Server
	fast         *fastpath.Listener // of api
	ready        atomic.Bool
	answers      chan struct{} // closed once Run answers
	proof        string        // key of access.Proof
	live         atomic.Pointer[reloadable]
}

// New checks the configuration, reporting all mistakes together, listens and opens the store. Connections wait until
// Run, which must be called to release everything.
func New(c Config) (*Server, error) {
	checked, err := c.check()
	if err != nil {
		return nil, err
	}
	s := &Server{settings: checked, answers: make(chan struct{}), broken: make(chan error, 1), proof: cryptorand.Text(),
		observer: newObserver(checked.Logger, prometheus.NewRegistry(), checked.clientAddress),
		journal:  journal.New(checked.Journal, checked.Now)}
	if s.Dev {
		s.faults = s.newFaults()
	}
	for _, step := range []func() error{
		s.listen,
		s.open,
		s.rememberStart,
		s.makeFront,
	} {
		if err := step(); err != nil {
			s.release()
			return nil, err
		}
	}
	s.makeAdmin()
	return s, nil
}

func (s *Server) release() {
	for _, l := range []*limitListener{s.apiL, s.adminL} {
		if l != nil {
			_ = l.Close()
		}
	}
	if w := s.current(); w != nil {
		_ = w.store.Close()
	}
}

func (s *Server) listen() (err error) {
	first := &reloadable{adminToken: s.AdminToken, rateLimits: s.RateLimits, limits: s.limits}
	if first.certificate, err = s.certificate(); err != nil {
		return err
	}
	s.live.Store(first)
	if first.certificate != nil {
		s.tls = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.live.Load().certificate, nil
		}}
	}
	limit := openFiles()
	if s.files, err = newFileBudget(limit, s.MaxConnections); err != nil {
		return err
	}
	advice := "raise --max-connections"
	if s.files.connections < s.MaxConnections {
		advice = fmt.Sprintf("raise the limit of open files, which is %d (ulimit -n, or LimitNOFILE= in a systemd unit)", limit)
		s.Logger.Warn("there will be fewer connections than wanted",
			"connections", s.files.connections, "wanted", s.MaxConnections, "advice", advice)
	}
	if s.apiL, err = s.listenAt("listen", s.Listen, s.files.connections, advice); err != nil {
		return err
	}
	s.adminL, err = s.listenAt("admin-listen", s.AdminListen, s.files.admin, "look for what keeps connections to the operator's side open")
	if err == nil && !Loopback(s.adminL.Addr().String()) {
		s.Logger.Warn("the operator's side listens beyond this machine: its token crosses the network in the clear",
			"address", s.adminL.Addr().String())
	}
	return err
}

// open opens the store, and makes the world that the server begins with.
func (s *Server) open() (err error) {
	e := engine{files: s.files.store, cacheMiB: s.CacheMiB, logger: s.Logger, disk: s.disk, clock: s.clock}
	var st store.Store
	switch {
	case s.begins != nil:
		st, s.seal, s.credentials = s.begins.store, s.begins.seal, s.located(*s.begins.credentials)
		s.clock.Restore(s.begins.clock)
	case s.Postgres != "":
		st, s.seal, err = openDatabase(database{dsn: s.Postgres, migrate: s.Migrate, logger: s.Logger}, s.SealKey)
	case s.Data != "":
		st, s.seal, err = openData(s.Data, e)
	default:
		_, _ = cryptorand.Read(s.seal[:]) // never fails
		st, err = e.open()
	}
	if st != nil { // maybe in spite of an error
		s.world.Store(&world{store: st}) // until there is more of it
	}
	if err != nil {
		return err
	}
	known, err := st.KnownSeed(context.Background())
	if known && !s.KnownSeed && s.begins == nil {
		in := ""
		if s.Data != "" {
			in = " in " + s.Data
		}
		return fmt.Errorf("the store%s holds secrets that a known seed made, so that everybody can have them: "+
			"export it and import it into a new one, which has random ones, or allow them with --known-seed", in)
	}
	if err != nil {
		return err
	}
	w, err := s.makeWorld(st)
	if err != nil {
		return err
	}
	s.world.Store(w)
	s.observer.watchStore(st, func() store.Store { return s.current().store })
	s.observer.watchHooks(func() *webhook.Hooks { return s.current().hooks })
	s.observer.gauge("liked_streams_open", "Likes streams that have a reader.", nil,
		func() float64 { return float64(s.current().x.OpenStreams()) })
	return nil
}

// loadSeed seeds the first world; others of the server have what that had.
func (s *Server) loadSeed(w *world) error {
	ctx := context.Background()
	if s.Seed != nil && s.credentials == nil {
		file := ""
		if dir := s.ownDir(); dir != "" {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
			file = filepath.Join(dir, credentialsFile)
		}
		found, err := seed.Load(ctx, w.store, w.auth, *s.Seed, s.Now(), file)
		if err == nil {
			s.credentials = s.located(found)
			if file != "" {
				err = WriteSecret(file, *s.credentials)
			}
		}
		if err != nil {
			return fmt.Errorf("seed data: %w", err)
		}
	}
	if s.AutoConsent != "" {
		if _, err := w.store.UserByUsername(ctx, s.AutoConsent); err != nil {
			return fmt.Errorf("auto-consent: %w", err)
		}
		if s.Exposed() {
			s.Logger.Warn("everybody who can reach the server gets tokens of a user without a password", "auto_consent", s.AutoConsent)
		}
	}
	return nil
}

// located returns the credentials with where this server is.
func (s *Server) located(k seed.Credentials) *seed.Credentials {
	k.URL, k.AdminURL, k.AdminToken = cmp.Or(s.publicURL, s.URL()), s.AdminURL(), s.AdminToken
	return &k
}

func (s *Server) makeFront() error {
	guarded := func(h http.Handler) http.Handler {
		h = s.bounded(s.inTurn(h))
		if s.CheckHost && Loopback(s.apiL.Addr().String()) || len(s.AllowHosts) > 0 {
			h = checkHost(h, s.knownHosts(), "Start it with --allow-host %s if it is.", s.observer.observe)
		}
		return h
	}
	h := s.journal.Handler(guarded(s.handler()))
	if s.Dev {
		var err error
		if s.console, err = console.New(s.consoleOptions(h)); err != nil {
			return err
		}
		h = withConsole(s.console, guarded, h)
	}
	s.api = s.httpServer(h)
	s.api.ConnContext = api.ConnContext
	if s.api.TLSConfig = s.tls; s.tls != nil { // without there is no HTTP/2
		s.api.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			return withTurns(api.ConnContext(ctx, c))
		}
	}
	s.api.RegisterOnShutdown(func() { s.current().x.EndStreams() })
	if s.tls == nil { // a client that expects TLS cannot read it
		s.apiL.rejection = s.current().x.NoRoom()
	}
	s.api.RegisterOnShutdown(s.journal.End)
	s.fast = fastpath.New(s.api, s.apiL, api.AnswersAtOnce)
	return nil
}

// Ready returns a channel that is closed once Run answers requests.
func (s *Server) Ready() <-chan struct{} { return s.answers }

// Credentials returns those of the seed data, as of the start. There must be seed data.
func (s *Server) Credentials() seed.Credentials { return *s.credentials }

func (s *Server) listenAt(name, addr string, connections int, advice string) (*limitListener, error) {
	config := net.ListenConfig{Control: endVanished(s.vanished),
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: s.vanished / 2, Interval: s.vanished / 6, Count: 3}}
	l, err := listenTCP(config, addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: %s is in use: stop what listens there, or choose another address (port 0 picks a free one)", name, addr)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s: %s may not be listened on: ports below 1024 need a privilege; choose a higher one", name, addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s: %s is not an address of this machine", name, addr)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &limitListener{tcpListener: l, max: connections, maxRejecting: s.files.rejected, rejectTime: s.rejecting,
		conns: make(map[*limitedConn]struct{}), advice: advice, logger: s.Logger, rejected: s.observer.refused.WithLabelValues(name)}, nil
}

// bounded counts requests under way and refuses more of them than there may be connections, of which one in HTTP/2 has many.
func (s *Server) bounded(next http.Handler) http.Handler {
	most, n := int64(s.files.connections), &s.observer.inFlight
	tooMany := liked.Errorf(liked.Overloaded, "%d requests are under way already", most)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer n.Add(-1)
		if n.Add(1) > most {
			s.current().x.Refuse(w, r, tooMany)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           closeInDoubt(h),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      35 * time.Second, // longer than ReadTimeout, so that a late body gets its 408
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ConnState:         track,
		// A connection holds little of what its client sends or does not read; bodies have 64 KiB at most.
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 32, MaxReadFrameSize: 16 << 10, MaxReceiveBufferPerStream: 16 << 10,
			MaxReceiveBufferPerConnection: 64 << 10},
		ErrorLog: slog.NewLogLogger(s.Logger.Handler(), slog.LevelWarn),
		// "OPTIONS *" is a request like any other; net/http would answer 200.
		DisableGeneralOptionsHandler: true,
	}
}

// closeInDoubt ends the connection after a request whose end a proxy may see elsewhere, since it would take what follows
// for another request (RFC 9112, 6.1). Of a chunked one net/http drops the Content-Length, and of one in HTTP/1.0 the
// Transfer-Encoding, if any.
func closeInDoubt(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// makeAdmin makes the operator's side. Only probes and metrics need no token.
func (s *Server) makeAdmin() {
	mux := http.NewServeMux()
	alive := s.readable
	if s.Postgres != "" { // a restart mends no database
		alive = func(context.Context) error { return nil }
	}
	mux.HandleFunc("GET /livez", s.probe(nil, alive))
	mux.HandleFunc("GET /readyz", s.probe(errors.New("stopping"), s.readable))
	access, token := s.access(""), func() string { return s.live.Load().adminToken }
	mux.HandleFunc("GET /proof", func(w http.ResponseWriter, r *http.Request) {
		web.Send(w, http.StatusOK, "text/plain; charset=utf-8", []byte(access.prove(s.Data, r.URL.Query().Get("of"))))
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.observer.registry, promhttp.HandlerOpts{}))
	mux.Handle("GET /debug/pprof/", admin.Guard(token, profiles()))
	operator := admin.Guard(token, s.operator())
	h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/admin/") { // which a mux would answer itself, had the path an empty segment
			operator.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	if Loopback(s.adminL.Addr().String()) {
		h = checkHost(h, func(string) bool { return false }, "Call its operator's side by an address or as localhost, not as %s.", nil)
	}
	s.admin = s.httpServer(h)
	s.admin.RegisterOnShutdown(s.journal.End)
}

// probe answers what check says; a server that is not ready answers with notServing. Both probes ask whether the store can
// be read: once its own disk has failed, only a restart helps.
func (s *Server) probe(notServing error, check func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := notServing
		if s.ready.Load() {
			err = check(r.Context())
		}
		status, text := http.StatusOK, "ok"
		if err != nil {
			status, text = http.StatusServiceUnavailable, err.Error()
		}
		w.Header().Set("Cache-Control", "no-store")
		web.Send(w, status, "text/plain; charset=utf-8", []byte(text+"\n"))
	}
}

// probePatience bounds the store's answer to a probe; probers wait about as long.
const probePatience = 3 * time.Second

func (s *Server) readable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	_, err := s.current().store.User(ctx, 1)
	switch {
	case err == nil || liked.KindOf(err) == liked.NotFound:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		what := "disk"
		if s.Postgres != "" {
			what = "database"
		}
		return fmt.Errorf("store: the %s has not answered for %s", what, probePatience)
	}
	return fmt.Errorf("store: %w", err)
}

// URL is where the API listens, as "scheme://host:port".
func (s *Server) URL() string {
	scheme := "http://"
	if s.tls != nil {
		scheme = "https://"
	}
	return scheme + reachable(s.apiL.Addr())
}

// AdminURL is where the operator's side listens.
func (s *Server) AdminURL() string { return "http://" + reachable(s.adminL.Addr()) }

func (s *Server) access(token string) access {
	return access{s.AdminURL(), token, os.Getpid(), s.proof}
}

// reachable returns the address with a host that this machine can connect to.
func reachable(a net.Addr) string {
	tcp := *a.(*net.TCPAddr)
	if tcp.IP.IsUnspecified() {
		tcp.IP = net.IPv4(127, 0, 0, 1)
	}
	return tcp.String()
}

// Run serves until ctx ends. Then it says so on /readyz, stops accepting, ends the streams, gives other requests the
// grace time, and closes the store. It returns nil after such a stop, even if requests were cut.
func (s *Server) Run(ctx context.Context) error {
	if dir := s.ownDir(); dir != "" {
		err := os.MkdirAll(dir, 0o700)
		if err == nil {
			err = WriteSecret(filepath.Join(dir, adminFile), s.access(s.AdminToken))
		}
		if err != nil {
			s.release()
			return err
		}
	}
	failed := make(chan error, 2)
	var serving sync.WaitGroup
	serving.Go(func() { failed <- s.api.Serve(s.fast) })
	serving.Go(func() { failed <- s.admin.Serve(s.adminL) })
	working, stopWork := context.WithCancel(ctx)
	defer stopWork()
	s.begin(s.current())
	serving.Go(func() { s.apiL.endIdle(working, s.tick) })
	serving.Go(func() { s.adminL.endIdle(working, s.tick) })
	s.ready.Store(true)
	close(s.answers)
	s.Logger.Info("listening", "url", s.URL(), "admin_url", s.AdminURL(), "data", s.Data)

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	case err = <-s.broken:
	}
	s.moments.mu.Lock() // the world stays the last one
	s.ready.Store(false)
	s.moments.mu.Unlock()
	s.Logger.Info("stopping", "grace", s.Grace)
	stopWork()
	s.current().stopWork()
	s.drain(s.api, s.fast, s.Grace)
	s.drain(s.admin, nil, time.Second)
	serving.Wait()
	s.apiL.rejections.Wait()
	s.adminL.rejections.Wait()
	s.leavings.Wait()
	err = errors.Join(err, s.current().end(), s.forget())
	if dir := s.ownDir(); dir != "" {
		if rmErr := os.Remove(filepath.Join(dir, adminFile)); !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
	}
	s.Logger.Info("stopped")
	return err
}

// drain stops accepting, and cuts requests after the grace time.
func (s *Server) drain(h *http.Server, fast *fastpath.Listener, grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := h.Shutdown(ctx)
	if fast != nil {
		err = errors.Join(err, fast.Wait(ctx))
	}
	if err != nil {
		s.Logger.Warn("requests under way did not end in time and were cut", "grace", grace)
		_ = h.Close()
	}
}
