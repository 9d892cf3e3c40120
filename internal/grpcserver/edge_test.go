package grpcserver

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// frames opens an HTTP/2 connection without gRPC and passes the frames of the server to seen until that returns true.
func (f *fixture) frames(t *testing.T, write func(*http2.Framer), seen func(http2.Frame) bool) {
	t.Helper()
	conn, err := f.listener.DialContext(t.Context())
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte(http2.ClientPreface))
	must(t, err)
	framer := http2.NewFramer(conn, conn)
	must(t, framer.WriteSettings())
	write(framer)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Errorf("the server closed the connection: %v", err)
			return
		}
		if seen(frame) {
			return
		}
	}
}

func TestLimitsOfAConnectionAreAnnounced(t *testing.T) {
	f := newFixture(t, &keys{})
	f.frames(t, func(*http2.Framer) {}, func(frame http2.Frame) bool {
		settings, ok := frame.(*http2.SettingsFrame)
		if !ok || settings.IsAck() {
			return false
		}
		for id, want := range map[http2.SettingID]uint32{http2.SettingMaxConcurrentStreams: maxConcurrentCalls, http2.SettingMaxHeaderListSize: maxHeaderBytes} {
			if got, _ := settings.Value(id); got != want {
				t.Errorf("%v is %d, want %d", id, got, want)
			}
		}
		return true
	})
}

func TestTooManyPingsEndAConnection(t *testing.T) {
	f := newFixture(t, &keys{})
	f.frames(t, func(framer *http2.Framer) {
		for range 10 {
			_ = framer.WritePing(false, [8]byte{}) // the server may have closed the connection
		}
	}, func(frame http2.Frame) bool {
		away, ok := frame.(*http2.GoAwayFrame)
		if ok && (away.ErrCode != http2.ErrCodeEnhanceYourCalm || string(away.DebugData()) != "too_many_pings") {
			t.Errorf("GOAWAY has %v", away)
		}
		return ok
	})
}

func TestMessagesHaveALimit(t *testing.T) {
	f := newFixture(t, &keys{create: func(*authv1.CreateKeyRequest) {}})
	_, err := f.client.CreateKey(t.Context(), &authv1.CreateKeyRequest{WorkspaceId: strings.Repeat("x", AuthMessageBytes)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message above the limit: %v", err)
	}
	if _, err := f.client.CreateKey(t.Context(), &authv1.CreateKeyRequest{WorkspaceId: strings.Repeat("x", AuthMessageBytes-1000)}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a message below the limit: %v, want a violated rule", err)
	}
}

func TestHundredsOfCallsOfOneConnectionAreInFlight(t *testing.T) {
	const calls = 512
	var arrived sync.WaitGroup
	arrived.Add(calls)
	f := newFixture(t, &keys{get: func(context.Context, *authv1.GetKeyRequest) (*authv1.GetKeyResponse, error) {
		arrived.Done()
		arrived.Wait() // for all of them
		return &authv1.GetKeyResponse{}, nil
	}})
	var ended sync.WaitGroup
	for range calls {
		ended.Go(func() {
			if _, err := f.client.GetKey(t.Context(), validRequest); err != nil {
				t.Error(err)
			}
		})
	}
	ended.Wait()
}

// overTCP makes the server also listen on a TCP socket, and returns a client that uses it.
func (f *fixture) overTCP(t *testing.T, options ...grpc.DialOption) authv1.KeyServiceClient {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go func() { _ = f.server.Serve(listener) }() // until the fixture stops the server
	conn, err := grpc.NewClient(listener.Addr().String(), append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	must(t, err)
	t.Cleanup(func() { must(t, conn.Close()) })
	return authv1.NewKeyServiceClient(conn)
}
