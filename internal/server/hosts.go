package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"liked/internal/exchange"
	"liked/internal/web"
)

// checkHost answers 421 to requests for a host that is no address, not localhost and not known. A page on the web whose
// owner points its name at this machine (DNS rebinding) is of the same origin as what answers to that name: it would read
// credentials here and use them.
func checkHost(next http.Handler, known func(name string) bool, advice string, observe exchange.Observer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := hostname(r.Host)
		_, err := netip.ParseAddr(name)
		if err == nil || name == "" || name == "localhost" || known(name) { // no browser leaves the host out
			next.ServeHTTP(w, r)
			return
		}
		x := exchange.New("", r)
		w.Header().Set("X-Transaction-Id", x.TransactionID)
		x.Status, x.Why = http.StatusMisdirectedRequest, fmt.Sprintf("no host of this server: %q", name)
		if what := x.Why + ". " + fmt.Sprintf(advice, name); web.Accepted(r) {
			x.Bytes, x.Err = web.Write(w, x.Status, web.Trouble{Title: "This server has another name", Text: what, Next: &web.Link{}})
		} else {
			w.Header().Set("X-Content-Type-Options", "nosniff")
			x.Bytes = web.Send(w, x.Status, "text/plain; charset=utf-8", []byte(what+"\n"))
		}
		observe.Done(r, &x)
	})
}

// hostname returns the name or address in a Host header, in lower case.
func hostname(host string) string {
	return strings.TrimSuffix(strings.ToLower((&url.URL{Host: host}).Hostname()), ".")
}

// knownHosts reports whether the API answers for a name: one of this machine, of X, whose clients may be rerouted here, or
// of the configuration.
func (s *settings) knownHosts() func(name string) bool {
	_, public, _ := strings.Cut(s.publicURL, "://")
	names := []string{hostname(s.Listen), hostname(public)}
	for _, name := range s.AllowHosts {
		names = append(names, hostname(name))
	}
	return func(name string) bool {
		return below(name, "localhost", "x.com", "twitter.com") || slices.Contains(names, name)
	}
}

// below reports whether the name is one of the domains, or below it.
func below(name string, domains ...string) bool {
	return slices.ContainsFunc(domains, func(domain string) bool {
		sub, ok := strings.CutSuffix(name, domain)
		return ok && (sub == "" || strings.HasSuffix(sub, "."))
	})
}
