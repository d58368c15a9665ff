package compat

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the rows of docs/clients.md anew, of the clients that run")

// table is held by those who read docs/clients.md and may write it anew.
var table sync.Mutex

// deed is a line that a client's test wrote when it had passed.
type deed struct {
	Client, Version, From, Did, Pointed string
}

// checkTable holds docs/clients.md to what the clients of one registry did: a row for each client and version, in their
// order. Where file has nothing, its tests are of tools that have no row.
func checkTable(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	} else if err != nil {
		t.Fatal(err)
	}
	deeds := map[string]map[string]bool{} // by the row with a hole
	var from string
	for in := bufio.NewScanner(bytes.NewReader(text)); in.Scan(); {
		var d deed
		if err := json.Unmarshal(in.Bytes(), &d); err != nil {
			t.Fatalf("%s: %v", in.Text(), err)
		}
		from = d.From
		row := fmt.Sprintf("| %s | `%s` | %s | %%s | %s |", d.From, d.Client, d.Version, d.Pointed)
		if deeds[row] == nil {
			deeds[row] = map[string]bool{}
		}
		deeds[row][d.Did] = true
	}
	var want []string
	for _, row := range slices.Sorted(maps.Keys(deeds)) {
		want = append(want, fmt.Sprintf(row, strings.Join(slices.Sorted(maps.Keys(deeds[row])), ", ")))
	}

	const document = "../docs/clients.md"
	table.Lock()
	defer table.Unlock()
	page, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var got, others []string
	const head = "| --- | --- | --- | --- | --- |\n"
	before, after, ok := strings.Cut(string(page), head)
	if !ok {
		t.Fatalf("%s has no table of five columns", document)
	}
	for strings.HasPrefix(after, "| ") {
		var row string
		row, after, _ = strings.Cut(after, "\n")
		if strings.HasPrefix(row, "| "+from+" |") {
			got = append(got, row)
		} else {
			others = append(others, row)
		}
	}
	if slices.Equal(got, want) {
		return
	}
	if !*update {
		t.Errorf("%s has of %s\n%s\nwant (make compat TESTFLAGS=-update)\n%s",
			document, from, strings.Join(got, "\n"), strings.Join(want, "\n"))
		return
	}
	rows := slices.Concat(others, want)
	slices.Sort(rows)
	page = []byte(before + head + strings.Join(rows, "\n") + "\n" + after)
	if err := os.WriteFile(document, page, 0o644); err != nil {
		t.Fatal(err)
	}
}
