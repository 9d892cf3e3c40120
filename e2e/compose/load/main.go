// Command load calls a running Keytrail like a backend until SIGTERM, then compares the request logs with the calls. It
// runs on the network of the compose file.
//
// Environment: AUTH_ADDR, LOGS_ADDR and GATEWAY_URL are the addresses, ADMIN_TOKEN and CHECKER_TOKEN the tokens.
//
//	load reach ADDR N       calls the auth service at ADDR until N replicas have responded
//	load unreachable ADDR…  fails if one of them accepts a connection
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/resolver/dns"
)

const (
	// overGRPC and overREST are the numbers of clients.
	overGRPC, overREST = 6, 2
	// pace is the interval between the calls of a client.
	pace = 20 * time.Millisecond
	// waitTimeout is how long to wait for the last rows.
	waitTimeout = 2 * time.Minute
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	switch {
	case len(args) == 0:
		return run(ctx)
	case args[0] == "reach" && len(args) == 3:
		want, err := strconv.Atoi(args[2])
		if err != nil {
			return fmt.Errorf("number of replicas: %w", err)
		}
		return reach(ctx, args[1], want)
	case args[0] == "unreachable":
		return unreachable(ctx, args[1:])
	}
	return fmt.Errorf("unknown arguments %q", args)
}

func run(ctx context.Context) error {
	// A replaced replica has another address. The default interval of gRPC is 30 s.
	dns.SetMinResolutionInterval(time.Second)
	background := context.WithoutCancel(ctx)
	c, err := connect()
	if err != nil {
		return err
	}
	secret, err := c.createKey(background)
	if err != nil {
		return fmt.Errorf("create a key: %w", err)
	}
	h := &history{prefix: fmt.Sprintf("/load-%d", time.Now().Unix()), answered: map[string]row{}}
	var group errgroup.Group
	for i := range overGRPC + overREST {
		do := c.overGRPC
		if i >= overGRPC {
			do = c.overREST
		}
		group.Go(func() error {
			h.run(ctx, i, func(ctx context.Context, one call) error { return do(ctx, secret, one) })
			return nil
		})
	}
	fmt.Println("calling")
	if err := group.Wait(); err != nil {
		return err
	}
	late, cancel := context.WithTimeout(background, waitTimeout)
	defer cancel()
	v, err := h.awaitRows(late, c)
	if err != nil {
		return err
	}
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	if v.Failed+v.Lost+v.Doubled+v.Wrong > 0 {
		return fmt.Errorf("%d calls failed, %d rows lost, %d duplicated, %d wrong; first failures: %v", v.Failed, v.Lost, v.Doubled, v.Wrong, h.failures)
	}
	return nil
}
