package main

import (
	"encoding/json"

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
	return list(e, &c.Answer, at("faults"), "ID\tMATCHED\tDONE\tMATCH\tWHEN\tDO",
		func(all admin.FaultList) ([]admin.Fault, string) { return all.Faults, "" },
		func(f admin.Fault) []any {
			match, _ := json.Marshal(f.Match) // it was made of JSON
			when, _ := json.Marshal(f.When)
			do, _ := json.Marshal(f.Do)
			return []any{f.ID, f.Matched, f.Done, string(match), string(when), string(do)}
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
