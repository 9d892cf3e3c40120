package gateway

import "net/http"

// answerHeaders are of every answer: it is data for a program. A browser must not keep it, take it for a page, show it
// in one or tell others from where it came.
var answerHeaders = map[string]string{
	"Cache-Control":           "no-store",
	"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
	"Referrer-Policy":         "no-referrer",
	"X-Content-Type-Options":  "nosniff",
	"X-Frame-Options":         "DENY",
}

// transportSecurity makes browsers come back in TLS only, for a year.
const transportSecurity = "max-age=31536000"

// withHeaders gives every answer its headers. A gateway of this machine does not ask for TLS to stay: it would ask so
// for whatever else is served on localhost.
func withHeaders(next http.Handler, loopback bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range answerHeaders {
			w.Header().Set(name, value)
		}
		if r.TLS != nil && !loopback {
			w.Header().Set("Strict-Transport-Security", transportSecurity)
		}
		next.ServeHTTP(w, r)
	})
}
