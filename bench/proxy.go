package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/keytrail/keytrail/app"
	"github.com/keytrail/keytrail/cli"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/proxytest"
)

// proxyBench runs Keytrail, and nginx and Caddy in turn in front of a service, with the configurations of docs/integrations. It
// must run in the root of the repository.
type proxyBench struct {
	Calls int           `default:"200" help:"Number of calls of each kind through each proxy, one after the other."`
	Wait  time.Duration `default:"20ms" help:"How long the service takes."`
}

// plainNginx and plainCaddy are a second server of each proxy, without Keytrail: ADDR in front of SERVICE.
const (
	plainNginx = `
server {
    listen ADDR;
    access_log off;
    location / {
        proxy_set_header Host $host;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_pass http://service;
    }
}
`
	plainCaddy = `
http://ADDR {
	reverse_proxy SERVICE
}
`
)

// Run measures both proxies.
func (b *proxyBench) Run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "keytrail-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithCancel(ctx)
	server, signer, ended, err := startServe(ctx, dir)
	defer func() { err = errors.Join(err, stopOf(cancel, ended)) }()
	if err != nil {
		return err
	}
	service := httptest.NewServer(http.HandlerFunc(b.serve))
	defer service.Close()
	r := report{"calls": float64(b.Calls)}
	for _, name := range []string{"nginx", "caddy"} {
		p := &measuredProxy{name: name, server: server, signer: signer, plain: freeAddr()}
		p.Dir, p.Service = filepath.Join(dir, name), service.Listener.Addr().String()
		err := p.start(ctx)
		if err == nil {
			err = errors.Join(p.measure(ctx, r, b.Calls), p.stop())
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return r.print()
}

// serve is the service: calls of agents take a while, and others do not.
func (b *proxyBench) serve(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "/slow/") {
		_ = pause(r.Context(), b.Wait) // the caller has gone
	}
	fmt.Fprintln(w, "ok")
}

// measuredProxy is a running proxy with its reporter.
type measuredProxy struct {
	name          string
	server        *app.Server
	signer        *access.Signer
	secret, plain string
	proxytest.Proxy
	cmd  *exec.Cmd
	stop func() error
}

// start starts the proxy and its reporter.
func (p *measuredProxy) start(ctx context.Context) (err error) {
	p.Docs, p.Log = filepath.Join("docs", "integrations"), filepath.Join(p.Dir, "access.log")
	p.Addr, p.Gateway = freeAddr(), p.server.GatewayAddr()
	if err := os.Mkdir(p.Dir, 0o700); err != nil {
		return err
	}
	grant := access.Grant{Role: access.Checker, Workspaces: []string{"acme"}, From: time.Now(), TTL: time.Hour}
	if p.Token, err = p.signer.Token(grant); err != nil {
		return err
	}
	p.secret, err = p.keytrail(ctx, "keys", "create", "-w", "acme", "--name=bench", "--scope=agent", "--all-agents")
	if err != nil {
		return err
	}
	plain, prepare := plainNginx, proxytest.Proxy.Nginx
	if p.name == "caddy" {
		plain, prepare = plainCaddy, proxytest.Proxy.Caddy
	}
	p.More = strings.NewReplacer("ADDR", p.plain, "SERVICE", p.Service).Replace(plain)
	if p.cmd, err = prepare(p.Proxy); err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.report(ctx)
	return nil
}

// report starts the reporter, and sets stop.
func (p *measuredProxy) report(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	reported := make(chan error, 1)
	go func() {
		state := filepath.Join(p.Dir, "state")
		_, err := p.keytrail(ctx, "report-access-log", "--format", p.name, "--file", p.Log, "--state", state)
		reported <- err
	}()
	p.stop = func() error {
		cancel()
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		_ = p.cmd.Wait() // a signal
		return <-reported
	}
}

// keytrail runs a command of keytrail, and returns what it prints.
func (p *measuredProxy) keytrail(ctx context.Context, args ...string) (string, error) {
	var printed, failed bytes.Buffer
	args = append(args, "--auth-addr", p.server.AuthAddr(), "--data-dir", filepath.Dir(p.Dir))
	if code := cli.Main(ctx, args, &printed, &failed); code != 0 {
		return "", fmt.Errorf("keytrail %s: %s", args[0], failed.String())
	}
	return strings.TrimSpace(printed.String()), nil
}
