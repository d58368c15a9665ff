// Package server puts the parts together: it opens the store, listens, serves and stops, in a written order. Fill in a
// [Config], call [New], then [Server.Run].
package server

import (
	"cmp"
	"context"
	"crypto/hkdf"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"liked"
	"liked/internal/admin"
	"liked/internal/api"
	"liked/internal/auth"
	"liked/internal/explorer"
	"liked/internal/fastpath"
	"liked/internal/home"
	"liked/internal/likelog"
	"liked/internal/oauth"
	"liked/internal/portal"
	"liked/internal/seed"
	"liked/internal/store"
	"liked/internal/web"
	"liked/internal/webhook"
)

// Server is one running server: the API on one listener, the operator's side on another.
type Server struct {
	settings
	files       fileBudget
	store       store.Store
	auth        *auth.Auth
	home        *home.Home
	hooks       *webhook.Hooks
	api, admin  *http.Server
	apiL        *limitListener
	fast        *fastpath.Listener // of api
	adminL      *limitListener
	credentials *seed.Credentials // of the seed data; nil without any
	ready       atomic.Bool
}

// New checks the configuration, reporting all mistakes together, opens the store and listens. Connections wait until
// Run, which must be called to let go of everything.
func New(c Config) (_ *Server, err error) {
	checked, err := c.check()
	if err != nil {
		return nil, err
	}
	s := &Server{settings: checked}
	if s.AdminToken == "" {
		s.AdminToken = cryptorand.Text()
	}
	if s.TLSCert != "" {
		cert, err := tls.LoadX509KeyPair(s.TLSCert, s.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("tls-cert, tls-key: %w", err)
		}
		s.tls = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	registry := prometheus.NewRegistry()
	observer := newObserver(s.Logger, registry)
	limit := openFiles()
	if s.files, err = newFileBudget(limit, s.MaxConnections); err != nil {
		return nil, err
	}
	advice := "raise --max-connections"
	if s.files.connections < s.MaxConnections {
		advice = fmt.Sprintf("raise the limit of open files, which is %d (ulimit -n, or LimitNOFILE= in a systemd unit)", limit)
		s.Logger.Warn("there will be fewer connections than wanted",
			"connections", s.files.connections, "wanted", s.MaxConnections, "advice", advice)
	}
	if s.apiL, err = s.listen("listen", s.Listen, s.files.connections, advice, observer); err != nil {
		return nil, err
	}
	if s.adminL, err = s.listen("admin-listen", s.AdminListen, s.files.admin,
		"look for what keeps connections to the operator's side open", observer); err != nil {
		return nil, err
	}
	if !Loopback(s.adminL.Addr().String()) {
		s.Logger.Warn("the operator's side listens beyond this machine: its token crosses the network in the clear",
			"address", s.adminL.Addr().String())
	}
	seal, err := s.open()
	if err != nil {
		return nil, err
	}
	if s.auth, err = auth.New(s.authOptions(seal)); err != nil {
		return nil, err
	}
	if s.Seed != nil {
		if err := s.seed(context.Background()); err != nil {
			return nil, fmt.Errorf("seed data: %w", err)
		}
	}
	if s.AutoConsent != "" {
		if _, err := s.store.UserByUsername(context.Background(), s.AutoConsent); err != nil {
			return nil, fmt.Errorf("auto-consent: %w", err)
		}
	}
	pageKey, err := hkdf.Key(sha256.New, seal[:], nil, "liked pagination tokens", 32)
	if err != nil {
		return nil, err
	}
	log := likelog.New(s.store)
	s.hooks, err = webhook.New(webhook.Options{
		Store: s.store, Log: log, Secret: s.auth.APISecret, Render: api.Activity(s.store, s.profile, s.privateLikes),
		Now: s.Now, Logger: s.Logger, Anywhere: s.PrivateWebhooks, Count: observer.hook,
	})
	if err != nil {
		return nil, fmt.Errorf("load webhooks: %w", err)
	}
	observeHooks(registry, s.hooks)
	observeStore(registry, s.store)
	x, err := api.New(api.Options{
		Store: countedStore{s.store, observer}, Hooks: s.hooks, Log: log, Auth: s.auth, Limits: s.limits,
		PageKey: [32]byte(pageKey), PrivateLikes: s.privateLikes, Profile: s.profile, Now: s.Now,
		Explain: s.Explain, Observe: observer.observe,
	})
	if err != nil {
		return nil, err
	}
	if s.home, err = home.New(s.homeOptions(x, observer)); err != nil {
		return nil, err
	}
	sessions, err := oauth.New(oauth.Options{Auth: s.auth, Store: s.store, BaseURL: s.requestURL, Now: s.Now,
		Address: s.clientAddress, Lifetime: s.TokenLifetime, PublicURL: s.publicURL, Explain: s.Explain, AutoConsent: s.AutoConsent,
		Observe: observer.observe})
	if err != nil {
		return nil, err
	}
	developers, err := portal.New(portal.Options{Sessions: sessions, Auth: s.auth, Store: s.store, Hooks: s.hooks})
	if err != nil {
		return nil, err
	}
	start, err := s.explorerStart(context.Background())
	if err != nil {
		return nil, fmt.Errorf("API explorer: %w", err)
	}
	if s.tls == nil { // a client that expects TLS cannot read it
		s.apiL.rejection = x.NoRoom()
	}
	s.api = s.httpServer(observer.counting(newFront(x, sessions, developers, explorer.New(sessions, start), s.home)))
	s.api.ConnContext = api.ConnContext
	s.api.TLSConfig = s.tls
	s.fast = fastpath.New(s.api, s.apiL, api.AnswersAtOnce)
	s.api.RegisterOnShutdown(x.EndStreams)
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "liked_streams_open", Help: "Likes streams that somebody reads."}, func() float64 { return float64(x.OpenStreams()) }))
	key, err := keyName(seal)
	if err != nil {
		return nil, err
	}
	s.admin = s.httpServer(s.adminHandler(registry, key))
	return s, nil
}

