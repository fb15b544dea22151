// Command pki makes the keys of one Kubernetes API for the test bed: a CA, a serving certificate for the loopback
// address, client certificates, and the key that signs ServiceAccount tokens.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const lifetime = 365 * 24 * time.Hour

type authority struct {
	directory string
	name      string
	key       *ecdsa.PrivateKey
	cert      *x509.Certificate
	serial    int64
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: pki DIRECTORY NAME")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal("pki: ", err)
	}
}

func run(directory, name string) error {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return err
	}
	ca, err := newAuthority(directory, name)
	if err != nil {
		return err
	}
	for file, subject := range map[string]pkix.Name{
		"server": {CommonName: "kube-apiserver"},
		"admin":  {CommonName: "admin", Organization: []string{"system:masters"}},
	} {
		if err := ca.issue(file, subject); err != nil {
			return err
		}
	}
	signer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	return writeKey(filepath.Join(directory, "service-accounts.key"), signer)
}

func newAuthority(directory, name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	a := &authority{directory: directory, name: name, key: key, serial: 1}
	a.cert = a.template(pkix.Name{CommonName: "test bed CA of " + name})
	a.cert.IsCA = true
	a.cert.BasicConstraintsValid = true
	a.cert.KeyUsage = x509.KeyUsageCertSign
	a.cert.SubjectKeyId = []byte(name)
	return a, a.write("ca", a.cert, key)
}

func (a *authority) template(subject pkix.Name) *x509.Certificate {
	a.serial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.serial),
		Subject:      subject,
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(lifetime),
	}
}

// issue makes a certificate that serves on the loopback address and identifies a client.
func (a *authority) issue(file string, subject pkix.Name) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leaf := a.template(subject)
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	leaf.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, net.IPv4(10, 0, 0, 1)}
	return a.write(file, leaf, key)
}

func (a *authority) write(file string, cert *x509.Certificate, key *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", file, err)
	}
	path := filepath.Join(a.directory, file)
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(path+".crt", block, 0o600); err != nil {
		return err
	}
	return writeKey(path+".key", key)
}

func writeKey(path string, key crypto.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	// The API server reads ServiceAccount keys in the older forms only, when they are RSA.
	block := &pem.Block{Type: "PRIVATE KEY", Bytes: der}
	if rsaKey, ok := key.(*rsa.PrivateKey); ok {
		block = &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}
	}
	return os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}
