package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/rs/cors"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/httpserver"
)

// ValidOrigin returns an error if a web origin is not valid in Config.CORSOrigins. Browsers send scheme://host[:port] in
// lower case, and it is compared literally.
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

// refuseForeignOrigins refuses requests from web pages of other origins than the configured ones. CORS limits what pages
// can read; this limits what they can change.
func refuseForeignOrigins(next http.Handler, origins []string) (http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	for _, origin := range origins {
		if err := errors.Join(ValidOrigin(origin), protection.AddTrustedOrigin(origin)); err != nil {
			return nil, fmt.Errorf("CORS origins: %w", err)
		}
	}
	protection.SetDenyHandler(forbidden("this web origin may not call; add it to --cors-origins"))
	return protection.Handler(next), nil
}

// refuseForeignHosts refuses requests for other hosts than this machine.
func refuseForeignHosts(next http.Handler) http.Handler {
	return httpserver.LoopbackHosts(next,
		forbidden("the gateway listens on this machine alone, and takes requests for localhost or a loopback address only"))
}

// forbidden responds with 403 and a reason.
func forbidden(reason string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeFault(w, r, fault.New(fault.OriginForbidden, "%s", reason))
	})
}

// withCORS lets pages of the origins read responses. It allows no cookies, because the gateway uses none.
func withCORS(next http.Handler, origins []string) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{"Authorization", "Content-Type", "Last-Event-ID"},
		ExposedHeaders: []string{"Content-Disposition", "Retry-After", "WWW-Authenticate"},
		MaxAge:         600,
	}).Handler(next)
}

// securityHeaders are in every response, which is data for a program: browsers must not store, sniff or frame it. Documents
// replace some of them.
var securityHeaders = map[string]string{
	"Cache-Control":           "no-store",
	"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
	"Referrer-Policy":         "no-referrer",
	"X-Content-Type-Options":  "nosniff",
	"X-Frame-Options":         "DENY",
}

// withSecurityHeaders adds securityHeaders, and HSTS over TLS. On a loopback address HSTS would apply to whatever else is
// served on localhost.
func withSecurityHeaders(next http.Handler, loopback bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range securityHeaders {
			w.Header().Set(name, value)
		}
		if r.TLS != nil && !loopback {
			w.Header().Set("Strict-Transport-Security", "max-age=31536000") // a year
		}
		next.ServeHTTP(w, r)
	})
}
