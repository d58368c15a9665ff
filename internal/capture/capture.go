// Package capture makes a program's calls to X arrive at this server, without a change to the program. [NewFront] makes
// what stands for X in front of a server; [Front.Run] runs a command that takes it for X.
package capture

import (
	"slices"
	"strings"
)

// Hosts are the names of X that lead to the server, over TLS on port 443.
var Hosts = []string{
	"api.x.com", "x.com", "upload.x.com", "stream.x.com", "www.x.com",
	"api.twitter.com", "twitter.com", "upload.twitter.com", "stream.twitter.com", "www.twitter.com",
}

// domains are X's. No program reaches what is below them and not in Hosts.
var domains = []string{"x.com", "twitter.com"}

func isHost(name string) bool { return slices.Contains(Hosts, canonical(name)) }

func isX(name string) bool {
	name = canonical(name)
	return slices.ContainsFunc(domains, func(d string) bool { return name == d || strings.HasSuffix(name, "."+d) })
}

func canonical(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") }
