package capture

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"strings"
	"time"
)

// Authority vouches for X's hosts. It can vouch for nothing else: who has its key is X to the programs that trust it, and
// nobody besides.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

const (
	authorityLifetime = 365 * 24 * time.Hour // some clients take no certificate for more than 398 days
	leafLifetime      = 90 * 24 * time.Hour
)

// NewAuthority returns an authority whose key is in memory alone.
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	everything := func(bits int) *net.IPNet { return &net.IPNet{IP: make(net.IP, bits/8), Mask: net.CIDRMask(0, bits)} }
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: fmt.Sprintf("liked %x", serial().Bytes()[:4])},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(authorityLifetime),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: domains,
		ExcludedIPRanges: []*net.IPNet{everything(32), everything(128)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &Authority{certificate, key}, err
}

func serial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:])
}

// KeptAuthority returns the authority in the file, which only its owner may read, or makes it.
func KeptAuthority(file string) (*Authority, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return makeAuthority(file)
	}
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: others than its owner may read the key in it: chmod 600, or remove it for a new one (%v)", file, err)
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, fmt.Errorf("%s is not an authority that this program made: %w", file, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	switch {
	case !ok || !pair.Leaf.IsCA || !pair.Leaf.PermittedDNSDomainsCritical:
		return nil, fmt.Errorf("%s is not an authority that this program made: remove it for a new one", file)
	case time.Now().Add(leafLifetime / 3).After(pair.Leaf.NotAfter):
		return nil, fmt.Errorf("%s is an authority until %s: remove it for a new one", file, pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	return &Authority{pair.Leaf, key}, nil
}

func makeAuthority(file string) (*Authority, error) {
	a, err := NewAuthority()
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(append(a.PEM(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...))
	return a, errors.Join(err, f.Close())
}

// PEM returns the certificate, for those who are to trust it.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// tls returns what a server needs to be X's hosts, in HTTP/1.1 and HTTP/2.
func (a *Authority) tls() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	leaf := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: Hosts[0]}, DNSNames: Hosts,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(leafLifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		Certificates: []tls.Certificate{{Certificate: [][]byte{der, a.certificate.Raw}, PrivateKey: key}},
	}, nil
}

// hashName is the file name under which OpenSSL looks for the certificate in a directory: the first bytes of the SHA-1 of
// the subject in a canonical form, which has words in lower case and leaves out the outermost sequence.
func (a *Authority) hashName() (string, error) {
	type attribute struct {
		Type  asn1.ObjectIdentifier
		Value string `asn1:"utf8"`
	}
	var subject bytes.Buffer
	for _, name := range a.certificate.Subject.Names {
		text, ok := name.Value.(string)
		if !ok {
			return "", fmt.Errorf("a subject with a value that is no text: %v", name)
		}
		set, err := asn1.MarshalWithParams([]attribute{{name.Type, strings.ToLower(text)}}, "set")
		if err != nil {
			return "", err
		}
		subject.Write(set)
	}
	sum := sha1.Sum(subject.Bytes())
	return fmt.Sprintf("%08x.0", binary.LittleEndian.Uint32(sum[:4])), nil
}
