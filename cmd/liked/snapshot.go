package main

import "liked/internal/admin"

type resetCmd struct{ Answer }

func (c *resetCmd) Run(e *env) error {
	return show(e, &c.Answer, request{method: "POST", path: at("reset")}, nothing)
}

type snapshotTakeCmd struct {
	Name string `arg:"" help:"Its name: a-z, 0-9 and -."`
	Answer
}

func (c *snapshotTakeCmd) Run(e *env) error {
	return show(e, &c.Answer, request{method: "PUT", path: at("snapshots", c.Name)}, snapshotLines)
}

type snapshotListCmd struct{ Answer }

func (c *snapshotListCmd) Run(e *env) error {
	return list(e, &c.Answer, at("snapshots"), "NAME\tAT",
		func(all admin.SnapshotList) ([]admin.Snapshot, string) { return all.Snapshots, "" },
		func(s admin.Snapshot) []any { return []any{s.Name, when(s.At)} })
}

type snapshotRestoreCmd struct {
	Name string `arg:"" help:"Name of the snapshot."`
	Answer
}

func (c *snapshotRestoreCmd) Run(e *env) error {
	return show(e, &c.Answer, request{method: "POST", path: at("snapshots", c.Name, "restore")}, snapshotLines)
}

type snapshotDeleteCmd struct {
	Name string `arg:"" help:"Name of the snapshot."`
	Answer
}

func (c *snapshotDeleteCmd) Run(e *env) error {
	return show(e, &c.Answer, request{method: "DELETE", path: at("snapshots", c.Name)}, nothing)
}

// nothing is shown of a success but with --json.
func nothing(admin.Changed) [][2]string { return nil }

func snapshotLines(s admin.Snapshot) [][2]string {
	return [][2]string{{"name", s.Name}, {"at", when(s.At)}}
}
