package capture

import (
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The authority vouches for X's hosts and for no other name or address, even to who has its key.
func TestAuthorityIsConstrained(t *testing.T) {
	t.Parallel()
	a, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.PEM())
	config, err := a.tls()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range Hosts {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, name := range []string{"example.com", "x.com.example.com", "notx.com", "127.0.0.1", "::1"} {
		forged := *leaf
		forged.DNSNames, forged.IPAddresses = []string{name}, nil
		if ip := net.ParseIP(name); ip != nil {
			forged.DNSNames, forged.IPAddresses = nil, []net.IP{ip}
		}
		der, err := x509.CreateCertificate(nil, &forged, a.certificate, leaf.PublicKey, a.key)
		if err != nil {
			t.Fatal(err)
		}
		other, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Verify(x509.VerifyOptions{Roots: pool, DNSName: name}); err == nil {
			t.Errorf("a certificate for %s is good", name)
		}
	}
}

func TestKeptAuthority(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	made, err := KeptAuthority(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	again, err := KeptAuthority(file)
	if err != nil || string(again.PEM()) != string(made.PEM()) {
		t.Errorf("another authority, %v", err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := KeptAuthority(file); err == nil {
		t.Error("a key that everybody may read is taken")
	}
	other := filepath.Join(t.TempDir(), "other.pem")
	if err := os.WriteFile(other, []byte("no authority"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := KeptAuthority(other); err == nil || !strings.Contains(err.Error(), other) {
		t.Errorf("what is no authority: %v", err)
	}
}

// OpenSSL itself says under which name it looks for a certificate.
func TestHashName(t *testing.T) {
	t.Parallel()
	a, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	name, err := a.hashName()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("openssl", "x509", "-noout", "-subject_hash")
	cmd.Stdin = strings.NewReader(string(a.PEM()))
	out, err := cmd.Output()
	if err != nil {
		skipOrFail(t, "openssl", err)
	}
	if want := strings.TrimSpace(string(out)) + ".0"; name != want {
		t.Errorf("%s, OpenSSL says %s", name, want)
	}
}

// skipOrFail ends a test for want of a tool: where LIKED_REQUIRE names it, or says "all", as a failure.
func skipOrFail(t *testing.T, tool string, err error) {
	t.Helper()
	for name := range strings.SplitSeq(os.Getenv("LIKED_REQUIRE"), ",") {
		if name == tool || name == "all" {
			t.Fatalf("%s: %v", tool, err)
		}
	}
	t.Skipf("%s: %v", tool, err)
}
