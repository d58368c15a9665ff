package main

import (
	"encoding/json"
	"fmt"

	"liked/internal/admin"
)

type faultAddCmd struct {
	Rule string `arg:"" help:"The rule as JSON, as in docs/control.md."`
	Answer
}

func (c *faultAddCmd) Run(e *env) error {
	return show(e, &c.Answer, request{method: "POST", path: at("faults"), body: []byte(c.Rule)}, func(f admin.FaultAdded) [][2]string {
		return [][2]string{{"id", f.ID}}
	})
}

type faultListCmd struct{ Answer }

func (c *faultListCmd) Run(e *env) error {
	return list(e, &c.Answer, at("faults"), "ID\tMATCHED\tDONE\tMATCH\tDO",
		func(all admin.FaultList) ([]admin.Fault, string) { return all.Faults, "" },
		func(f admin.Fault) []any {
			match, _ := json.Marshal(f.Match) // it was made of JSON
			do, _ := json.Marshal(f.Do)
			return []any{f.ID, f.Matched, f.Done, string(match), string(do)}
		})
}

type faultDeleteCmd struct {
	ID string `arg:"" help:"Id of the rule."`
	Operator
}

func (c *faultDeleteCmd) Run(e *env) error {
	return c.do(e, request{method: "DELETE", path: at("faults", c.ID)})
}

type faultClearCmd struct{ Operator }

func (c *faultClearCmd) Run(e *env) error {
	return c.do(e, request{method: "DELETE", path: at("faults")})
}

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
