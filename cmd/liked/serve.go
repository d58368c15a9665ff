package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"golang.org/x/term"

	"liked/internal/seed"
	"liked/internal/server"
)

// Serving has the flags that `liked dev` and `liked serve` share.
type Serving struct {
	Listen         string   `default:"${listen}" placeholder:"HOST:PORT"`
	AdminListen    string   `default:"${admin_listen}" placeholder:"HOST:PORT"`
	AdminTokenFile string   `placeholder:"FILE"`
	TLSCert        string   `placeholder:"FILE" help:"Certificate chain (PEM), with which the API speaks HTTPS."`
	TLSKey         string   `placeholder:"FILE" help:"Key of the certificate (PEM)."`
	PublicURL      string   `placeholder:"URL"`
	TrustedProxy   []string `placeholder:"CIDR"`
	Behavior
	HomePage       bool          `default:"true" negatable:""`
	MaxConnections int           `default:"10000" placeholder:"N"`
	Cache          *int          `placeholder:"MIB"`
	Grace          time.Duration `default:"10s" help:"How long requests under way may take to end after SIGTERM."`
	LogFormat      string        `default:"${log_format}" placeholder:"text|json" help:"Form of the log on standard error: text or json."`
	LogLevel       slog.Level    `default:"info" placeholder:"LEVEL"`

	Postgres string `placeholder:"DSN"`
	SealKey  string `placeholder:"FILE"`
	Migrate  bool   `help:"With --postgres: raise the schema of an earlier release, as \"liked migrate\" does."`
	State    string `placeholder:"DIR" help:"With --postgres: directory for admin.json, which tells where this server is administered."`

	config server.Config
}

// Behavior has the flags that say how X behaves.
type Behavior struct {
	Profile         string `default:"2024" placeholder:"YEAR" help:"The year whose X is spoken: 2024 or 2026."`
	PrivateLikes    *bool  `negatable:""`
	PrivateWebhooks *bool  `negatable:""`
	KnownSeed       bool
	RateLimits      string `placeholder:"off|FILE"`
	DailyLimits     bool   `default:"true" negatable:"" help:"The limits per 24 hours, beside those per 15 minutes."`
}

// configure sets config, with the files that flags name. It reports all mistakes.
func (s *Serving) configure(data string) error {
	var errs []error
	read := func(flag, path string) string {
		const most = 1 << 20 // with an entry for each endpoint the limits are far below
		text, err := readFile(path, most)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", flag, err))
		}
		return string(text)
	}
	s.config = server.Config{Data: data, Listen: s.Listen, AdminListen: s.AdminListen, TLSCert: s.TLSCert, TLSKey: s.TLSKey,
		PublicURL: s.PublicURL, TrustedProxies: s.TrustedProxy, Profile: s.Profile, PrivateLikes: s.PrivateLikes, RateLimits: s.RateLimits,
		NoDailyLimits: !s.DailyLimits, NoHomePage: !s.HomePage, Postgres: s.Postgres, SealKey: s.SealKey,
		Migrate: s.Migrate, State: s.State, KnownSeed: s.KnownSeed, MaxConnections: s.MaxConnections,
		Grace: cmp.Or(s.Grace, 1)} // not the default
	if s.Cache != nil {
		s.config.CacheMiB = *s.Cache
		errs = append(errs, notZero("cache", *s.Cache))
	}
	errs = append(errs, notZero("max-connections", s.MaxConnections))
	if s.AdminTokenFile != "" {
		s.config.AdminToken = strings.TrimSpace(read("admin-token-file", s.AdminTokenFile))
		if s.config.AdminToken == "" && errors.Join(errs...) == nil {
			errs = append(errs, fmt.Errorf("admin-token-file: %s is empty", s.AdminTokenFile))
		}
	}
	if s.RateLimits != "" && s.RateLimits != "off" {
		s.config.RateLimits = read("rate-limits", s.RateLimits)
	}
	if s.LogFormat != "text" && s.LogFormat != "json" {
		errs = append(errs, fmt.Errorf("log-format: %q is not one of [text json]", s.LogFormat))
	}
	return errors.Join(errs...)
}

