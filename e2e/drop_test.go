package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/http2"
	"golang.org/x/sync/errgroup"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keytrail/keytrail/app"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// droppedResponses is how many responses a test's proxy drops.
const droppedResponses = 1000

// droppingProxy is a TCP proxy in front of a gRPC server. It closes connections at random at the start of a response:
// the service has handled the call, and the client gets UNAVAILABLE.
type droppingProxy struct {
	*proxy
	// left is the number of responses still to drop.
	left   atomic.Int64
	mu     sync.Mutex
	random *rand.Rand
}

func newDroppingProxy(t *testing.T, upstream string, seed uint64) *droppingProxy {
	t.Helper()
	d := &droppingProxy{random: rand.New(rand.NewPCG(seed, 1))}
	d.left.Store(droppedResponses)
	d.proxy = newProxy(t, "tcp", upstream, d.copy)
	return d
}

// drops reports whether to drop the next response, with a probability of one third.
func (d *droppingProxy) drops() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left.Load() == 0 || d.random.IntN(3) > 0 {
		return false
	}
	d.left.Add(-1)
	return true
}

// copy passes on what the server sends.
func (d *droppingProxy) copy(client, server net.Conn) {
	var frame bytes.Buffer
	framer := http2.NewFramer(io.Discard, io.TeeReader(server, &frame))
	answered := map[uint32]bool{}
	for {
		read, err := framer.ReadFrame()
		if err != nil {
			return
		}
		// The first HEADERS frame of a stream starts a response, the second holds its trailers.
		if headers, ok := read.(*http2.HeadersFrame); ok && !answered[headers.StreamID] {
			if d.drops() {
				return
			}
			answered[headers.StreamID] = true
		}
		if _, err := frame.WriteTo(client); err != nil {
			return
		}
	}
}

// retryUnavailable repeats a call while it returns UNAVAILABLE.
func retryUnavailable(ctx context.Context, call func(context.Context) error) error {
	for {
		err := call(ctx)
		if status.Code(err) != codes.Unavailable || ctx.Err() != nil {
			return err
		}
		pause(ctx, time.Millisecond)
	}
}

type dropClient struct {
	checks authv1.CheckServiceClient
	keys   authv1.KeyServiceClient
	secret string
	// expected are the rows of its calls, and created the ids of its keys.
	expected []*logsv1.RequestLog
	created  []string
}

// call checks and reports a call, with retries.
func (c *dropClient) call(ctx context.Context, number int) error {
	request := &authv1.CheckRequest{
		ApiKey: c.secret, AgentType: "agent", Endpoint: fmt.Sprint("/dropped/", number), WorkspaceId: "acme", CallId: uuid7.New(time.Now()).String(),
	}
	var answer *authv1.CheckResponse
	err := retryUnavailable(ctx, func(ctx context.Context) (err error) {
		answer, err = c.checks.Check(ctx, request, grpc.WaitForReady(true))
		return err
	})
	if err != nil {
		return fmt.Errorf("check %d: %w", number, err)
	}
	done := checkedOf(request, "acme", answer)
	if done.row.GetId() != request.GetCallId() {
		return fmt.Errorf("check %d returned the row %s, want %s", number, done.row.GetId(), request.GetCallId())
	}
	report := &authv1.ReportRequest{Outcomes: []*authv1.Outcome{done.outcome(201, 1.5)}}
	err = retryUnavailable(ctx, func(ctx context.Context) error {
		response, err := c.checks.Report(ctx, report, grpc.WaitForReady(true))
		if err == nil && len(response.GetRefused()) > 0 {
			return fmt.Errorf("refused %v", response.GetRefused())
		}
		return err
	})
	latency := 1.5
	done.row.Status, done.row.LatencyMs = 201, &latency
	c.expected = append(c.expected, done.row)
	return err
}

// create creates a key, with retries. After a lost response, the ALREADY_EXISTS error of the retry names the key.
func (c *dropClient) create(ctx context.Context, number int) error {
	request := &authv1.CreateKeyRequest{
		WorkspaceId: "keys", Key: &authv1.Key{Name: fmt.Sprint("key ", number), Scopes: []string{"agent"}, AllAgents: true}, RequestId: uuid.NewString(),
	}
	var id string
	err := retryUnavailable(ctx, func(ctx context.Context) error {
		answer, err := c.keys.CreateKey(ctx, request, grpc.WaitForReady(true))
		id = answer.GetKey().GetId()
		if status.Code(err) == codes.AlreadyExists {
			for _, detail := range status.Convert(err).Details() {
				if info, ok := detail.(*errdetails.ErrorInfo); ok {
					id, err = info.GetMetadata()["key_id"], nil
				}
			}
		}
		return err
	})
	c.created = append(c.created, id)
	return err
}

