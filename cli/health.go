package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// healthTimeout limits the request.
const healthTimeout = 3 * time.Second

type healthCommand struct {
	OpsAddr string `default:"127.0.0.1:9100" help:"The --ops-addr of the service. If that is an unspecified address, localhost is used."`
}

// Run prints the response of /readyz. The exit code is 0 if the service is ready.
func (c *healthCommand) Run(ctx context.Context, to console) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	addr, err := dialable(c.OpsAddr)
	if err != nil {
		return fmt.Errorf("--ops-addr: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("--ops-addr: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the service does not respond: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(to.out, io.LimitReader(resp.Body, 64<<10)); err != nil {
		return fmt.Errorf("read the response: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: HTTP %d", resp.StatusCode)
	}
	return nil
}

// dialable returns an address at which a listener can be reached.
func dialable(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port), nil
}