// notZero refuses a 0 that the configuration would take for the default.
func notZero[T int | time.Duration](flag string, value T) error {
	if value == 0 {
		return fmt.Errorf("%s: %v is too little; leave the flag out for its default", flag, value)
	}
	return nil
}

// serve runs a server until ctx ends, and calls answers once it answers.
func (s *Serving) serve(e *env, answers func(*server.Server) error) error {
	logger, flush, err := server.NewLogger(e.stderr, s.LogFormat, s.LogLevel)
	if err != nil {
		return err
	}
	defer flush()
	signal.Ignore(syscall.SIGPIPE) // of a log or an output that is no longer read: a server goes on
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	defer signal.Stop(hangUps)
	onTerminal := isTerminal(e.stderr)
	s.config.Logger = logger
	s.fitMemory(logger, memlimit.FromCgroup)
	srv, err := server.New(s.config)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(e.ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-srv.Ready():
	}
	if err := answers(srv); err != nil {
		stop()
		return errors.Join(err, <-ended)
	}
	for {
		select {
		case err := <-ended:
			return err
		case <-hangUps:
		}
		if onTerminal && !isTerminal(e.stderr) { // it was closed
			stop()
			continue
		}
		read := make(chan error, 1)
		go func() { // which lasts as long as a pipe among the files has nothing: a stop does not wait for that
			fresh := *s
			err := fresh.configure(s.config.Data)
			if err == nil {
				err = srv.Reload(fresh.config.AdminToken, fresh.config.RateLimits)
			}
			read <- err
		}()
		select {
		case err := <-ended:
			return err
		case err := <-read:
			if err != nil {
				logger.Error("nothing was read anew", "error", err)
			}
		}
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

type serveCmd struct {
	Data          string        `placeholder:"DIR"`
	TokenLifetime time.Duration `default:"2h" help:"Lifetime of access tokens."`
	Serving       `kong:"set='listen=127.0.0.1:8080',set='admin_listen=127.0.0.1:8081',set='log_format=json'"`
}

func (c *serveCmd) check() error {
	err := c.configure(c.Data)
	if c.Data == "" && c.Postgres == "" {
		err = errors.Join(err, errors.New("data: missing; give the directory that holds everything, as in --data /var/lib/liked, "+
			"or a database with --postgres"))
	}
	c.config.TokenLifetime, c.config.PrivateWebhooks = c.TokenLifetime, c.PrivateWebhooks != nil && *c.PrivateWebhooks
	return errors.Join(err, notZero("token-lifetime", c.TokenLifetime), c.config.Validate())
}

func (c *serveCmd) Run(e *env) error { return c.serve(e, func(*server.Server) error { return nil }) }

// Seeded has the flags that say what there is.
type Seeded struct {
	Data          string `placeholder:"DIR" help:"Keep everything in this directory; without it everything is gone at the end."`
	AllowReset    bool
	Users         int            `default:"7" help:"How many users: seven have names, more are generated."`
	Posts         int            `default:"8" help:"How many posts, likewise."`
	Seed          *uint64        `placeholder:"N"`
	TokenLifetime *time.Duration `placeholder:"DURATION"`
	AutoConsent   string         `placeholder:"USER"`
	RedirectURI   []string       `name:"redirect-uri" placeholder:"URI" sep:"none" help:"One more callback of the apps; may be repeated."`
}

type devCmd struct {
	Seeded
	Credentials string   `placeholder:"FILE" help:"Write what is printed, as JSON, while the server answers; - is standard output."`
	AllowHost   []string `placeholder:"NAME"`
	Journal     int      `default:"10000" placeholder:"N" help:"How many requests are kept to be looked at; 0: none."`
	Serving     `kong:"set='listen=localhost:8180',set='admin_listen=127.0.0.1:8181',set='log_format=text'"`
}

// Tokens that everybody knows must neither work for other machines nor be stored.
func (c *devCmd) seed() uint64 {
	switch {
	case c.Seed != nil:
		return *c.Seed
	case c.Data == "" && c.Postgres == "" && !c.config.Exposed():
		return 1
	}
	return 0
}

func (c *devCmd) check() error {
	err := c.configure(c.Data)
	cfg := &c.config
	cfg.Dev, cfg.AutoConsent, cfg.PrivateWebhooks = true, c.AutoConsent, c.PublicURL == "" && len(c.TrustedProxy) == 0
	if c.PrivateWebhooks != nil {
		cfg.PrivateWebhooks = *c.PrivateWebhooks
	}
	cfg.CheckHost, cfg.AllowHosts, cfg.AllowReset, cfg.Journal = true, c.AllowHost, c.AllowReset, c.Journal
	cfg.Seed = &seed.Options{Users: c.Users, Posts: c.Posts, Seed: c.seed(), TokenLifetime: 30 * 24 * time.Hour,
		RedirectURIs: c.RedirectURI}
	if c.TokenLifetime != nil {
		cfg.TokenLifetime, cfg.Seed.TokenLifetime = *c.TokenLifetime, *c.TokenLifetime
	}
	if c.toFile() {
		dir := filepath.Dir(c.Credentials)
		if info, statErr := os.Stat(dir); statErr != nil || !info.IsDir() {
			err = errors.Join(err, fmt.Errorf("credentials: %s is not a directory", dir))
		}
	}
	return errors.Join(err, cfg.Validate())
}

// forget removes the credentials of an earlier server, which look as if this one were ready.
func (c *devCmd) forget() error {
	if !c.toFile() {
		return nil
	}
	old, free := lockFile(c.Credentials)
	_ = old.Close() // nil if there is none
	if !free {
		return fmt.Errorf("credentials: %s is of a server that runs: stop it, or give another file", c.Credentials)
	}
	if err := removeFile(c.Credentials, nil); err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	return nil
}

func (c *devCmd) toFile() bool { return c.Credentials != "" && c.Credentials != "-" }

func (c *devCmd) Run(e *env) error {
	if err := c.forget(); err != nil {
		return err
	}
	var written fs.FileInfo
	var kept *os.File
	defer func() { _ = kept.Close() }()
	err := c.serve(e, func(srv *server.Server) error {
		credentials := srv.Credentials()
		text := e.stdout
		if c.Credentials == "-" {
			text = e.stderr
		}
		if c.Credentials != "" {
			if err := e.writeTo(c.Credentials, credentials.Write); err != nil {
				return fmt.Errorf("credentials: %w", err)
			}
		}
		if c.toFile() {
			written, _ = os.Stat(c.Credentials)
			kept, _ = lockFile(c.Credentials) // other servers leave it alone
		}
		_ = c.print(text, credentials, srv.ExplorerURL()) // a server does not stop because nobody reads
		return nil
	})
	if written != nil {
		err = errors.Join(err, removeFile(c.Credentials, written))
	}
	return err
}

//go:embed dev.txt
var devText string

func (c *devCmd) print(w io.Writer, k seed.Credentials, explorer string) error {
	kept, file := "in memory, gone at the end (keep it with --data DIR)", ""
	example := fmt.Sprintf("LIKED_ADMIN_TOKEN=%s liked user list --admin-url %s", quoted(k.AdminToken), k.AdminURL)
	switch {
	case c.Data != "":
		kept, file = "in "+c.Data, "in "+filepath.Join(c.Data, "credentials.json")
		example = "liked user list --data " + quoted(c.Data)
	case c.Postgres != "":
		if kept = "in a database"; c.State != "" {
			file = "in " + filepath.Join(c.State, "credentials.json")
			example = "liked user list --credentials " + quoted(filepath.Join(c.State, "credentials.json"))
		}
	}
	switch c.Credentials {
	case "":
	case "-":
		file = "on standard output"
	default:
		file = "in " + c.Credentials
	}
	trust := ""
	if c.TLSCert != "" {
		trust = fmt.Sprintf("--cacert '%s' ", c.TLSCert)
	}
	user, _ := k.First()
	return template.Must(template.New("").Parse(devText)).Execute(w, struct {
		seed.Credentials
		Profile                              string
		HomePage                             bool
		App                                  seed.App
		User                                 seed.User
		Curl, World, Explorer, Example, File string
	}{k, c.Profile, c.HomePage, k.Apps[0], user, strings.ReplaceAll(k.Curl(trust), "\n", "\n  "), kept, explorer, example, file})
}
