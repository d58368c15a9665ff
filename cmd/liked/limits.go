package main

import (
	"fmt"

	"liked/internal/admin"
)

// callers are whose windows are meant.
type callers struct {
	User      string `help:"Of this user alone: id or username."`
	App       string `help:"Of this app alone: id, client id or name."`
	Operation string `help:"Of this operation alone."`
}

func (c callers) path() string { return admin.Callers(c).Path() }

type limitsShowCmd struct {
	callers
	Answer
}

func (c *limitsShowCmd) Run(e *env) error {
	return list(e, &c.Answer, c.path(), "OPERATION\tAPP\tUSER\tWINDOW\tLIMIT\tREMAINING\tRESET",
		func(all admin.WindowList) ([]admin.Window, string) { return all.Limits, "" },
		func(w admin.Window) []any {
			return []any{w.Operation, w.App, w.User, w.Window, w.Limit, w.Remaining, when(w.Reset)}
		})
}

type limitsResetCmd struct {
	callers
	Answer
}

func (c *limitsResetCmd) Run(e *env) error {
	return show(e, &c.Answer, request{method: "DELETE", path: c.path()}, func(done admin.WindowsReset) [][2]string {
		return [][2]string{{"reset", fmt.Sprint(done.Reset)}}
	})
}
