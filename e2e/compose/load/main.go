// Command load calls a running Keytrail like a backend does, until it is told to stop, and then compares the request
// logs with what it was answered. It runs on the network of the compose file.
//
// Environment: AUTH_ADDR, LOGS_ADDR and GATEWAY_URL say where, ADMIN_TOKEN and CHECKER_TOKEN with which tokens.
//
//	load reach ADDR N       calls the auth service at ADDR until N replicas have answered
//	load unreachable ADDR…  fails if a connection to one of them can be made
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
	// overGRPC and overREST are how many clients call at once.
	overGRPC, overREST = 6, 2
	// pace is how often each of them does.
	pace = 20 * time.Millisecond
	// patience is how long it waits for the last rows.
	patience = 2 * time.Minute
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
	// A replica that is replaced has another address; gRPC would ask DNS anew every 30 s only.
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
	l := &ledger{prefix: fmt.Sprintf("/load-%d", time.Now().Unix()), answered: map[string]row{}}
	var group errgroup.Group
	for i := range overGRPC + overREST {
		do := c.overGRPC
		if i >= overGRPC {
			do = c.overREST
		}
		group.Go(func() error {
			l.keepCalling(ctx, i, func(ctx context.Context, one call) error { return do(ctx, secret, one) })
			return nil
		})
	}
	fmt.Println("calling")
	if err := group.Wait(); err != nil {
		return err
	}
	late, cancel := context.WithTimeout(background, patience)
	defer cancel()
	v, err := l.compare(late, c)
	if err != nil {
		return err
	}
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	if v.Failed+v.Lost+v.Doubled+v.Wrong > 0 {
		return fmt.Errorf("%d calls failed, %d rows are lost, %d doubled, %d wrong; the first: %v", v.Failed, v.Lost, v.Doubled, v.Wrong, l.failures)
	}
	return nil
}
