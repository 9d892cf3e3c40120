package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/keytrail/keytrail/internal/fault"
)

// ValidOrigin says why a web origin cannot be one of Config.CORSOrigins: browsers send scheme://host[:port] in lower
// case, and it is compared to the letter.
func ValidOrigin(origin string) error {
	u, err := url.Parse(origin)
	switch {
	case err != nil || u.Host == "" || origin != u.Scheme+"://"+u.Host || origin != strings.ToLower(origin):
		return fmt.Errorf("%q must be scheme://host or scheme://host:port in lower case, without a path", origin)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%q must begin with http:// or https://", origin)
	case strings.Contains(origin, "*"):
		return fmt.Errorf("%q must name one origin, without *", origin)
	}
	return nil
}

// guard keeps web pages out that are not of the configured origins. What they may read is the matter of CORS; this
// is about what they may do unread, and about pages that pass as the gateway's own because their host name was made
// to point at this machine (DNS rebinding).
func guard(next http.Handler, config Config) (http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	for _, origin := range config.CORSOrigins {
		if err := errors.Join(ValidOrigin(origin), protection.AddTrustedOrigin(origin)); err != nil {
			return nil, fmt.Errorf("CORS origins: %w", err)
		}
	}
	protection.SetDenyHandler(forbidden("this web origin may not call; add it to --cors-origins"))
	next = protection.Handler(next)
	if !config.Loopback {
		return next, nil
	}
	foreign := forbidden("the gateway listens on this machine alone, and takes requests for localhost or a loopback address only")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopbackHost(r.Host) {
			foreign.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}

// loopbackHost tells whether a Host header, with or without a port, names this machine to itself.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// forbidden answers 403 with a reason.
func forbidden(reason string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeFault(w, r, fault.New(fault.OriginForbidden, "%s", reason))
	})
}
