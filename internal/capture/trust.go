package capture

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	_ "embed"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// bundles is where systems keep the certificates of all authorities in one file.
var bundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Arch, Alpine
	"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // the same, later
	"/etc/ssl/ca-bundle.pem",                            // openSUSE
	"/etc/ssl/cert.pem",                                 // Alpine, macOS, BSD
}

// trustVariables name files with authorities that a program trusts.
var trustVariables = []string{"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PERL_LWP_SSL_CA_FILE"}

//go:embed node.cjs
var nodePreload []byte

//go:embed sitecustomize.py
var pythonPreload []byte

// trustFiles are files that a program is pointed to, so that it trusts the authority beside all that it trusts otherwise.
// There is no secret in them.
type trustFiles struct {
	authority string // the authority alone
	bundle    string // with those that were trusted before
	store     string // the same for Java
	php       string // a directory
}

// storePassword is Java's usual one. There is no secret in the store.
const storePassword = "changeit"

// writeTrust writes the files.
func (a *Authority) writeTrust(dir string, environ Variables) (t trustFiles, err error) {
	t = trustFiles{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "bundle.pem"), filepath.Join(dir, "truststore.p12"),
		filepath.Join(dir, "php")}
	extra := a.PEM()
	if file := environ["NODE_EXTRA_CA_CERTS"]; file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return t, fmt.Errorf("NODE_EXTRA_CA_CERTS: %w", err)
		}
		extra = append(append(extra, '\n'), text...)
	}
	bundle := trusted(environ)
	bundle = append(append(bundle, '\n'), a.PEM()...)
	store, err := trustStore(bundle)
	if err != nil {
		return t, err
	}
	ini := fmt.Sprintf("curl.cainfo=%q\nopenssl.cafile=%[1]q\n", t.bundle)
	return t, writeFiles(map[string][]byte{t.authority: extra, t.bundle: bundle, t.store: store,
		filepath.Join(t.php, "liked.ini"): []byte(ini)})
}

// preloads are what Node and Python load at their start.
type preloads struct {
	node   string
	python string // a directory
}

// writePreloads writes what leads to the TLS port of this machine, and what is refused to the proxy.
func writePreloads(dir string, tlsPort int, proxyHost string, proxyPort int) (p preloads, err error) {
	p = preloads{filepath.Join(dir, "node.cjs"), filepath.Join(dir, "python")}
	run, err := json.Marshal(map[string]any{"port": tlsPort, "hosts": Hosts, "domains": domains,
		"proxy": map[string]any{"host": proxyHost, "port": proxyPort}})
	if err != nil {
		return p, err
	}
	return p, writeFiles(map[string][]byte{p.node: nodePreload, filepath.Join(p.python, "sitecustomize.py"): pythonPreload,
		filepath.Join(dir, "run.json"): run})
}

// writeFiles writes files that every user may read, and the directories that they are in.
func writeFiles(texts map[string][]byte) (err error) {
	for name, text := range texts {
		err = errors.Join(err, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, text, 0o644))
	}
	return err
}

// trusted returns the authorities that programs trust: those of the first file that the system has, and of those that
// variables name.
func trusted(environ Variables) (all []byte) {
	var read []string
	add := func(file string) bool {
		text, err := os.ReadFile(file)
		if err == nil {
			all, read = append(append(all, text...), '\n'), append(read, file)
		}
		return err == nil
	}
	for _, file := range bundles {
		if add(file) {
			break
		}
	}
	for _, name := range trustVariables {
		if file := environ[name]; file != "" && !strings.Contains(strings.Join(read, "\n"), file) {
			add(file)
		}
	}
	return all
}

// trustStore makes a PKCS 12 trust store of a bundle. What is no certificate that can be read is left out.
func trustStore(bundle []byte) ([]byte, error) {
	var entries []pkcs12.TrustStoreEntry
	for {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			break
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" &&
			!contains(entries, c) {
			entries = append(entries, pkcs12.TrustStoreEntry{Cert: c, FriendlyName: fmt.Sprintf("%d", len(entries))})
		}
	}
	return pkcs12.Modern2023.WithRand(rand.Reader).EncodeTrustStoreEntries(entries, storePassword)
}

func contains(entries []pkcs12.TrustStoreEntry, c *x509.Certificate) bool {
	for _, e := range entries {
		if bytes.Equal(e.Cert.Raw, c.Raw) {
			return true
		}
	}
	return false
}
