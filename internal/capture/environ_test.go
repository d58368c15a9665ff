package capture

import (
	"strings"
	"testing"
)

// What a program was told of proxies before leads none of X's hosts past this one.
func TestEnvironmentOfAProxy(t *testing.T) {
	t.Parallel()
	e := environment{Variables{
		"no_proxy":          "*, .x.com,api.twitter.com:443, X.COM.,*.twitter.com,com,10.0.0.0/8,::2,intern.example,notx.com,,",
		"JAVA_TOOL_OPTIONS": "-Dhttps.proxyHost=proxy.example -Dhttp.nonProxyHosts=*.x.com -Xmx1g",
		"NODE_OPTIONS":      "--max-old-space-size=99", "PYTHONPATH": "/own",
	}, Variables{}}
	e.trust(trustFiles{store: "/t/store"})
	e.proxy(preloads{"/t/node.cjs", "/t/python"}, "127.0.0.1", "81")
	for name, want := range map[string]string{
		"NO_PROXY":     "localhost,127.0.0.1,::1,10.0.0.0/8,::2,intern.example,notx.com",
		"no_proxy":     "localhost,127.0.0.1,::1,10.0.0.0/8,::2,intern.example,notx.com",
		"NODE_OPTIONS": `--require "/t/node.cjs" --max-old-space-size=99`,
		"PYTHONPATH":   "/t/python:/own",
	} {
		if got := e.sets[name]; got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	last := make(map[string]string) // Java takes what it is told last
	for option := range strings.FieldsSeq(e.sets["JAVA_TOOL_OPTIONS"]) {
		name, value, _ := strings.Cut(option, "=")
		last[name] = value
	}
	for name, want := range map[string]string{"-Dhttp.proxyHost": "127.0.0.1", "-Dhttp.proxyPort": "81", "-Dhttps.proxyHost": "127.0.0.1",
		"-Dhttps.proxyPort": "81", "-Dhttp.nonProxyHosts": "localhost|127.*|[::1]", "-Djavax.net.ssl.trustStore": "/t/store"} {
		if last[name] != want {
			t.Errorf("%s is %s, want %s", name, last[name], want)
		}
	}
	if _, own := last["-Xmx1g"]; !own {
		t.Errorf("what Java was told besides is lost: %s", e.sets["JAVA_TOOL_OPTIONS"])
	}
}