// release lets go of what New took before it failed.
func (s *Server) release() {
	for _, l := range []*limitListener{s.apiL, s.adminL} {
		if l != nil {
			_ = l.Close()
		}
	}
	if s.store != nil {
		_ = s.store.Close()
	}
}

// open opens the store and returns the key that seals secrets in it.
func (s *Server) open() (seal [32]byte, err error) {
	e := engine{files: s.files.store, cacheMiB: s.CacheMiB, logger: s.Logger, disk: s.disk}
	if s.Data == "" {
		_, _ = cryptorand.Read(seal[:]) // never fails
		s.store, err = e.open()
		return seal, err
	}
	s.store, seal, err = openData(s.Data, e)
	return seal, err
}

// Credentials returns those of the seed data, as they were when the server started. There must be some: see Config.Seed.
func (s *Server) Credentials() seed.Credentials { return *s.credentials }

// seed fills the store, or finds what its data directory was seeded with before.
func (s *Server) seed(ctx context.Context) error {
	file := ""
	if s.Data != "" {
		file = filepath.Join(s.Data, credentialsFile)
	}
	found, err := seed.Load(ctx, s.store, s.auth, *s.Seed, s.Now(), file)
	if err != nil {
		return err
	}
	found.URL, found.AdminURL, found.AdminToken = cmp.Or(s.publicURL, s.URL()), s.AdminURL(), s.AdminToken
	s.credentials = &found
	if file == "" {
		return nil
	}
	return WriteSecret(file, found)
}

// backupOf returns nil for a store that has no files of its own.
func backupOf(st store.Store) store.Backup {
	b, _ := st.(store.Backup)
	return b
}

func (s *Server) authOptions(seal [32]byte) auth.Options {
	return auth.Options{Store: s.store, Seal: seal, Now: s.Now, Rand: cryptorand.Reader, BaseURL: s.requestURL}
}

// requestURL is where the client of a request takes the server to be.
func (s *Server) requestURL(r *http.Request) string {
	return s.baseURL(r.RemoteAddr, r.TLS != nil, r.Host, r.Header["X-Forwarded-Proto"], r.Header["X-Forwarded-Host"])
}

// listen listens at the address, to let in so many connections at a time.
func (s *Server) listen(name, addr string, connections int, advice string, o *observer) (*limitListener, error) {
	l, err := net.Listen("tcp", addr)
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
	return &limitListener{TCPListener: l.(*net.TCPListener), max: int64(connections), maxRejecting: int64(s.files.rejected),
		advice: advice, logger: s.Logger, rejected: o.refused.WithLabelValues(name)}, nil
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           closeAfterChunks(h),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      35 * time.Second, // longer than for reading, so that a body that is late gets its 408
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.Logger.Handler(), slog.LevelWarn),
		// "OPTIONS *" is a request like any other; net/http would answer 200.
		DisableGeneralOptionsHandler: true,
	}
}

