package server

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"fmt"
	"path/filepath"

	"liked/internal/api"
)

// reloadable is what Reload replaces in a running server.
type reloadable struct {
	adminToken  string
	rateLimits  string // as in Config
	limits      api.Limits
	certificate *tls.Certificate
}

func (c Config) certificate() (*tls.Certificate, error) {
	if c.TLSCert == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("tls-cert, tls-key: %w", err)
	}
	return &cert, nil
}

// Reload reads the certificate anew and takes the admin token, unless it is empty, and rate limits as Config has them. It
// logs what changed. After an error nothing has. One goroutine may call it.
func (s *Server) Reload(adminToken, rateLimits string) error {
	before := s.live.Load()
	c := s.Config
	c.AdminToken, c.RateLimits = cmp.Or(adminToken, before.adminToken), rateLimits
	checked, err := c.check()
	if err != nil {
		return err
	}
	after := &reloadable{adminToken: c.AdminToken, rateLimits: rateLimits, limits: checked.limits}
	if after.certificate, err = c.certificate(); err != nil {
		return err
	}
	changed := []string{}
	if after.adminToken != before.adminToken {
		changed = append(changed, "admin token")
		if dir := s.ownDir(); dir != "" {
			if err := WriteSecret(filepath.Join(dir, adminFile), s.access(after.adminToken)); err != nil {
				return err
			}
		}
	}
	if after.certificate != nil && !bytes.Equal(after.certificate.Certificate[0], before.certificate.Certificate[0]) {
		changed = append(changed, "certificate")
	}
	s.moments.mu.Lock() // another world has them from s.live
	defer s.moments.mu.Unlock()
	s.live.Store(after)
	if rateLimits != before.rateLimits {
		changed = append(changed, "rate limits")
		s.current().x.SetLimits(checked.limits)
	}
	s.Logger.Info("configuration read anew", "changed", changed)
	return nil
}
