package accesslog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// datagram is what nginx sends for a line: its header has the facility local7, the severity info, the time, host and tag.
func datagram(n int) string {
	return "<190>Nov 30 00:50:51 proxy-1 nginx: " + strings.TrimSpace(line(n))
}

// socketPath returns a path that is short enough for a Unix socket, wherever TMPDIR is.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "keytrail-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "log.sock")
}

// listen listens until the test ends, or cancel is called.
func listen(t *testing.T, address string) (s *Syslog, ctx context.Context, cancel func()) {
	t.Helper()
	ctx, cancel = context.WithCancel(t.Context())
	s, err := ListenSyslog(ctx, address, NewLineReader(Nginx, slog.New(slog.DiscardHandler)))
	must(t, err)
	t.Cleanup(func() { cancel(); must(t, s.Close()) })
	return s, ctx, cancel
}

func dial(t *testing.T, s *Syslog) net.Conn {
	t.Helper()
	conn, err := net.Dial(s.conn.LocalAddr().Network(), s.conn.LocalAddr().String())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

func send(t *testing.T, conn net.Conn, datagrams ...string) {
	t.Helper()
	for _, d := range datagrams {
		_, err := conn.Write([]byte(d))
		must(t, err)
	}
}

// receive reads until there are n outcomes.
func receive(t *testing.T, s *Syslog, ctx context.Context, n int) (tokens []string) {
	t.Helper()
	for len(tokens) < n {
		outcomes, err := s.Read(ctx)
		must(t, err)
		if len(outcomes) > MaxBatch || len(outcomes) == 0 && ctx.Err() != nil {
			t.Fatalf("%d outcomes after %d", len(outcomes), len(tokens))
		}
		for _, outcome := range outcomes {
			tokens = append(tokens, outcome.GetReportToken())
		}
	}
	return tokens
}

func TestSyslog(t *testing.T) {
	for name, address := range map[string]string{
		"UDP": "udp://127.0.0.1:0", "unix": "unix://" + socketPath(t),
	} {
		t.Run(name, func(t *testing.T) {
			s, ctx, cancel := listen(t, address)
			conn := dial(t, s)
			send(t, conn, datagram(1), "<190>Nov 30 00:50:51 proxy-1 nginx: no JSON", "", datagram(2)[:60], line(3), datagram(4))
			if got := fmt.Sprint(receive(t, s, ctx, 3)); got != "[t1 t3 t4]" || s.lines.malformed.Load() != 3 {
				t.Errorf("received %s, and %d malformed", got, s.lines.malformed.Load())
			}
			send(t, conn, datagram(5), datagram(6))
			cancel()
			if got := fmt.Sprint(receive(t, s, ctx, 2)); got != "[t5 t6]" {
				t.Errorf("received %s at the end", got)
			}
			if outcomes, err := s.Read(ctx); len(outcomes) > 0 || err != nil {
				t.Errorf("received %v, %v after the end", outcomes, err)
			}
		})
	}
}

func TestSyslogHasAQueueOfLimitedLength(t *testing.T) {
	s, ctx, _ := listen(t, "unix://"+socketPath(t))
	conn := dial(t, s)
	for n := range maxQueue + 10 { // the sender waits for the receiver
		send(t, conn, datagram(n))
	}
	send(t, conn, "no JSON")
	for s.lines.malformed.Load() == 0 {
		wait(ctx, maxWait/10)
	}
	got := receive(t, s, ctx, maxQueue)
	if len(got) != maxQueue || s.lines.dropped.Load() != 10 {
		t.Errorf("%d received, %d dropped", len(got), s.lines.dropped.Load())
	}
}

func TestSyslogSocketOfAKilledProcessIsReplaced(t *testing.T) {
	path := socketPath(t)
	abandoned, err := net.ListenPacket("unixgram", path)
	must(t, err)
	must(t, abandoned.Close())
	lines := NewLineReader(Nginx, slog.New(slog.DiscardHandler))
	s, err := ListenSyslog(t.Context(), "unix://"+path, lines)
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o666 {
		t.Errorf("the mode of the socket is %v", info.Mode())
	}
	_, err = ListenSyslog(t.Context(), "unix://"+path, lines)
	if err == nil || !strings.Contains(err.Error(), "used by another process") {
		t.Errorf("a second process: %v", err)
	}
	must(t, s.Close())
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket was left: %v", err)
	}
}

func TestWrongSyslogAddresses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, address := range []string{
		"127.0.0.1:514", "tcp://127.0.0.1:514", "udp://127.0.0.1", "udp://:x", "unix://relative", "unix://" + file,
		"udp://192.0.2.1:514",
	} {
		_, err := ListenSyslog(t.Context(), address, NewLineReader(Nginx, slog.New(slog.DiscardHandler)))
		if err == nil || !strings.HasPrefix(err.Error(), "--syslog: ") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := os.Stat(file); err != nil {
		t.Error("a file was removed")
	}
}
