package gateway

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

// TestOnlyTheTokenOfTheRequestIsForwarded sends other headers that could become a second token.
func TestOnlyTheTokenOfTheRequestIsForwarded(t *testing.T) {
	var arrived metadata.MD
	server := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, _ any, _ *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
		arrived, _ = metadata.FromIncomingContext(ctx)
		return &authv1.ListKeysResponse{}, nil
	}))
	authv1.RegisterKeyServiceServer(server, authv1.UnimplementedKeyServiceServer{})
	conn := connect(t, server.Serve, server.Stop)
	signer := accesstest.NewSigner(t)
	handler, err := New(t.Context(), Config{Auth: conn, Logs: conn, Verifier: accesstest.Verifier(t, signer), Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	a := accesstest.Bearer(t, signer, access.Viewer, "acme")
	for name, tt := range map[string]struct {
		header [][2]string
		want   []string // nil: nothing arrives
	}{
		"one":                    {[][2]string{{"Authorization", a}}, []string{a}},
		"none":                   {nil, nil},
		"two":                    {[][2]string{{"Authorization", a}, {"Authorization", a}}, nil},
		"gRPC metadata":          {[][2]string{{"Grpc-Metadata-Authorization", a}}, nil},
		"additional metadata":    {[][2]string{{"Authorization", a}, {"grpc-metadata-authorization", "Bearer b"}}, []string{a}},
		"the library's own name": {[][2]string{{"Authorization", a}, {"Grpcgateway-Authorization", "Bearer b"}}, []string{a}},
		"a proxy's":              {[][2]string{{"Authorization", a}, {"Proxy-Authorization", "Bearer b"}, {"X-Authorization", "Bearer c"}}, []string{a}},
		"its binary form":        {[][2]string{{"Authorization", a}, {"Grpc-Metadata-Authorization-Bin", "QmVhcmVyIGI="}}, []string{a}},
		"not ASCII":              {[][2]string{{"Authorization", "Bearer ä"}}, nil},
	} {
		arrived = nil
		request := httptest.NewRequest("GET", "/v1/workspaces/acme/keys", nil)
		for _, h := range tt.header {
			request.Header.Add(h[0], h[1])
		}
		response := serve(handler, request)
		if got := arrived.Get("authorization"); (response.Code == 200) != (tt.want != nil) || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %d, arrived %q, want %q", name, response.Code, got, tt.want)
		}
		for key := range arrived {
			if key != "authorization" && strings.Contains(key, "authorization") {
				t.Errorf("%s: %s arrived, too", name, key)
			}
		}
	}
}
