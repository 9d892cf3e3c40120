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

// healthTime is how long a service may take to say how it is.
const healthTime = 3 * time.Second

type healthCommand struct {
	OpsAddr string `default:"127.0.0.1:9100" help:"The --ops-addr of the service; where that is all addresses of the machine, its loopback address is asked."`
}

// Run prints what /readyz answers; the exit code is 0 where the service is ready.
func (c *healthCommand) Run(ctx context.Context, to console) error {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	addr, err := askable(c.OpsAddr)
	if err != nil {
		return fmt.Errorf("--ops-addr: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("--ops-addr: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("nobody answers: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(to.out, io.LimitReader(resp.Body, 64<<10)); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: HTTP %d", resp.StatusCode)
	}
	return nil
}

// askable is an address to ask a listener at.
func askable(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port), nil
}
