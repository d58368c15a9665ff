package main

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"liked/internal/capture"
	"liked/internal/seed"
	"liked/internal/server"
)

// Captured has the flags of commands that stand for X: what world there is, a new one or that of a running server.
type Captured struct {
	Credentials string `placeholder:"FILE" help:"Join the server that wrote this file, instead of a server of its own."`
	As          string `placeholder:"USER" help:"Id or username of the user whose tokens the program gets. Default: alice, or the last."`
	Adopt       string `placeholder:"FILE" help:"Make the credentials in this .env good for the user."`
	CA          string `name:"ca" placeholder:"FILE" help:"Keep the authority that programs are to trust in this file, with its key."`
	Seeded
	Behavior

	dev devCmd
}

func (c *Captured) check() error {
	if c.Credentials != "" {
		given, none := *c, defaults[Captured]()
		for _, own := range []*Captured{&given, &none} {
			own.Credentials, own.As, own.Adopt, own.CA = "", "", "", ""
		}
		if !reflect.DeepEqual(given, none) {
			return errors.New("credentials: the server that wrote the file has its users and posts; leave out the flags that make some")
		}
		return nil
	}
	c.dev = defaults[devCmd]("--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--grace=1s", "--log-level=error")
	c.dev.Seeded, c.dev.Behavior = c.Seeded, c.Behavior
	return c.dev.check()
}

// defaults returns a command, or a part of one, as the flags alone make it.
func defaults[T any](flags ...string) (command T) {
	_, err := kong.Must(&command).Parse(flags)
	if err != nil {
		panic(err) // flags of the source
	}
	return command
}

// captured is what a program gets: X, and the variables to call it, as a user.
type captured struct {
	*capture.Front
	seed.Credentials
	seed.User
	adopted ownSecrets
}

// variables are those of the world. What was adopted is the program's own.
func (c captured) variables(api, admin string) [][2]string {
	k := c.Credentials
	k.URL, k.AdminURL = cmp.Or(api, k.URL), cmp.Or(admin, k.AdminURL)
	variables := variablesFor(k, c.User)
	for kind, name := range c.adopted.names {
		variables = append(variables, [2]string{name, c.adopted.values[kind]})
	}
	return variables
}

// with calls do with X in front of the world's server. A server of its own has ended when it returns.
func (c *Captured) with(e *env, do func(captured) error) error {
	k, end, err := c.world(e)
	if err != nil {
		return err
	}
	found := captured{Credentials: k}
	if found.User, err = userOf(k, c.As); err != nil {
		return errors.Join(fmt.Errorf("as: there is %w", err), end())
	}
	if c.Adopt != "" {
		var names []string
		if found.adopted, err = readOwn(c.Adopt); err == nil {
			names, err = found.adopted.adopt(e.ctx, k, found.User, seed.Options{RedirectURIs: c.RedirectURI}.Callbacks())
		}
		if err != nil {
			return errors.Join(fmt.Errorf("adopt: %w", err), end())
		}
		fmt.Fprintf(e.stderr, "liked: good for %s: %s\n", found.Username, strings.Join(names, ", "))
	}
	authority, err := c.authority()
	if err != nil {
		return errors.Join(fmt.Errorf("ca: %w", err), end())
	}
	if found.Front, err = capture.NewFront(k.URL, authority); err != nil {
		return errors.Join(err, end())
	}
	return errors.Join(do(found), found.Close(), end())
}

func (c *Captured) authority() (*capture.Authority, error) {
	if c.CA == "" {
		return capture.NewAuthority()
	}
	return capture.KeptAuthority(c.CA)
}

