package gateway

import (
	"context"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/status"
)

// answerError answers an error of a service. Beside 401 the library would write the bare text of the error into
// WWW-Authenticate, which is no challenge.
func answerError(ctx context.Context, mux *runtime.ServeMux, marshaler runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	said := &challenging{ResponseWriter: w, challenge: challenge(r.Header.Get("Authorization"), status.Convert(err).Message())}
	runtime.DefaultHTTPErrorHandler(ctx, mux, marshaler, said, r, err)
}

// challenging writes the challenge of an answer that asks for a token.
type challenging struct {
	http.ResponseWriter
	challenge string
}

// WriteHeader implements http.ResponseWriter.
func (w *challenging) WriteHeader(code int) {
	w.Header().Del("WWW-Authenticate")
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", w.challenge)
	}
	w.ResponseWriter.WriteHeader(code)
}

// challenge is what RFC 6750 asks for: whoever sent no bearer token is told what is wanted, and no error.
func challenge(authorization, reason string) string {
	const realm = `Bearer realm="keytrail"`
	if scheme, _, _ := strings.Cut(authorization, " "); !strings.EqualFold(scheme, "Bearer") {
		return realm
	}
	return realm + `, error="invalid_token", error_description="` + strings.Map(descriptive, reason) + `"`
}

// descriptive keeps the characters that an error_description may have: printable ASCII without the two that would
// need an escape, which become an apostrophe. Others become a question mark.
func descriptive(r rune) rune {
	switch {
	case r == '"' || r == '\\' || r == '`':
		return '\''
	case r < ' ' || r > '~':
		return '?'
	}
	return r
}