func TestRetriesAfterLostResponsesCreateNoDuplicates(t *testing.T) {
	t.Parallel()
	s, seed := start(t, t.TempDir(), time.Now), newSeed(t)
	proxy := newDroppingProxy(t, s.server.AuthAddr(), seed)
	secret := s.createKey("acme", "k", nil).secret
	ctx, cancel := context.WithTimeout(t.Context(), 2*waitTimeout)
	defer cancel()
	var numbers atomic.Int64
	clients := make([]*dropClient, 8)
	group, working := errgroup.WithContext(ctx)
	for i := range clients {
		conn := dial(t, proxy.addr(), s.credentials())
		c := &dropClient{checks: authv1.NewCheckServiceClient(conn), keys: authv1.NewKeyServiceClient(conn), secret: secret}
		clients[i] = c
		group.Go(func() error {
			for proxy.left.Load() > 0 {
				number := int(numbers.Add(1))
				do := c.call
				if number%4 == 0 {
					do = c.create
				}
				if err := do(working, number); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatalf("-seed %d: %v", seed, err)
	}
	awaitShipped(t, s.server.OpsAddr())
	var expected []*logsv1.RequestLog
	var created []string
	for _, c := range clients {
		expected, created = append(expected, c.expected...), append(created, c.created...)
	}
	rows := walk(t, s.logs, &logsv1.ListRequestLogsRequest{WorkspaceId: "acme"})
	expectRows(t, rows, expected)
	if len(rows) != len(expected) {
		t.Errorf("-seed %d: %d rows of %d calls", seed, len(rows), len(expected))
	}
	keys, err := s.keys.ListKeys(t.Context(), &authv1.ListKeysRequest{WorkspaceId: "keys", PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, key := range keys.GetKeys() {
		there = append(there, key.GetId())
	}
	slices.Sort(created)
	slices.Sort(there)
	if !slices.Equal(there, created) {
		t.Errorf("-seed %d: %d keys of %d creations", seed, len(there), len(created))
	}
	t.Logf("%d responses dropped of %d calls and %d new keys", droppedResponses-proxy.left.Load(), len(expected), len(created))
}

// TestTheGatewayRetriesACheckWithOneID sends no call id: the gateway must set one before it retries a check.
func TestTheGatewayRetriesACheckWithOneID(t *testing.T) {
	t.Parallel()
	s, seed := start(t, t.TempDir(), time.Now), newSeed(t)
	proxy := newDroppingProxy(t, s.server.AuthAddr(), seed)
	proxy.left.Store(60)
	config := app.GatewayConfig{GatewayAddr: anyPort, AuthAddr: proxy.addr(), LogsAddr: s.server.LogsAddr(), OpsAddr: anyPort}
	config.TokenKeys = s.tokenKeys()
	gateway, err := app.NewGatewayServer(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	run(t, gateway)
	secret, bearer := s.createKey("acme", "k", nil).secret, s.token(access.Checker, "acme")
	answered := map[string]bool{}
	for number := 0; proxy.left.Load() > 0 && number < 5000; number++ {
		endpoint := fmt.Sprint("/repeated/", number)
		body := fmt.Sprintf(`{"apiKey":%q,"agentType":"agent","endpoint":%q,"workspaceId":"acme"}`, secret, endpoint)
		resp := send(t, http.MethodPost, "http://"+gateway.GatewayAddr()+"/v1/check", bearer, strings.NewReader(body))
		resp.Body.Close()
		answered[endpoint] = resp.StatusCode == http.StatusOK
	}
	awaitShipped(t, s.server.OpsAddr())
	rows := map[string]int{}
	for _, row := range walk(t, s.logs, &logsv1.ListRequestLogsRequest{WorkspaceId: "acme"}) {
		rows[row.GetEndpoint()]++
	}
	for endpoint, ok := range answered {
		if n := rows[endpoint]; n > 1 || ok && n != 1 {
			t.Errorf("-seed %d: the check of %s (succeeded: %v) has %d rows", seed, endpoint, ok, n)
		}
	}
	if proxy.left.Load() > 0 {
		t.Errorf("-seed %d: %d responses were not dropped: too few for this test", seed, proxy.left.Load())
	}
}
