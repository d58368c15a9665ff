// Command scale says what a database of likes needs, from 10^6 to 10^9 users: cores, bytes, WAL, connections and nodes, as a
// table for docs/scale.md. It takes what a like costs from costs.json, which is measured, and what people do from the
// constants below, which are assumed. With the name of a file of newly measured costs it fails if one of them has moved.
package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
)

// What people do, and what machines are bought: change them to your own.
const (
	likesPerDay   = 2.0  // of a user
	likesPerUser  = 100  // kept
	postsPerUser  = 10   // kept
	windowsOfUser = 1    // rate windows of a day, on average
	profileBytes  = 170  // of a user, beside what is measured
	textBytes     = 325  // of a post, likewise
	peak          = 5.0  // times the mean
	busy          = 0.5  // of a core or a disk, at the peak
	nodeCores     = 16   // of a database's node
	nodeBytes     = 2e12 // that one node can be backed up and copied with
	processLikes  = 5000 // a second that a server process is given at the peak
	drift         = 1.5  // how far a measured cost may be from costs.json
)

//go:embed costs.json
var costsJSON []byte

// costs are by name; every name of costs.json is used.
type costs map[string]float64

func parse(b []byte) (costs, error) {
	var c costs
	err := json.Unmarshal(b, &c)
	return c, err
}

// need is what so many users need at the peak, and after their likes have come.
type need struct {
	users, likes               float64 // likes a second at the peak
	cores, wal                 float64 // WAL in bytes a second
	stored, logged             float64 // bytes; logged: the like log of a day
	processes, connections     int
	nodes                      int
	likesOfNode, coresOfStores float64
}

func simulate(c costs, users float64) need {
	n := need{users: users, likes: users * likesPerDay / 86400 * peak}
	n.cores = n.likes * (c["database_us_per_like"] + c["database_us_per_request"]) / 1e6 / busy
	n.wal = n.likes * (c["wal_bytes_per_like"] + c["wal_bytes_per_request"])
	n.logged = users * likesPerDay * c["bytes_per_log_entry"]
	n.stored = n.logged + users*(likesPerUser*c["bytes_per_like"]+c["bytes_per_user"]+profileBytes+
		postsPerUser*(c["bytes_per_post"]+textBytes)+windowsOfUser*c["bytes_per_window"])
	n.processes = max(2, int(math.Ceil(n.likes/processLikes)))
	n.connections = n.processes * int(c["connections_per_process"])
	n.nodes = max(1, int(math.Ceil(n.stored/nodeBytes)), int(math.Ceil(n.cores/nodeCores)))
	n.likesOfNode = n.likes / float64(n.nodes)
	n.coresOfStores = n.likes * c["store_us_per_like"] / 1e6 / busy
	return n
}

// table is in Markdown.
func table(c costs) string {
	var b strings.Builder
	columns := []string{"users", "likes/s at the peak", "cores of the database", "cores of the stores", "WAL MB/s", "stored",
		"of it a day's log", "processes", "connections", "nodes", "likes/s of a node"}
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
	for users := 1e6; users <= 1e9; users *= 10 {
		n := simulate(c, users)
		fmt.Fprintf(&b, "| %.0f million | %.0f | %.1f | %.1f | %.1f | %s | %s | %d | %d | %d | %.0f |\n", users/1e6, n.likes, n.cores,
			n.coresOfStores, n.wal/1e6, size(n.stored), size(n.logged), n.processes, n.connections, n.nodes, n.likesOfNode)
	}
	return b.String()
}

func size(bytes float64) string {
	switch {
	case bytes >= 1e12:
		return fmt.Sprintf("%.1f TB", bytes/1e12)
	case bytes >= 1e9:
		return fmt.Sprintf("%.1f GB", bytes/1e9)
	}
	return fmt.Sprintf("%.0f MB", bytes/1e6)
}

// moved returns a line for each measured cost that is not what the table is made of.
func moved(old, measured costs) (lines []string) {
	for name, now := range measured {
		was, ok := old[name]
		switch {
		case !ok:
			lines = append(lines, fmt.Sprintf("%s is no cost in costs.json", name))
		case !(now > 0) || now > drift*was || was > drift*now:
			lines = append(lines, fmt.Sprintf("%s is %g, and was %g: measure again, or put it into costs.json and the table into docs/scale.md",
				name, now, was))
		}
	}
	slices.Sort(lines)
	return lines
}

func run(args []string, w io.Writer) error {
	c, err := parse(costsJSON)
	if err != nil {
		return err
	}
	for _, file := range args {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		measured, err := parse(b)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if lines := moved(c, measured); len(lines) > 0 || len(measured) == 0 {
			return fmt.Errorf("%s has %d costs, of which have moved:\n%s", file, len(measured), strings.Join(lines, "\n"))
		}
	}
	_, err = io.WriteString(w, table(c))
	return err
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
