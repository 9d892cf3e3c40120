package httpserver

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// IsLoopback reports whether a host, with or without a port, is localhost or an address of the loopback interface.
func IsLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// LoopbackHosts passes requests for hosts of this machine to next, and all others to foreign. It is for listeners on a
// loopback address, and prevents DNS rebinding: a page whose host name resolves to a loopback address has the same origin as
// the listener.
func LoopbackHosts(next, foreign http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if IsLoopback(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		foreign.ServeHTTP(w, r)
	})
}

// OpsHosts refuses requests for other hosts if addr, on which handler is served without a token, is a loopback address.
func OpsHosts(handler http.Handler, addr net.Addr) http.Handler {
	if !IsLoopback(addr.String()) {
		return handler
	}
	return LoopbackHosts(handler, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "this port listens on this machine alone, and takes requests for localhost or a loopback address only", http.StatusForbidden)
	}))
}
