package app

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// slowReplica is a service whose calls take a time.
type slowReplica struct {
	authv1.UnimplementedCheckServiceServer
	authv1.UnimplementedKeyServiceServer
	logsv1.UnimplementedLogServiceServer
	takes time.Duration
	// calls counts those that began.
	calls atomic.Int64
}

func (r *slowReplica) wait(ctx context.Context) error {
	r.calls.Add(1)
	timer := time.NewTimer(r.takes)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

func (r *slowReplica) Check(ctx context.Context, _ *authv1.CheckRequest) (*authv1.CheckResponse, error) {
	return &authv1.CheckResponse{}, r.wait(ctx)
}

func (r *slowReplica) CreateKey(ctx context.Context, _ *authv1.CreateKeyRequest) (*authv1.CreateKeyResponse, error) {
	return &authv1.CreateKeyResponse{}, r.wait(ctx)
}

func (r *slowReplica) ListRequestLogs(
	ctx context.Context, _ *logsv1.ListRequestLogsRequest,
) (*logsv1.ListRequestLogsResponse, error) {
	return &logsv1.ListRequestLogsResponse{}, r.wait(ctx)
}

// slowReplicas is a connection to replicas in the bubble of a test.
type slowReplicas struct {
	replicas []*slowReplica
	checks   authv1.CheckServiceClient
	keys     authv1.KeyServiceClient
	logs     logsv1.LogServiceClient
}

// withSlowReplicas runs a test with a connection as remote makes it, to a replica for each of takes, with a clock of its own.
func withSlowReplicas(t *testing.T, test func(*testing.T, *slowReplicas), takes ...time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &slowReplicas{}
		listeners, addresses := map[string]*bufconn.Listener{}, []resolver.Address{}
		for i, duration := range takes {
			replica, server, address := &slowReplica{takes: duration}, grpc.NewServer(), string(rune('a'+i))
			authv1.RegisterCheckServiceServer(server, replica)
			authv1.RegisterKeyServiceServer(server, replica)
			logsv1.RegisterLogServiceServer(server, replica)
			listener := bufconn.Listen(inMemoryBuffer)
			var serving sync.WaitGroup
			serving.Go(func() { _ = server.Serve(listener) })
			defer serving.Wait()
			defer server.Stop()
			listeners[address], addresses = listener, append(addresses, resolver.Address{Addr: address})
			s.replicas = append(s.replicas, replica)
		}
		names := manual.NewBuilderWithScheme("test")
		names.InitialState(resolver.State{Addresses: addresses})
		conn, err := grpc.NewClient("test:///", grpc.WithResolvers(names),
			grpc.WithDefaultServiceConfig(GRPCServiceConfig),
			grpc.WithChainUnaryInterceptor(newLateRepeats().intercept),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
				return listeners[address].DialContext(ctx)
			}))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Connect()
		synctest.Wait()
		s.checks, s.keys = authv1.NewCheckServiceClient(conn), authv1.NewKeyServiceClient(conn)
		s.logs = logsv1.NewLogServiceClient(conn)
		test(t, s)
	})
}

// calls returns how many calls of all replicas began.
func (s *slowReplicas) calls() (all int64) {
	for _, replica := range s.replicas {
		all += replica.calls.Load()
	}
	return all
}

func TestOneSlowReplicaGetsACallOnce(t *testing.T) {
	withSlowReplicas(t, func(t *testing.T, s *slowReplicas) {
		_, err := s.logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{})
		if n := s.calls(); err != nil || n != 1 {
			t.Errorf("a list of 2 s: %d calls, %v", n, err)
		}
	}, 2*time.Second)
}

