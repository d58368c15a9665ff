package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The document has the table that the program prints.
func TestDocument(t *testing.T) {
	var b strings.Builder
	if err := run(nil, &b); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/scale.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), b.String()) {
		t.Errorf("docs/scale.md does not have the table; put in what `go run ./internal/scale` prints:\n%s", b.String())
	}
}

func TestMoved(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
	}{
		"the same":  {`{"bytes_per_like": 265}`, ""},
		"a little":  {`{"bytes_per_like": 300, "wal_bytes_per_like": 600}`, ""},
		"more":      {`{"bytes_per_like": 600}`, "bytes_per_like is 600, and was 265"},
		"less":      {`{"bytes_per_like": 100}`, "bytes_per_like is 100, and was 265"},
		"nothing":   {`{"bytes_per_like": 0}`, "bytes_per_like is 0"},
		"unknown":   {`{"bites": 1}`, "bites is no cost"},
		"no costs":  {`{}`, "has 0 costs"},
		"no object": {`[]`, "costs.json: json"},
	} {
		file := filepath.Join(t.TempDir(), "costs.json")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := run([]string{file}, new(strings.Builder))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want %q", name, err, c.want)
		}
	}
}

// Every cost of costs.json matters: a misspelt one would be zero.
func TestCostsAreUsed(t *testing.T) {
	c, err := parse(costsJSON)
	if err != nil {
		t.Fatal(err)
	}
	before := simulate(c, 1e9)
	for name := range c {
		was := c[name]
		c[name] = 10 * was
		if after := simulate(c, 1e9); after == before {
			t.Errorf("%s changes nothing", name)
		}
		c[name] = was
	}
	small := simulate(c, 1e8)
	if r := before.stored / small.stored; math.Abs(r-10) > 1e-9 {
		t.Errorf("ten times the users store %v times as much", r)
	}
}
