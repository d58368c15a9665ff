package main

import (
	"fmt"
	"time"

	"liked/internal/admin"
	"liked/internal/clock"
)

type clockShowCmd struct{ Answer }

func (c *clockShowCmd) Run(e *env) error {
	return show(e, &c.Answer, request{method: "GET", path: at("clock")}, clockLines)
}

type clockSetCmd struct {
	Now    *time.Time `json:"now,omitempty" placeholder:"TIME" help:"Move it forward to this time, as in 2030-01-02T15:04:05Z."`
	Frozen *bool      `json:"frozen,omitempty" negatable:"" help:"Stop it; --no-frozen lets it go on."`
	Speed  *float64   `json:"speed,omitempty" placeholder:"N" help:"Make so many of its seconds pass in a real one."`
	Answer
}

func (c *clockSetCmd) Run(e *env) error {
	return show(e, &c.Answer, request{method: "PUT", path: at("clock"), body: c}, clockLines)
}

type clockAdvanceCmd struct {
	By time.Duration `arg:"" help:"How far, as in 15m or 2h30m."`
	Answer
}

func (c *clockAdvanceCmd) Run(e *env) error {
	in := admin.ClockAdvance{By: clock.Duration(c.By)}
	return show(e, &c.Answer, request{method: "POST", path: at("clock", "advance"), body: in}, clockLines)
}

func clockLines(c admin.Clock) [][2]string {
	goes := "as the real one"
	switch {
	case c.Frozen:
		goes = "not: it is frozen"
	case c.Speed != 1:
		goes = fmt.Sprintf("%v times as fast as the real one", c.Speed)
	case c.Moved:
		goes = "as fast as the real one"
	}
	return [][2]string{{"now", when(c.Now)}, {"goes", goes}}
}