// TestSlowReplicasGetFewRepetitions: replicas that are slow because they have much to do must not get three times as much.
func TestSlowReplicasGetFewRepetitions(t *testing.T) {
	const callers, each = 50, 100
	withSlowReplicas(t, func(t *testing.T, s *slowReplicas) {
		var calling sync.WaitGroup
		for caller := range callers {
			calling.Go(func() {
				<-time.After(time.Duration(caller) * 20 * time.Millisecond) // so that no two make calls at a time
				for range each {
					if _, err := s.checks.Check(t.Context(), &authv1.CheckRequest{}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		calling.Wait()
		const made, most = callers * each, callers*each*(callsPerRepeat+1)/callsPerRepeat + repeatsAtOnce
		if n := s.calls(); n < made || n > most {
			t.Errorf("%d slow checks are %d calls, want at most %d", made, n, most)
		}
	}, 2*time.Second, 2*time.Second, 2*time.Second)
}

// TestRepetitionsAreLimited: replicas are not avoided here, because other calls show that they respond.
func TestRepetitionsAreLimited(t *testing.T) {
	const calls, most = 1000, 1000/callsPerRepeat + repeatsAtOnce
	synctest.Test(t, func(t *testing.T) {
		both := &picker{}
		both.replicas = []*replica{{picker: both}, {picker: both}}
		attempts := 0
		invoke := func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
			attempts++
			ctx.Value(pickedReplica{}).(*pickedReplica).Store(both.replicas[0])
			return (&slowReplica{takes: 2 * time.Second}).wait(ctx)
		}
		limited := newLateRepeats()
		for range calls {
			ctx := context.WithValue(t.Context(), pickedReplica{}, &pickedReplica{}) // the last attempt has none of its own
			if err := limited.intercept(ctx, authv1.CheckService_Check_FullMethodName, nil, nil, nil, invoke); err != nil {
				t.Fatal(err)
			}
		}
		if repeated := attempts - calls; repeated < repeatsAtOnce || repeated > most {
			t.Errorf("%d late calls were repeated %d times, want at most %d", calls, repeated, most)
		}
	})
}

// TestCallsPassBesideAReplicaThatDoesNotRespond: the first calls meet it, and are repeated; then it is avoided.
func TestCallsPassBesideAReplicaThatDoesNotRespond(t *testing.T) {
	const callers = 3 * repeatsAtOnce
	withSlowReplicas(t, func(t *testing.T, s *slowReplicas) {
		began := time.Now()
		for range 2 {
			var calling sync.WaitGroup
			for range callers {
				calling.Go(func() {
					if _, err := s.checks.Check(t.Context(), &authv1.CheckRequest{}); err != nil {
						t.Error(err)
					}
				})
			}
			calling.Wait()
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("they took %v", took)
		}
		if n := s.replicas[0].calls.Load(); n != callers/3 {
			t.Errorf("the replica got %d calls, want %d", n, callers/3)
		}
	}, time.Hour, time.Millisecond, time.Millisecond)
}

func TestCallsEndWithTheirDeadline(t *testing.T) {
	withSlowReplicas(t, func(t *testing.T, s *slowReplicas) {
		for name, tt := range map[string]struct {
			call  func(context.Context) error
			given time.Duration // 0 = none
			want  time.Duration
			calls int64
		}{
			"a key is created once":  {s.createKey, 0, 5 * time.Second, 1},
			"the caller's deadline":  {s.check, 300 * time.Millisecond, 300 * time.Millisecond, 1},
			"a check that is late":   {s.check, 0, 6 * time.Second, 3},
			"the caller's, repeated": {s.check, 700 * time.Millisecond, 700 * time.Millisecond, 2},
		} {
			for _, replica := range s.replicas {
				replica.calls.Store(0)
			}
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if tt.given != 0 {
				ctx, cancel = context.WithTimeout(ctx, tt.given)
			}
			began := time.Now()
			err := tt.call(ctx)
			cancel()
			took, calls := time.Since(began), s.calls()
			if status.Code(err) != codes.DeadlineExceeded || took > tt.want || calls > tt.calls {
				t.Errorf("%s: %v after %v and %d calls, want %v and %d", name, err, took, calls, tt.want, tt.calls)
			}
		}
	}, time.Hour, time.Hour, time.Hour)
}

func (s *slowReplicas) check(ctx context.Context) error {
	_, err := s.checks.Check(ctx, &authv1.CheckRequest{})
	return err
}

func (s *slowReplicas) createKey(ctx context.Context) error {
	_, err := s.keys.CreateKey(ctx, &authv1.CreateKeyRequest{})
	return err
}