// closeAfterChunks ends the connection after a request whose body came in chunks. It may have carried a Content-Length
// too, which net/http drops without a trace. A proxy in front that believed that one takes for the rest of the body what
// would be read here as the next request, so that the connection must not be used again (RFC 9112, 6.1).
func closeAfterChunks(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// adminHandler is the operator's side. Probes and metrics are open to whoever reaches the listener; what shows or
// changes more asks for the token.
func (s *Server) adminHandler(registry *prometheus.Registry, key string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, r *http.Request) { probe(w, s.alive(r.Context())) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { probe(w, s.usable(r.Context())) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	guard := func(pattern string, h http.Handler) { mux.Handle(pattern, admin.Guard(s.AdminToken, h)) }
	guard("/admin/", admin.New(admin.Options{Store: s.store, Backup: backupOf(s.store), Auth: s.auth.Issuer, Hooks: s.hooks, Key: key,
		Now: s.Now, Logger: s.Logger}))
	guard("GET /debug/pprof/", http.HandlerFunc(pprof.Index))
	guard("GET /debug/pprof/cmdline", http.HandlerFunc(pprof.Cmdline))
	guard("GET /debug/pprof/profile", http.HandlerFunc(pprof.Profile))
	guard("GET /debug/pprof/symbol", http.HandlerFunc(pprof.Symbol))
	guard("GET /debug/pprof/trace", http.HandlerFunc(pprof.Trace))
	waits := contention()
	guard("GET /debug/pprof/mutex", waits)
	guard("GET /debug/pprof/block", waits)
	return mux
}

func probe(w http.ResponseWriter, err error) {
	status, text := http.StatusOK, "ok"
	if err != nil {
		status, text = http.StatusServiceUnavailable, err.Error()
	}
	w.Header().Set("Cache-Control", "no-store")
	web.Send(w, status, "text/plain; charset=utf-8", []byte(text+"\n"))
}

// usable says why requests should be sent elsewhere, nil if they should not.
func (s *Server) usable(ctx context.Context) error {
	if !s.ready.Load() {
		return errors.New("stopping")
	}
	return s.alive(ctx)
}

// probePatience is how long the store may take to answer a probe: about as long as whoever probes waits.
const probePatience = 3 * time.Second

// alive says why the server should be started again, nil if it should not: once its disk has failed, nothing else helps.
func (s *Server) alive(ctx context.Context) error {
	if !s.ready.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	_, err := s.store.User(ctx, 1)
	switch {
	case err == nil || liked.KindOf(err) == liked.NotFound:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("store: the disk has not answered for %s", probePatience)
	}
	return fmt.Errorf("store: %w", err)
}

// URL is where the API listens, as "scheme://host:port".
func (s *Server) URL() string {
	if s.tls != nil {
		return "https://" + reachable(s.apiL.Addr())
	}
	return "http://" + reachable(s.apiL.Addr())
}

// AdminURL is where the operator's side listens.
func (s *Server) AdminURL() string { return "http://" + reachable(s.adminL.Addr()) }

// reachable returns the address with a host that can be connected to from this machine.
func reachable(a net.Addr) string {
	tcp := a.(*net.TCPAddr)
	if !tcp.IP.IsUnspecified() {
		return tcp.String()
	}
	return (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: tcp.Port}).String()
}

// Run serves until ctx ends, and then: says on /readyz that it stops, stops accepting, ends the streams, gives other
// requests under way the grace time, and closes the store. It returns nil after such a stop, even if the grace time was too
// short for a request.
func (s *Server) Run(ctx context.Context) error {
	if s.Data != "" {
		access := AdminAccess{s.AdminURL(), s.AdminToken, os.Getpid()}
		if err := WriteSecret(filepath.Join(s.Data, adminFile), access); err != nil {
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
	serving.Go(func() { s.sweep(working) })
	serving.Go(func() { s.home.Run(working) })
	hooksCtx, stopDelivering := context.WithCancel(context.Background())
	defer stopDelivering()
	serving.Go(func() { s.hooks.Run(hooksCtx) })
	s.ready.Store(true)
	s.Logger.Info("listening", "url", s.URL(), "admin_url", s.AdminURL(), "data", s.Data)

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.ready.Store(false)
	s.Logger.Info("stopping", "grace", s.Grace)
	stopWork()
	s.drain(s.api, s.fast, s.Grace)
	s.drain(s.admin, nil, time.Second)
	stopDelivering()
	serving.Wait()
	s.apiL.wait()
	s.adminL.wait()
	err = errors.Join(err, s.store.Close())
	if s.Data != "" {
		if rmErr := os.Remove(filepath.Join(s.Data, adminFile)); !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
	}
	s.Logger.Info("stopped")
	return err
}

// drain stops accepting, and cuts what has not ended after the grace time.
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

// sweepEvery is how often expired codes and tokens are removed from the store. They are refused from the moment at
// which they expire, swept or not.
const sweepEvery = 10 * time.Minute

func (s *Server) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			held, err := s.store.Hold(ctx, []string{"sweep"}, 2*sweepEvery)
			if err == nil && held[0] {
				err = s.store.Sweep(ctx, s.Now())
			}
			if err != nil && ctx.Err() == nil {
				s.Logger.Error("expired credentials could not be removed", "error", err)
			}
		}
	}
}
