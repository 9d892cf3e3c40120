package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Mode is the signal that stops a server.
type Mode syscall.Signal

const (
	// Fast ends connections and writes everything to the data files.
	Fast = Mode(syscall.SIGINT)
	// Immediate is a crash: the next start recovers from the write-ahead log.
	Immediate = Mode(syscall.SIGQUIT)
)

// stopTimeout is how long a server may take to stop before it is killed.
const stopTimeout = 30 * time.Second

// process is one run of the server.
type process struct {
	command *exec.Cmd
	// ended is closed when the process has ended; err is the result of Wait.
	ended chan struct{}
	err   error
}

// launch starts the server. A goroutine with a thread of its own waits for its end: Linux ends the child when the thread
// that started it ends (see attributes), and Go may end threads before the process.
func (s *Server) launch() (*process, error) {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of a private Postgres: %w", err)
	}
	args := []string{"-D", s.data(), "-k", s.dir}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	command := exec.Command(s.Program("postgres"), args...)
	command.Dir, command.Stdout, command.Stderr = s.dir, log, log
	command.SysProcAttr = attributes(s.credential)
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

// Signal sends a signal to the first process of the server. It does nothing if the server is down.
func (s *Server) Signal(signal syscall.Signal) error {
	if s.process == nil {
		return nil
	}
	if err := s.process.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal a private Postgres: %w", err)
	}
	return nil
}

// Down stops the server and leaves its data; Up starts it again.
func (s *Server) Down(mode Mode) error {
	p := s.process
	if p == nil {
		return nil
	}
	err := s.Signal(syscall.Signal(mode))
	s.process = nil
	if err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopTimeout):
	}
	err = p.command.Process.Kill()
	<-p.ended
	return errors.Join(fmt.Errorf("a private Postgres did not stop within %v and was killed", stopTimeout), err)
}

// awaitReady waits until the server accepts connections, or has ended.
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

// run runs one of the programs as the server's user and waits for its end.
func (s *Server) run(ctx context.Context, name string, args ...string) error {
	command := exec.CommandContext(ctx, s.Program(name), args...)
	command.Dir, command.SysProcAttr = s.dir, attributes(s.credential)
	runtime.LockOSThread() // see launch
	defer runtime.UnlockOSThread()
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, output)
	}
	return nil
}

// LogTail returns the end of the server's log.
func (s *Server) LogTail() []byte {
	text, _ := os.ReadFile(s.logFile()) // a missing log has no tail
	return bytes.TrimSpace(text[max(0, len(text)-2000):])
}
