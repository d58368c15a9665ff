package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"liked/internal/seed"
)

type envCmd struct {
	File string `arg:"" help:"What \"liked dev --credentials FILE\" wrote; - is standard input."`
	User string `placeholder:"USER" help:"Id or username of the user whose tokens are exported. Default: alice, or the last."`

	Postman bool `help:"Write an environment for Postman instead."`
}

func (c *envCmd) Run(e *env) error {
	k, err := e.readCredentials(c.File)
	if err != nil {
		return err
	}
	user, err := userOf(k, c.User)
	if err != nil {
		return fmt.Errorf("%s has %w", c.File, err)
	}
	if c.Postman {
		_, err := e.stdout.Write(k.Postman(user).Encode(true))
		return err
	}
	return writeExports(e.stdout, variablesFor(k, user))
}

// writeExports writes names and values as a POSIX shell reads them.
func writeExports(w io.Writer, variables [][2]string) error {
	for _, v := range variables {
		if _, err := io.WriteString(w, "export "+v[0]+"="+quoted(v[1])+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// userOf returns the user with the id or name, or for "" the one for examples.
func userOf(k seed.Credentials, idOrName string) (seed.User, error) {
	if idOrName == "" {
		user, _ := k.First()
		return user, nil
	}
	for _, u := range k.Users {
		if u.ID.String() == idOrName || strings.EqualFold(u.Username, strings.TrimPrefix(idOrName, "@")) {
			return u, nil
		}
	}
	return seed.User{}, fmt.Errorf("no user %q", idOrName)
}

// variablesFor returns names and values of the variables with which programs call the server as the user, and its operator.
func variablesFor(k seed.Credentials, user seed.User) [][2]string {
	return append(k.Variables(user), [][2]string{{"LIKED_ADMIN_URL", k.AdminURL}, {"LIKED_ADMIN_TOKEN", k.AdminToken}}...)
}

func (e *env) readCredentials(file string) (k seed.Credentials, err error) {
	text, err := e.read(file, 1<<30)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; it is there while `liked dev --credentials %s` runs", err, file)
	}
	if err == nil {
		if k, err = seed.Parse(text); err != nil {
			err = fmt.Errorf("%s is not a credentials file: %w", file, err)
		}
	}
	return k, err
}

// quoted quotes text for a POSIX shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
