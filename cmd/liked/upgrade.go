package main

import (
	"fmt"
	"io"
	"log/slog"

	"liked/internal/server"
)

type upgradeCmd struct {
	Data  string `placeholder:"DIR" need:"the data directory" help:"Data directory, which no server may have open."`
	Check bool   `help:"Only say what there is to do, and change nothing."`
	Output
}

func (c *upgradeCmd) Run(e *env) error {
	u, err := server.Upgrade(c.Data, c.Check, slog.New(slog.NewTextHandler(e.stderr, nil)))
	if err != nil {
		return err
	}
	return c.print(e, u, func(w io.Writer) {
		if u.From == u.To {
			fmt.Fprintf(w, "format %d, which is this program's: nothing is to be done\n", u.To)
			return
		}
		done := "raised"
		if c.Check {
			done = "to be raised"
		}
		fmt.Fprintf(w, "format %d, %s to %d, which earlier releases refuse\n", u.From, done, u.To)
		for _, s := range u.Steps {
			fmt.Fprintf(w, "  to %d: %s; %d rows read, %d written\n", s.To, s.What, s.Read, s.Written)
		}
	})
}

type versionCmd struct{ Output }

func (c *versionCmd) Run(e *env) error {
	r := server.ThisRelease()
	return c.print(e, r, func(w io.Writer) {
		fmt.Fprintf(w, "%v\nstore format %d, raised from %d on; backup format %d\n", r, r.Formats.Store, r.Formats.StoreFrom, r.Formats.Backup)
	})
}
