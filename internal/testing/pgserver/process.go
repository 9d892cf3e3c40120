package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Mode is how a server goes down.
type Mode int

const (
	// Fast ends connections and writes everything out.
	Fast Mode = iota
	// Immediate is a crash: the next start recovers from the log.
	Immediate
)

var signals = map[Mode]syscall.Signal{Fast: syscall.SIGINT, Immediate: syscall.SIGQUIT}

// patience is how long a server may take to go down before it is killed.
const patience = 30 * time.Second

// process is one run of the server.
type process struct {
	command *exec.Cmd
	// ended is closed when it has ended; err says how.
	ended chan struct{}
	err   error
}

// launch starts the server. A goroutine of its own waits for its end, on a thread of its own: Linux ends the child
// of a dying thread (see account.attributes), and Go's threads may die before their process.
func (s *Server) launch() (*process, error) {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of a private Postgres: %w", err)
	}
	command := exec.Command(filepath.Join(s.bin, "postgres"), s.arguments()...)
	command.Dir, command.Stdout, command.Stderr = s.dir, log, log
	command.SysProcAttr = s.account.attributes()
	p, started := &process{command: command, ended: make(chan struct{})}, make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.ended)
		defer log.Close()
		err := command.Start()
		started <- err
		if err == nil {
			p.err = command.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start a private Postgres: %w", err)
	}
	return p, nil
}

// Down takes the server down and leaves its data; Up brings it back.
func (s *Server) Down(mode Mode) error {
	p := s.process
	if p == nil {
		return nil
	}
	s.process = nil
	if err := p.command.Process.Signal(signals[mode]); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal a private Postgres: %w", err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
	}
	err := p.command.Process.Kill()
	<-p.ended
	return errors.Join(fmt.Errorf("a private Postgres did not go down within %v and was killed", patience), err)
}

// awaitReady waits until the server answers, or has ended.
func (s *Server) awaitReady(ctx context.Context, p *process) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-p.ended:
			return fmt.Errorf("it ended: %w", p.err)
		case <-ctx.Done():
			return fmt.Errorf("%w; the last attempt: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// run runs one of the binaries as the server's user, to its end.
func (s *Server) run(ctx context.Context, name string, args ...string) error {
	command := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	command.Dir, command.SysProcAttr = s.dir, s.account.attributes()
	runtime.LockOSThread() // see launch
	defer runtime.UnlockOSThread()
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, output)
	}
	return nil
}

// logTail is the end of the server's log.
func (s *Server) logTail() []byte {
	text, _ := os.ReadFile(s.logFile()) // no log, no tail
	return bytes.TrimSpace(text[max(0, len(text)-2000):])
}
