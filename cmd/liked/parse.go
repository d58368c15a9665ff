package main

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type grammar struct {
	Dev   devCmd   `cmd:"" help:"Start a server to develop against, with users, posts and keys."`
	Serve serveCmd `cmd:"" help:"Start a server on a data directory or a database."`

	Run   runCmd   `cmd:"" help:"Run a program whose calls to X arrive here."`
	Proxy proxyCmd `cmd:"" help:"Be X to programs that use a proxy."`

	User struct {
		Add      userAddCmd  `cmd:"" help:"Add a user."`
		List     userListCmd `cmd:"" help:"List all users, or those whose usernames begin alike."`
		Show     userShowCmd `cmd:"" help:"Show a user."`
		Set      userSetCmd  `cmd:"" help:"Change a user."`
		Follow   followCmd   `cmd:"" help:"Make a user follow another."`
		Unfollow unfollowCmd `cmd:"" help:"Make a user follow another no longer."`
		Block    blockCmd    `cmd:"" help:"Make a user block another."`
		Unblock  unblockCmd  `cmd:"" help:"Make a user block another no longer."`

		Following followingCmd `cmd:"" help:"List whom a user follows."`
		Followers followersCmd `cmd:"" help:"List who follows a user."`
		Blocking  blockingCmd  `cmd:"" help:"List whom a user blocks."`
		BlockedBy blockedByCmd `cmd:"" help:"List who blocks a user."`
	} `cmd:"" help:"Users, and what stands between them."`
	Post struct {
		Add    postAddCmd    `cmd:"" help:"Add a post."`
		List   postListCmd   `cmd:"" help:"List all posts, or a user's, newest first."`
		Show   postShowCmd   `cmd:"" help:"Show a post as a caller without a user sees it."`
		Delete postDeleteCmd `cmd:"" help:"Delete a post for good."`
	} `cmd:"" help:"Posts."`
	App struct {
		Add    appAddCmd    `cmd:"" help:"Add an app and print its secrets, once."`
		List   appListCmd   `cmd:"" help:"List all apps."`
		Set    appSetCmd    `cmd:"" help:"Change an app."`
		Renew  appRenewCmd  `cmd:"" help:"Replace a secret of an app, and print the new one, once."`
		Delete appDeleteCmd `cmd:"" help:"Delete an app for good, with its tokens and webhooks."`
	} `cmd:"" help:"Apps, which call the API."`
	Token struct {
		Issue  tokenIssueCmd  `cmd:"" help:"Issue a token and print it, once."`
		Revoke tokenRevokeCmd `cmd:"" help:"Revoke a token of any kind."`
		Expire tokenExpireCmd `cmd:"" help:"Make the access tokens of a consent expire now; its refresh token stays good."`
	} `cmd:"" help:"Tokens, with which apps call."`
	Webhook struct {
		Add      webhookAddCmd      `cmd:"" help:"Register a webhook, which is challenged at once."`
		List     webhookListCmd     `cmd:"" help:"List all webhooks, and how they do."`
		Remove   webhookRemoveCmd   `cmd:"" help:"Remove a webhook."`
		Validate webhookValidateCmd `cmd:"" help:"Challenge a webhook, which a right answer makes valid again."`
		Dead     webhookDeadCmd     `cmd:"" help:"List the likes that a webhook did not take."`
		Replay   webhookReplayCmd   `cmd:"" help:"Deliver dead letters, or what happened in a time, once more."`
	} `cmd:"" help:"Webhooks, to which likes are delivered."`
	Clock struct {
		Show    clockShowCmd    `cmd:"" default:"withargs" help:"Show the clock, as does \"liked clock\" alone."`
		Set     clockSetCmd     `cmd:"" help:"Move, stop or speed up the clock."`
		Advance clockAdvanceCmd `cmd:"" help:"Move the clock forward by a duration."`
	} `cmd:"" help:"The clock of a development server."`
	Fault struct {
		Add    faultAddCmd    `cmd:"" help:"Provoke a fault in the calls that match."`
		List   faultListCmd   `cmd:"" help:"List the rules; the first that matches wins."`
		Delete faultDeleteCmd `cmd:"" help:"Remove a rule."`
		Clear  faultClearCmd  `cmd:"" help:"Remove all rules."`
	} `cmd:"" help:"What goes wrong on a development server."`
	Limits struct {
		Show  limitsShowCmd  `cmd:"" default:"withargs" help:"List rate windows, as does \"liked limits\" alone."`
		Reset limitsResetCmd `cmd:"" help:"Reset rate windows."`
	} `cmd:"" help:"The rate windows of a development server."`
	Reset    resetCmd `cmd:"" help:"Make a development server what it was when it had started."`
	Snapshot struct {
		Take    snapshotTakeCmd    `cmd:"" help:"Keep what the server is under a name."`
		List    snapshotListCmd    `cmd:"" help:"List the snapshots."`
		Restore snapshotRestoreCmd `cmd:"" help:"Make the server what it was at a snapshot."`
		Delete  snapshotDeleteCmd  `cmd:"" help:"Forget a snapshot."`
	} `cmd:"" help:"What a development server was at a moment, as long as it runs."`

	Requests requestsCmd `cmd:"" help:"Show what a development server was asked, and why it answered so."`
	Verify   verifyCmd   `cmd:"" help:"Hold what a development server was asked to an expectation."`

	Import importCmd `cmd:"" help:"Import users, posts and likes: an export, or an archive of X, Mastodon or Bluesky."`
	Export exportCmd `cmd:"" help:"Export users, posts and likes as JSON, one record a line."`

	Backup  backupCmd  `cmd:"" help:"Copy the store as it is at one moment, of a running server too."`
	Restore restoreCmd `cmd:"" help:"Make a data directory of a backup, and prove it."`
	Check   checkCmd   `cmd:"" help:"Prove that likes, lists, counts and the log agree."`
	Migrate migrateCmd `cmd:"" help:"Raise a database's schema to this program's."`
	Upgrade upgradeCmd `cmd:"" help:"Raise a store to this program's format, as the first start of a server does."`

	Bench benchCmds `cmd:"" help:"Measure a server against what bounds it."`

	Ready   readyCmd   `cmd:"" help:"Wait until a server answers."`
	Env     envCmd     `cmd:"" help:"Turn a credentials file into shell exports."`
	Version versionCmd `cmd:"" help:"Print which release this is, and which formats it reads."`
}

