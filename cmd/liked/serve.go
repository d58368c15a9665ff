package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"liked/internal/seed"
	"liked/internal/server"
)

// Serving has the flags that `liked dev` and `liked serve` share.
type Serving struct {
	Listen         string        `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where the API listens; port 0 picks a free one."`
	AdminListen    string        `default:"127.0.0.1:8081" placeholder:"HOST:PORT"`
	AdminTokenFile string        `placeholder:"FILE"`
	TLSCert        string        `placeholder:"FILE" help:"Certificate chain (PEM), with which the API speaks HTTPS."`
	TLSKey         string        `placeholder:"FILE" help:"Key of the certificate (PEM)."`
	PublicURL      string        `placeholder:"URL" help:"How clients reach the API, as scheme://host[:port]; OAuth 1.0a signatures cover it."`
	TrustedProxy   []string      `placeholder:"CIDR"`
	Profile        string        `default:"2024" placeholder:"YEAR" help:"The year whose X is spoken: 2024 or 2026."`
	PrivateLikes   *bool         `negatable:""`
	HomePage       bool          `default:"true" negatable:""`
	RateLimits     string        `placeholder:"off|FILE"`
	DailyLimits    bool          `default:"true" negatable:"" help:"The limits per 24 hours, beside those per 15 minutes."`
	MaxConnections int           `default:"10000" placeholder:"N"`
	Cache          int           `placeholder:"MIB"`
	Grace          time.Duration `default:"10s" help:"How long requests under way may take to end after SIGTERM."`
	LogFormat      string        `default:"${log_format}" placeholder:"text|json" help:"Form of the log on standard error: text or json."`
	LogLevel       slog.Level    `default:"info" placeholder:"LEVEL"`
}

// config reads the files of the flags. It returns what could be read together with all mistakes.
func (s *Serving) config(data string) (server.Config, error) {
	var errs []error
	read := func(flag, path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", flag, err))
		}
		return string(text)
	}
	c := server.Config{Data: data, Listen: s.Listen, AdminListen: s.AdminListen, TLSCert: s.TLSCert, TLSKey: s.TLSKey,
		PublicURL: s.PublicURL, TrustedProxies: s.TrustedProxy, Profile: s.Profile, PrivateLikes: s.PrivateLikes, RateLimits: s.RateLimits,
		NoDailyLimits: !s.DailyLimits, NoHomePage: !s.HomePage, MaxConnections: s.MaxConnections, CacheMiB: s.Cache, Grace: s.Grace}
	if s.AdminTokenFile != "" {
		c.AdminToken = strings.TrimSpace(read("admin-token-file", s.AdminTokenFile))
		if c.AdminToken == "" && errs == nil {
			errs = append(errs, fmt.Errorf("admin-token-file: %s is empty", s.AdminTokenFile))
		}
	}
	if s.RateLimits != "" && s.RateLimits != "off" {
		c.RateLimits = read("rate-limits", s.RateLimits)
	}
	if s.LogFormat != "text" && s.LogFormat != "json" {
		errs = append(errs, fmt.Errorf("log-format: %q is not one of [text json]", s.LogFormat))
	}
	return c, errors.Join(errs...)
}

