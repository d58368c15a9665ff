package main

import (
	"testing"

	"github.com/alecthomas/kong"
)

// Every command and every flag says what it does, and every text is about one that there is.
func TestHelp(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(new(grammar), kong.Name("liked"), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	explain(parser.Model.Node)
	used := make(map[string]bool)
	var visit func(n *kong.Node)
	visit = func(n *kong.Node) {
		if n.Detail != "" {
			used[n.Path()] = true
		}
		if len(n.Children) == 0 && n.Detail == "" && !n.Hidden {
			t.Errorf("%s has no text in help.txt", n.Path())
		}
		for _, f := range n.Flags {
			used["--"+f.Name] = true
			if describe(f.Value, "") == "" && !n.Hidden && !f.Hidden {
				t.Errorf("%s --%s: no word about what it does", n.Path(), f.Name)
			}
		}
		for _, child := range n.Children {
			visit(child)
		}
	}
	visit(parser.Model.Node)
	if len(used) < 50 {
		t.Errorf("got %d commands and flags", len(used))
	}
	for name := range texts {
		if !used[name] {
			t.Errorf("help.txt has a text about %q, which is neither a command nor a flag", name)
		}
	}
}