const envPrefix = "LIKED_"

// parse reads the command line and the environment, and reports all mistakes together as a *usageError, beside the command
// if it can tell which it is. It returns nil after help was requested and written to stdout. Variables that stand for no
// flag may be of the platform (Kubernetes sets LIKED_PORT for a Service called liked): they are warnings.
func parse(args, environ []string, stdout io.Writer) (c command, warnings []string, err error) {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	environment := make(map[string]string)
	for _, v := range environ {
		if name, value, _ := strings.Cut(v, "="); value != "" && strings.HasPrefix(name, envPrefix) { // empty: not set
			environment[name] = value
		}
	}
	var mistakes []string
	var dropped bool // a flag or variable with a mistake
	for {
		var g grammar
		var variables map[*kong.Flag]string
		helped := false
		parser, err := kong.New(&g,
			kong.Name("liked"),
			kong.Description("The Likes half of the X API, as a server that you run yourself.\n\nStart with: liked dev"),
			kong.Writers(stdout, stdout),
			kong.Exit(func(int) { helped = true }),
			kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
			kong.ValueFormatter(func(v *kong.Value) string { return describe(v, variables[v.Flag]) }),
			kong.Resolvers(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
				value, ok := environment[variables[f]]
				if !ok || overruled(f.Name, args) {
					return nil, nil
				}
				return value, nil
			})))
		if err != nil {
			return nil, nil, err // a bug in grammar
		}
		explain(parser.Model.Node)
		variables = variablesOf(parser.Model.Node)
		ctx, err := parser.Parse(args)
		if helped {
			return nil, nil, nil
		}
		if err != nil {
			// It hides other mistakes: parse again without what it is about.
			if drop(flagOf(err), &args, environment) {
				mistakes = append(mistakes, strings.TrimPrefix(err.Error(), "--"))
				dropped = true
				continue
			}
			if !dropped {
				mistakes = append(mistakes, err.Error())
			}
		}
		var selected any
		if err == nil {
			warnings = unknownVariables(environment, variables, ctx.Flags())
			for _, p := range ctx.Path {
				if p.Flag != nil && p.Flag.Name == "postgres" && !p.Resolved && holdsPassword(p.Flag.Target.String()) {
					mistakes = append(mistakes, "postgres: everybody on this machine can read a command line: "+
						"leave the password to a password file (passfile=FILE) or PGPASSWORD, or give all of it in the variable LIKED_POSTGRES")
				}
				if p.Flag != nil && p.Flag.Tag.Get("variable") == "only" && !p.Resolved {
					mistakes = append(mistakes, fmt.Sprintf("%s: everybody on this machine can read a command line; "+
						"give --%[1]s-file FILE, or the variable %s", p.Flag.Name, variables[p.Flag]))
				}
			}
			for _, f := range ctx.Flags() {
				if need := f.Tag.Get("need"); need != "" && f.Target.IsZero() {
					mistakes = append(mistakes, fmt.Sprintf("%s: missing; give %s", f.Name, need))
				}
			}
			selected = ctx.Selected().Target.Addr().Interface()
			if c, ok := selected.(interface{ check() error }); ok {
				if err := c.check(); err != nil {
					mistakes = append(mistakes, strings.Split(err.Error(), "\n")...)
				}
			}
		}
		if len(mistakes) > 0 {
			slices.Sort(mistakes)
			err = &usageError{errors.New(strings.Join(slices.Compact(mistakes), "\n"))}
		}
		c, _ = selected.(command)
		return c, warnings, err
	}
}

