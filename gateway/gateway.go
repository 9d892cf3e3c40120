// Package gateway is the REST side of both services on one HTTP port: JSON as protojson writes it, errors as
// google.rpc.Status. It reaches the services through client connections, so that every request passes the
// interceptors of their servers, with the token of the request: the gateway has none of its own.
package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/rs/cors"
	"google.golang.org/grpc"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/telemetry"
)

// Config says what the gateway is in front of.
type Config struct {
	// Auth and Logs are the connections to the two services.
	Auth, Logs grpc.ClientConnInterface
	// CORSOrigins are the web origins, e.g. https://console.example.com, whose pages may call; none = no page of
	// another origin.
	CORSOrigins []string
	// Loopback says that the gateway listens to this machine alone: it then refuses requests for any other host.
	Loopback bool
	// Log is told where a service cannot be reached.
	Log *slog.Logger
}

// New makes the handler of the gateway.
func New(ctx context.Context, config Config) (http.Handler, error) {
	readQueriesStrictly()
	routes, err := readRoutes()
	if err != nil {
		return nil, fmt.Errorf("read the REST routes: %w", err)
	}
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newMarshaler()),
		// A verb means what it says: no X-HTTP-Method-Override, no form that is posted to a GET route. A web page
		// of any origin could send both.
		runtime.WithDisablePathLengthFallback(),
		runtime.WithErrorHandler(answerError(config.Log)),
		runtime.WithRoutingErrorHandler(routes.answerRouting),
		runtime.WithMiddlewares(nameRoute, routes.refuseIgnored, pathInUTF8),
		// The caller's Authorization goes on to the services, which the library does by itself, and nothing else: by
		// default a header like Grpc-Metadata-Authorization would become a second one.
		runtime.WithIncomingHeaderMatcher(noHeader),
		// Nor does gRPC metadata of the services become headers of answers.
		runtime.WithOutgoingHeaderMatcher(noHeader),
		runtime.WithOutgoingTrailerMatcher(noHeader),
	)
	if err := register(ctx, mux, config); err != nil {
		return nil, fmt.Errorf("register the REST routes: %w", err)
	}
	knocker := &knocker{mux: mux, keys: authv1.NewKeyServiceClient(discreet{config.Auth, config.Log})}
	handler, err := guard(withOpenAPI(boundBody(knocker.handler(mux))), config)
	if err != nil {
		return nil, err
	}
	return withHeaders(withCORS(handler, config.CORSOrigins), config.Loopback), nil
}

// noHeader lets no header pass.
func noHeader(string) (string, bool) { return "", false }

// nameRoute tells the metrics which route a request has taken.
func nameRoute(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		if pattern, ok := runtime.HTTPPattern(r.Context()); ok {
			telemetry.SetRoute(r.Context(), r.Method+" "+pattern.String())
		}
		next(w, r, params)
	}
}

// withCORS lets the pages of the origins read answers. They send no cookies: there are none.
func withCORS(next http.Handler, origins []string) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{"Authorization", "Content-Type"},
		ExposedHeaders: []string{"Retry-After", "WWW-Authenticate"},
		MaxAge:         600,
	}).Handler(next)
}

func register(ctx context.Context, mux *runtime.ServeMux, config Config) error {
	auth, logs := discreet{config.Auth, config.Log}, discreet{config.Logs, config.Log}
	if err := authv1.RegisterCheckServiceHandlerClient(ctx, mux, authv1.NewCheckServiceClient(auth)); err != nil {
		return err
	}
	if err := authv1.RegisterKeyServiceHandlerClient(ctx, mux, authv1.NewKeyServiceClient(auth)); err != nil {
		return err
	}
	return logsv1.RegisterLogServiceHandlerClient(ctx, mux, logsv1.NewLogServiceClient(logs))
}
