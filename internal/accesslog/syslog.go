package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"sync"
	"syscall"
	"time"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

const (
	// maxDatagram is the most bytes of a UDP datagram. A longer one of a unix socket is cut, and malformed.
	maxDatagram = 64 << 10
	// maxQueue is how many lines wait while the auth service does not respond: about 10 MB.
	maxQueue = 16384
	// receiveBuffer is the size of the buffer of a UDP socket in bytes, if the kernel permits as much (net.core.rmem_max).
	receiveBuffer = 4 << 20
	// drainTime is how long datagrams are taken after the end, so that those in the kernel's buffer are not lost.
	drainTime = 100 * time.Millisecond
)

// Syslog receives lines as datagrams in the format of RFC 3164, one each: the line begins at the first brace. Lines that arrive
// while the queue is full, or while no process is running, are lost.
type Syslog struct {
	conn  net.PacketConn
	lines *LineReader
	// path is the unix socket.
	path     string
	queue    chan *authv1.Outcome
	receiver sync.WaitGroup
	// failed is why the receiver has ended. It is set before queue is closed.
	failed error
	stop   func() bool
}

// ListenSyslog listens on udp://host:port or unix:///path until ctx ends. All users of the machine may write to the unix socket.
func ListenSyslog(ctx context.Context, address string, lines *LineReader) (*Syslog, error) {
	s := &Syslog{lines: lines, queue: make(chan *authv1.Outcome, maxQueue)}
	if err := s.listen(ctx, address); err != nil {
		return nil, fmt.Errorf("--syslog: %w", err)
	}
	s.stop = context.AfterFunc(ctx, func() {
		_ = s.conn.SetReadDeadline(time.Now().Add(drainTime)) // fails if the socket is closed already
	})
	s.receiver.Go(s.receive)
	lines.log.Info("receiving the access log", "address", s.conn.LocalAddr().String())
	return s, nil
}

func (s *Syslog) listen(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	switch {
	case u.Scheme == "udp" && u.Port() != "" && u.Path == "":
		return s.listenUDP(ctx, u.Host)
	case u.Scheme == "unix" && u.Host == "" && u.Path != "":
		return s.listenUnix(ctx, u.Path)
	}
	return fmt.Errorf("%s is neither udp://host:port nor unix:///path", address)
}

func (s *Syslog) listenUDP(ctx context.Context, host string) error {
	conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", host)
	if err != nil {
		return err
	}
	s.conn = conn
	return conn.(*net.UDPConn).SetReadBuffer(receiveBuffer)
}

func (s *Syslog) listenUnix(ctx context.Context, path string) (err error) {
	if err := removeAbandonedSocket(path); err != nil {
		return err
	}
	if s.conn, err = new(net.ListenConfig).ListenPacket(ctx, "unixgram", path); err != nil {
		return err
	}
	s.path = path
	if err := os.Chmod(path, 0o666); err != nil {
		return errors.Join(err, s.conn.Close(), os.Remove(path))
	}
	return nil
}

// removeAbandonedSocket removes a socket that a process has left when it was killed.
func removeAbandonedSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("%s is not a socket", path)
	}
	conn, err := net.Dial("unixgram", path)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	case err != nil:
		return err
	}
	return errors.Join(fmt.Errorf("%s is used by another process", path), conn.Close())
}

// receive queues what arrives.
func (s *Syslog) receive() {
	defer close(s.queue)
	buffer := make([]byte, maxDatagram)
	for {
		n, _, err := s.conn.ReadFrom(buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			s.failed = fmt.Errorf("--syslog: %w", err)
			return
		}
		if outcome := s.outcome(buffer[:n]); outcome != nil {
			select {
			case s.queue <- outcome:
			default:
				s.lines.drop()
			}
		}
	}
}

func (s *Syslog) outcome(datagram []byte) *authv1.Outcome {
	from := slog.String("from", "syslog")
	start := bytes.IndexByte(datagram, '{')
	if start < 0 {
		s.lines.skip("the datagram has no JSON object", from)
		return nil
	}
	return s.lines.outcome(datagram[start:], from)
}

// Read implements Source.
func (s *Syslog) Read(ctx context.Context) (outcomes []*authv1.Outcome, err error) {
	waited := time.After(maxWait)
	for len(outcomes) < MaxBatch {
		select {
		case outcome, ok := <-s.queue:
			if !ok {
				return outcomes, s.failed
			}
			outcomes = append(outcomes, outcome)
		case <-waited:
			if ctx.Err() == nil { // otherwise the queue is closed soon
				return outcomes, nil
			}
		}
	}
	return outcomes, nil
}

// Commit implements Source.
func (s *Syslog) Commit() error { return nil }

// Close implements Source.
func (s *Syslog) Close() error {
	s.stop()
	err := s.conn.Close()
	s.receiver.Wait()
	if s.path != "" {
		err = errors.Join(err, os.Remove(s.path))
	}
	return err
}
