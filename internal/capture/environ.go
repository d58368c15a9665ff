package capture

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strings"
)

// Variables are those of an environment that make a program find X here, by name.
type Variables map[string]string

func parseEnviron(environ []string) Variables {
	v := make(Variables, len(environ))
	for _, text := range environ {
		name, value, _ := strings.Cut(text, "=")
		v[name] = value
	}
	return v
}

// over returns the environment with the variables in place of its own of the same names.
func (v Variables) over(environ []string) (all []string) {
	merged := parseEnviron(environ)
	maps.Copy(merged, v)
	for _, name := range slices.Sorted(maps.Keys(merged)) {
		all = append(all, name+"="+merged[name])
	}
	return all
}

// environment is what a program gets beside what this process has.
type environment struct{ had, sets Variables }

func (e environment) set(name, value string) { e.sets[name] = value }

// with puts text before what the variable holds.
func (e environment) with(name, text, separator string) {
	if old := cmp.Or(e.sets[name], e.had[name]); old != "" {
		text += separator + old
	}
	e.set(name, text)
}

// java tells Java, which takes what it is told last.
func (e environment) java(options string) {
	const name = "JAVA_TOOL_OPTIONS"
	e.set(name, strings.TrimSpace(cmp.Or(e.sets[name], e.had[name])+" "+options))
}

// trust points every runtime that reads a variable to the files.
func (e environment) trust(t trustFiles) {
	for _, name := range trustVariables {
		e.set(name, t.bundle)
	}
	e.set("NODE_EXTRA_CA_CERTS", t.authority) // Node has its own beside it
	e.java("-Djavax.net.ssl.trustStore=" + t.store + " -Djavax.net.ssl.trustStorePassword=" + storePassword +
		" -Djavax.net.ssl.trustStoreType=PKCS12")
	e.set("PHP_INI_SCAN_DIR", e.had["PHP_INI_SCAN_DIR"]+string(os.PathListSeparator)+t.php) // an empty element is the built-in one
}

// proxy makes every runtime that can be told use the proxy, and Node and Python load what leads X's hosts here without one.
func (e environment) proxy(p preloads, host, port string) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} { // Ruby takes the last for https, too
		e.set(name, "http://"+host+":"+port)
	}
	direct := []string{"localhost", "127.0.0.1", "::1"}
	for name := range strings.SplitSeq(cmp.Or(e.had["NO_PROXY"], e.had["no_proxy"]), ",") {
		if name = strings.TrimSpace(name); !leadsPast(name) {
			direct = append(direct, name)
		}
	}
	e.set("NO_PROXY", strings.Join(direct, ","))
	e.set("no_proxy", strings.Join(direct, ","))
	e.set("PERL_LWP_ENV_PROXY", "1")
	for _, scheme := range []string{"http", "https"} {
		e.java("-D" + scheme + ".proxyHost=" + host + " -D" + scheme + ".proxyPort=" + port)
	}
	e.java("-Dhttp.nonProxyHosts=localhost|127.*|[::1]") // of both
	e.with("NODE_OPTIONS", `--require "`+p.node+`"`, " ")
	e.with("PYTHONPATH", p.python, string(os.PathListSeparator))
}

// leadsPast reports whether a name in NO_PROXY would let X's hosts past a proxy, or is none.
func leadsPast(name string) bool {
	name = strings.TrimLeft(name, "*.")
	host, _, _ := strings.Cut(name, ":")
	above := func(domain string) bool { return strings.HasSuffix("."+domain, "."+canonical(host)) }
	return name == "" || isX(host) || slices.ContainsFunc(domains, above)
}

// direct leads clients that read their addresses from variables, as xurl does, to where the server answers without TLS.
func (e environment) direct(api string) {
	e.set("API_BASE_URL", api)
	e.set("AUTH_URL", api+"/i/oauth2/authorize")
	e.set("TOKEN_URL", api+"/2/oauth2/token")
	e.set("INFO_URL", api+"/2/users/me")
}

// bypass keeps programs from asking a proxy of their own for X's hosts.
func (e environment) bypass() {
	names := strings.Join(domains, ",") + ",." + strings.Join(domains, ",.")
	e.with("NO_PROXY", names, ",")
	e.with("no_proxy", names, ",")
}
