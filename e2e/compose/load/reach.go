package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// reachTime is the timeout of reach.
const reachTime = 30 * time.Second

// reach calls the auth service at an address until this many replicas have responded.
func reach(ctx context.Context, addr string, want int) error {
	conn, err := dial(addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(with(ctx, os.Getenv("CHECKER_TOKEN")), reachTime)
	defer cancel()
	checks, answered := authv1.NewCheckServiceClient(conn), map[string]bool{}
	for len(answered) < want {
		var from peer.Peer
		answer, err := checks.Check(ctx, &authv1.CheckRequest{
			AgentType: "agent", Endpoint: "/reach", WorkspaceId: workspace, CallId: uuid7.New(time.Now()).String(),
		}, grpc.Peer(&from), grpc.WaitForReady(true))
		if err != nil {
			return fmt.Errorf("check at %s: %d of %d replicas have responded: %w", addr, len(answered), want, err)
		}
		if code := answer.GetDenial().GetCode(); code != "missing_token" {
			return fmt.Errorf("check at %s: denied with %q, want missing_token", addr, code)
		}
		answered[from.Addr.String()] = true
	}
	fmt.Printf("%s: %d replicas responded\n", addr, len(answered))
	return nil
}

// unreachable returns an error if it can connect to one of the addresses.
func unreachable(ctx context.Context, addrs []string) error {
	if len(addrs) == 0 {
		return errors.New("no addresses")
	}
	dialer := net.Dialer{Timeout: 2 * time.Second}
	for _, addr := range addrs {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err == nil {
			conn.Close()
			return fmt.Errorf("%s is reachable", addr)
		}
		fmt.Printf("not reachable: %v\n", err)
	}
	return nil
}