// serve runs a server until ctx ends, and calls answers once it answers.
func (s *Serving) serve(e *env, c server.Config, answers func(*server.Server) error) error {
	logger, flush, err := server.NewLogger(e.stderr, s.LogFormat, s.LogLevel)
	if err != nil {
		return err
	}
	defer flush()
	c.Logger = logger
	srv, err := server.New(c)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(e.ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	if err := untilReady(ctx, srv.AdminURL()); err == nil {
		if err := answers(srv); err != nil {
			stop()
			return errors.Join(err, <-ended)
		}
	}
	return <-ended
}

// untilReady waits until the server answers. The error is that of ctx.
func untilReady(ctx context.Context, adminURL string) error {
	transport := &http.Transport{Proxy: nil, DisableKeepAlives: true}
	for ctx.Err() == nil {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, adminURL+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := transport.RoundTrip(r)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return ctx.Err()
}

type serveCmd struct {
	Data            string        `placeholder:"DIR" help:"Directory that holds everything; made if missing. Required."`
	TokenLifetime   time.Duration `default:"2h" help:"Lifetime of access tokens."`
	PrivateWebhooks bool
	Serving
}

func (c *serveCmd) config() (server.Config, error) {
	cfg, err := c.Serving.config(c.Data)
	cfg.TokenLifetime, cfg.PrivateWebhooks = c.TokenLifetime, c.PrivateWebhooks
	return cfg, err
}

func (c *serveCmd) check() error {
	cfg, err := c.config()
	if c.Data == "" {
		err = errors.Join(errors.New("data: missing; give the directory that holds everything, as in --data /var/lib/liked"), err)
	}
	return errors.Join(err, cfg.Validate())
}

func (c *serveCmd) Run(e *env) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	return c.serve(e, cfg, func(*server.Server) error { return nil })
}

type devCmd struct {
	Data          string         `placeholder:"DIR" help:"Keep everything in this directory; without it everything is gone at the end."`
	Credentials   string         `placeholder:"FILE" help:"Write what is printed, as JSON, once the server answers."`
	Users         int            `default:"7" help:"How many users: seven have names, more are generated."`
	Posts         int            `default:"8" help:"How many posts, likewise."`
	Seed          *uint64        `placeholder:"N"`
	TokenLifetime *time.Duration `placeholder:"DURATION"`
	AutoConsent   string         `placeholder:"USER"`
	Serving
}

// Known tokens must neither work for other machines nor be stored.
func (c *devCmd) seed() uint64 {
	switch {
	case c.Seed != nil:
		return *c.Seed
	case c.Data == "" && server.Loopback(c.Listen):
		return 1
	}
	return 0
}

func (c *devCmd) config() (server.Config, error) {
	cfg, err := c.Serving.config(c.Data)
	cfg.Explain, cfg.PrivateWebhooks = true, true
	cfg.Seed = &seed.Options{Users: c.Users, Posts: c.Posts, Seed: c.seed(), TokenLifetime: 30 * 24 * time.Hour}
	if c.TokenLifetime != nil {
		cfg.TokenLifetime, cfg.Seed.TokenLifetime = *c.TokenLifetime, *c.TokenLifetime
	}
	cfg.AutoConsent = c.AutoConsent
	return cfg, err
}

func (c *devCmd) check() error {
	cfg, err := c.config()
	if c.Credentials != "" {
		dir := filepath.Dir(c.Credentials)
		if info, statErr := os.Stat(dir); statErr != nil || !info.IsDir() {
			err = errors.Join(err, fmt.Errorf("credentials: %s is not a directory", dir))
		}
	}
	return errors.Join(err, cfg.Validate())
}

func (c *devCmd) Run(e *env) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	return c.serve(e, cfg, func(srv *server.Server) error {
		credentials := srv.Credentials()
		if c.Credentials != "" {
			if err := server.WriteSecret(c.Credentials, credentials); err != nil {
				return fmt.Errorf("credentials: %w", err)
			}
		}
		c.print(e.stdout, credentials, srv.ExplorerURL())
		return nil
	})
}

func (c *devCmd) print(w io.Writer, k seed.Credentials, explorer string) {
	app := k.Apps[0]
	user, _ := k.First()
	names := make([]string, 0, 8)
	for _, u := range k.Users[:min(len(k.Users), 7)] {
		names = append(names, u.Username)
	}
	if len(k.Users) > len(names) {
		names = append(names, "…")
	}
	kept := "in memory, gone at the end (keep it with --data DIR)"
	if c.Data != "" {
		kept = "in " + c.Data
	}
	fmt.Fprintf(w, "liked speaks X's API of %s at %s\n\n", c.Profile, k.URL)
	if c.HomePage {
		fmt.Fprintf(w, "Open %s/ in a browser, or like a post as %s:\n\n", k.URL, user.Username)
	} else {
		fmt.Fprintf(w, "Like a post as %s:\n\n", user.Username)
	}
	trust := ""
	if c.TLSCert != "" {
		trust = fmt.Sprintf("--cacert '%s' ", c.TLSCert)
	}
	if curl := k.Curl(trust); curl != "" {
		fmt.Fprintf(w, "  %s\n\n", strings.ReplaceAll(curl, "\n", "\n  "))
	}
	for _, line := range [][2]string{
		{"world", kept},
		{"users", fmt.Sprintf("%d: %s", len(k.Users), strings.Join(names, " "))},
		{"posts", fmt.Sprintf("%d", len(k.Posts))},
		{"", ""},
		{"app", app.Name + " (" + app.Type + ")"},
		{"client id", app.ClientID},
		{"client secret", app.ClientSecret},
		{"api key", app.APIKey},
		{"api secret", app.APISecret},
		{"bearer token", app.BearerToken},
		{"", ""},
		{"user", user.Username + ", id " + user.ID.String()},
		{"access token", user.AccessToken},
		{"refresh token", user.RefreshToken},
		{"oauth1 token", user.OAuth1Token},
		{"oauth1 secret", user.OAuth1TokenSecret},
		{"password", user.Password + ", as everybody's"},
		{"sign in at", k.URL + "/login"},
		{"explorer", explorer},
		{"", ""},
		{"admin", k.AdminURL},
		{"admin token", k.AdminToken},
		{"example", fmt.Sprintf("liked user list --admin-url %s --admin-token %s", k.AdminURL, k.AdminToken)},
	} {
		if line[0] == "" {
			fmt.Fprintln(w)
			continue
		}
		fmt.Fprintf(w, "  %-14s %s\n", line[0], line[1])
	}
	switch {
	case c.Credentials != "":
		fmt.Fprintf(w, "\nEverybody's credentials are in %s. Stop with Ctrl-C.\n", c.Credentials)
	case c.Data != "":
		fmt.Fprintf(w, "\nEverybody's credentials are in %s. Stop with Ctrl-C.\n", filepath.Join(c.Data, "credentials.json"))
	default:
		fmt.Fprint(w, "\nEverybody's credentials as JSON: --credentials FILE. Stop with Ctrl-C.\n")
	}
}