// world returns the credentials of a running server, or starts one.
func (c *Captured) world(e *env) (k seed.Credentials, end func() error, err error) {
	if c.Credentials != "" {
		k, err := e.readCredentials(c.Credentials)
		return k, func() error { return nil }, err
	}
	logger, flush, err := server.NewLogger(e.stderr, c.dev.LogFormat, c.dev.LogLevel)
	if err != nil {
		return k, nil, err
	}
	c.dev.config.Logger = logger
	srv, err := server.New(c.dev.config)
	if err != nil {
		return k, nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	end = func() error {
		defer flush()
		stop()
		return <-ended
	}
	return srv.Credentials(), end, nil
}

type runCmd struct {
	Captured
	Via     string `placeholder:"namespace|proxy" help:"How the program finds this server. Default: a namespace where there can be one."`
	Offline bool   `help:"Leave the program no network but X, in a network namespace."`
	JSON    bool   `help:"Write the summary as one JSON object."`
	JUnit   string `name:"junit" placeholder:"FILE" help:"Write the summary as a JUnit report, too."`

	Command []string `arg:"" optional:"" passthrough:"" help:"The program and its arguments, required; -- goes before them."`
}

func (c *runCmd) check() error {
	if len(c.Command) > 0 && c.Command[0] == "--" {
		c.Command = c.Command[1:]
	}
	var err error
	if len(c.Command) == 0 {
		err = errors.New("command: missing; give a program, as in liked run -- npm test")
	}
	if c.Via != "" && c.Via != "namespace" && c.Via != "proxy" {
		err = errors.Join(err, fmt.Errorf("via: %q is not one of [namespace proxy]", c.Via))
	}
	if c.Offline && c.Via == "proxy" {
		err = errors.Join(err, errors.New("offline: a program can pass by a proxy; it takes a namespace"))
	}
	return errors.Join(err, c.Captured.check())
}

// exitStatus is how a program ended, and so how this one ends, about which there is nothing to say.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("the program ended with status %d", int(s)) }

func (c *runCmd) Run(e *env) error {
	signals, giveBack := take(e.stdin)
	defer giveBack()
	return c.with(e, func(x captured) error {
		began := time.Now()
		result, err := x.Run(capture.Command{
			Args: c.Command, Stdin: e.stdin, Stdout: e.stdout, Stderr: e.stderr, Signals: signals,
			Via: c.Via, Offline: c.Offline, Admin: x.AdminURL,
			Environ: func(api, admin string) (environ []string) {
				for _, v := range x.variables(api, admin) {
					environ = append(environ, v[0]+"="+v[1])
				}
				return environ
			},
			Told: func(text string) { fmt.Fprintln(e.stderr, "liked:", text) },
		})
		if missing, ok := errors.AsType[capture.NotStarted](err); ok {
			fmt.Fprintln(e.stderr, "liked:", err)
			return exitStatus(missing.Status)
		}
		if err != nil {
			return err
		}
		s := summary{result.Via, result.Status, time.Since(began).Round(time.Millisecond).Seconds(), x.Log.Summary()}
		if err := s.write(e.stderr, c.JSON); err != nil {
			return err
		}
		if c.JUnit != "" {
			if err := e.writeTo(c.JUnit, s.junit); err != nil {
				return fmt.Errorf("junit: %w", err)
			}
		}
		if result.Status != 0 {
			return exitStatus(result.Status)
		}
		return nil
	})
}

// take takes signals from the rest of this process, to pass them on to the program, which may go on. What is typed on a
// terminal reaches it anyway.
func take(stdin io.Reader) (passedOn chan os.Signal, giveBack func()) {
	passedOn = make(chan os.Signal, 16)
	toAll := passedOn
	if f, ok := stdin.(*os.File); ok && isForeground(f) {
		toAll = make(chan os.Signal, 1) // nobody reads it, and this process does not end
	}
	signal.Reset(syscall.SIGINT, syscall.SIGTERM)
	signal.Notify(toAll, typed...)
	signal.Notify(passedOn, untyped...)
	return passedOn, func() {
		signal.Stop(toAll)
		signal.Stop(passedOn)
	}
}

// summary is what a run of a program came to.
type summary struct {
	Via     string  `json:"via"`
	Status  int     `json:"status"` // of the program
	Seconds float64 `json:"seconds"`
	capture.Summary
}

func (s summary) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	way := "by a proxy"
	if s.Via == "namespace" {
		way = "in a namespace"
	}
	fmt.Fprintf(w, "liked: %s to X, %s: %d answered, %d refused; %s, %s\n", counted(s.Calls, "call"), way,
		s.Calls-s.Refused(), s.Refused(), counted(s.Likes, "like"), counted(s.Unlikes, "unlike"))
	for _, a := range s.Answers {
		if a.Status >= 400 {
			fmt.Fprintf(w, "liked:   %d × %d %s %s: %s\n", a.Count, a.Status, a.Method, a.Path, a.Why)
		}
	}
	for _, m := range s.Errors {
		fmt.Fprintf(w, "liked: error: %s did not get through to %s: %s\n", counted(m.Count, "call"), m.Host, m.Why)
	}
	return nil
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// junit writes a test for the program, one for each kind of call, and a failed one for each host that was not reached.
func (s summary) junit(w io.Writer) error {
	type failure struct {
		Message string `xml:"message,attr"`
	}
	type testcase struct {
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		Time    float64  `xml:"time,attr"`
		Failure *failure `xml:"failure"`
		Output  string   `xml:"system-out,omitempty"`
	}
	suite := struct {
		XMLName  xml.Name   `xml:"testsuite"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Time     float64    `xml:"time,attr"`
		Cases    []testcase `xml:"testcase"`
	}{Name: "liked run", Time: s.Seconds}
	add := func(c testcase) {
		c.Class = "liked run"
		suite.Tests++
		if c.Failure != nil {
			suite.Failures++
		}
		suite.Cases = append(suite.Cases, c)
	}
	program := testcase{Name: "the program", Time: s.Seconds}
	if s.Status != 0 {
		program.Failure = &failure{exitStatus(s.Status).Error()}
	}
	add(program)
	for _, a := range s.Answers {
		add(testcase{Name: fmt.Sprintf("%s %s: %d", a.Method, a.Path, a.Status), Output: fmt.Sprintf("%s. %s", counted(a.Count, "call"), a.Why)})
	}
	for _, m := range s.Errors {
		add(testcase{Name: m.Host, Failure: &failure{m.Why}})
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	return errors.Join(enc.Encode(suite), enc.Close())
}
