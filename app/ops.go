package app

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/keytrail/keytrail/internal/httpserver"
)

// operatorPort is a port for operators. It is served from before the parts are opened, which takes minutes with many keys or
// during a migration, until they have stopped: a liveness probe must not kill a process that starts.
type operatorPort struct {
	cancel context.CancelFunc
	// done is closed when the port is closed; err is valid then.
	done chan struct{}
	err  error
}

// run is the part that stops the port after all others.
func (p *operatorPort) run(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-p.done: // it failed: Close returns why
	}
	p.stop()
	return nil
}

// stop closes the port if it is still open.
func (p *operatorPort) stop() {
	p.cancel()
	<-p.done
}

// Close implements io.Closer. It returns why the port failed.
func (p *operatorPort) Close() error {
	p.stop()
	return p.err
}

// openOperatorPorts opens the ops port, and the port of profiles if it has an address.
func (s *Server) openOperatorPorts(opsAddr, pprofAddr string) error {
	if pprofAddr != "" {
		if _, err := s.openOperatorPort("--pprof-addr", pprofAddr, httpserver.Profiles()); err != nil {
			return err
		}
	}
	addr, err := s.openOperatorPort("--ops-addr", opsAddr, s.opsHandler())
	s.opsAddr = addr
	return err
}

func (s *Server) openOperatorPort(flag, addr string, handler http.Handler) (net.Addr, error) {
	listener, err := s.listen(flag, addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	port := &operatorPort{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(port.done)
		port.err = httpserver.Serve(ctx, listener, httpserver.OpsHosts(handler, listener.Addr()), s.log)
	}()
	s.closeLater(port)
	s.parts = append(s.parts, port.run)
	return listener.Addr(), nil
}

// opsHandler responds, until Run begins, with what the start is doing: the parts are added to s.checks meanwhile.
func (s *Server) opsHandler() http.Handler {
	starting := httpserver.Ops(httpserver.Checks{"process": func(context.Context) error {
		return errors.New("starting: " + (*s.doing.Load())())
	}}, s.telemetry.Metrics)
	serving := httpserver.Ops(s.checks, s.telemetry.Metrics)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.serving.Load() {
			serving.ServeHTTP(w, r)
			return
		}
		starting.ServeHTTP(w, r)
	})
}

// starting sets what the ops port says that the start is doing.
func (s *Server) starting(what string) { s.doing.Store(new(func() string { return what })) }
