package pgdb

import (
	"net/netip"
	"path/filepath"

	"github.com/jackc/pgx/v5"
)

// Exposed answers the first host of a URL to which a connection could cross a network in plaintext; empty if there is
// none. So it could with the driver's default, sslmode=prefer: whoever is on the way says that there is no TLS.
func Exposed(url string) (host string, err error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return "", errURL
	}
	if config.TLSConfig == nil && !onThisMachine(config.Host) {
		return config.Host, nil
	}
	for _, next := range config.Fallbacks {
		if next.TLSConfig == nil && !onThisMachine(next.Host) {
			return next.Host, nil
		}
	}
	return "", nil
}

// onThisMachine tells whether a host is a folder of sockets or of the loopback interface.
func onThisMachine(host string) bool {
	ip, err := netip.ParseAddr(host)
	return filepath.IsAbs(host) || host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