// flagOf returns the flag that a mistake of parsing is about, as in "--users", or "".
func flagOf(err error) string {
	text := strings.TrimPrefix(err.Error(), "unknown flag ")
	if !strings.HasPrefix(text, "--") {
		return ""
	}
	return text[:strings.IndexAny(text+":", ",:= ")]
}

// drop removes the flag and its possible value from args, or else its variable, and reports whether one was there.
func drop(flag string, args *[]string, environment map[string]string) bool {
	i := slices.IndexFunc(*args, func(arg string) bool { name, _, _ := strings.Cut(arg, "="); return name == flag })
	if i < 0 {
		name := variable(strings.TrimPrefix(flag, "--"))
		_, ok := environment[name]
		delete(environment, name)
		return ok
	}
	end := i + 1
	if end < len(*args) && !strings.HasPrefix((*args)[end], "-") && !strings.Contains((*args)[i], "=") {
		end++
	}
	*args = slices.Delete(slices.Clone(*args), i, end)
	return true
}

// help has the texts that are too long for the grammar: of commands, by name, and of flags.
//
//go:embed help.txt
var help string

var texts = func() map[string]string {
	texts := make(map[string]string)
	for _, section := range strings.Split("\n"+help, "\n# ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		texts[name] = strings.TrimSpace(text)
	}
	return texts
}()

func explain(n *kong.Node) {
	n.Detail = texts[n.Path()]
	for _, child := range n.Children {
		explain(child)
	}
}

// describe returns a flag's or argument's help: text, default unless its form shows it, and variable if it has one.
func describe(v *kong.Value, variable string) string {
	if v.Flag == nil {
		return v.Help
	}
	text := cmp.Or(v.Help, texts["--"+v.Name])
	if v.Tag.Has("need") {
		text += " Required."
	}
	if v.HasDefault && v.Tag.PlaceHolder != "" {
		text += " Default: " + v.Default + "."
	}
	if variable != "" {
		text += " [" + variable + "]"
	}
	return text
}

// variablesOf returns the names of the variables that stand for flags: all of the commands that start a server, and those
// with which the others find it. What a command takes for one call has none.
func variablesOf(n *kong.Node) map[*kong.Flag]string {
	variables := make(map[*kong.Flag]string)
	for _, f := range n.Flags {
		if n.Name == "dev" || n.Name == "serve" || f.Tag.Has("variable") {
			variables[f] = variable(f.Name)
		}
	}
	for _, child := range n.Children {
		maps.Copy(variables, variablesOf(child))
	}
	return variables
}

func variable(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// overruled reports whether args overrule the variable of flag: another way to the server does, and --admin-token-file the
// token itself.
func overruled(flag string, args []string) bool {
	given := func(names ...string) bool {
		return slices.ContainsFunc(args, func(arg string) bool { name, _, _ := strings.Cut(arg, "="); return slices.Contains(names, name) })
	}
	switch flag {
	case "admin-token":
		return given("--data", "--credentials", "--postgres", "--admin-token-file")
	case "admin-url", "admin-token-file":
		return given("--data", "--credentials", "--postgres")
	case "data":
		return given("--credentials", "--admin-url", "--postgres")
	case "postgres", "seal-key":
		return given("--data", "--credentials", "--admin-url")
	}
	return false
}

// unknownVariables returns a warning for each variable that stands for no flag, with the nearest of a command's flags.
func unknownVariables(environment map[string]string, variables map[*kong.Flag]string, flags []*kong.Flag) (warnings []string) {
	known := slices.Collect(maps.Values(variables))
	known = append(known, envPrefix+"REQUIRE") // of this project's tests, some of which run the program
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		if slices.Contains(known, name) {
			continue
		}
		warning, best := "unknown variable "+name, math.MaxInt
		for _, f := range flags {
			if v := variables[f]; v != "" && distance(name, v) < best {
				warning, best = fmt.Sprintf("unknown variable %s, did you mean %s?", name, v), distance(name, v)
			}
		}
		warnings = append(warnings, warning)
	}
	return warnings
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
