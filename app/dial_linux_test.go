package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/keytrail/keytrail/internal/telemetry"
)

// dnsServer resolves every name to one address.
type dnsServer struct{ address atomic.Pointer[[4]byte] }

func (n *dnsServer) serve(conn net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		size, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:size]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Header.Response, m.Additionals = true, nil
		if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class},
				Body:   &dnsmessage.AResource{A: *n.address.Load()},
			}}
		}
		if response, err := m.Pack(); err == nil {
			_, _ = conn.WriteTo(response, from) // the client repeats its query
		}
	}
}

// useDNS makes the process use a DNS server until the end of the test.
func useDNS(t *testing.T, n *dnsServer) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); n.serve(conn) }()
	system := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = system
		conn.Close()
		<-ended
	})
}

// replicaAt serves health at an address.
func replicaAt(t *testing.T, addr string) (at string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server, ended := grpc.NewServer(), make(chan error, 1)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go func() { ended <- server.Serve(l) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			server.Stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

// A recreated container has a new address, and DNS resolves to the old one until then. On Linux, all of 127.0.0.0/8 is local.
func TestReplicaIsFoundAtItsNewAddress(t *testing.T) {
	n := &dnsServer{}
	n.address.Store(&[4]byte{127, 0, 0, 1})
	useDNS(t, n)
	first, stop := replicaAt(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(first)
	metrics, err := telemetry.New("test", "v1")
	if err != nil {
		t.Fatal(err)
	}
	server := &Server{telemetry: metrics}
	conn, err := DialFlags{}.remote("--auth-addr", "replicas.test.:"+port, InsecureFlag{true}, slog.New(slog.DiscardHandler))(server)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}()
	call := func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		_, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
		return err
	}
	if err := call(time.Minute); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := call(500 * time.Millisecond); err == nil {
		t.Fatal("the stopped replica responds")
	}
	replicaAt(t, fmt.Sprintf("127.0.0.2:%s", port))
	n.address.Store(&[4]byte{127, 0, 0, 2})
	if err := call(time.Minute); err != nil {
		t.Errorf("the new address is not found: %v", err)
	}
}
