package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// accessLog is the access log of a proxy, written by a test, and a process that reports it.
type accessLog struct {
	*system
	path   string
	key    key
	writer *os.File
	// calls are those in the log, by the id of the row.
	calls    map[string]loggedCall
	flags    []string
	reporter *exec.Cmd
	printed  *output
}

// loggedCall is how a call has ended.
type loggedCall struct {
	status    int
	latencyMs float64
}

func newAccessLog(t *testing.T, authAddr func(*system) string, flags ...string) *accessLog {
	t.Helper()
	s := start(t, t.TempDir(), time.Now)
	l := &accessLog{
		system: s, path: filepath.Join(t.TempDir(), "access.log"), key: s.createKey("acme", "k", nil), calls: map[string]loggedCall{},
	}
	if flags == nil {
		flags = []string{"--file", l.path, "--state", filepath.Join(t.TempDir(), "state")}
	}
	l.flags = append(flags, "--format=nginx", "--data-dir="+s.dataDir, "--auth-addr="+authAddr(s))
	l.reopen()
	t.Cleanup(func() { l.writer.Close() })
	return l
}

// reopen opens the log again, as nginx does after SIGUSR1.
func (l *accessLog) reopen() {
	l.t.Helper()
	if l.writer != nil {
		l.writer.Close()
	}
	var err error
	if l.writer, err = os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// line makes a call, and returns its line.
func (l *accessLog) line() string {
	l.t.Helper()
	n := len(l.calls)
	check := l.check(l.key, &authv1.CheckRequest{Endpoint: "/v1/" + fmt.Sprint(n)})
	c := loggedCall{status: 200 + n%300, latencyMs: float64(n + 1)}
	l.calls[check.GetRequestLogId()] = c
	return fmt.Sprintf(`{"time":"%d","report_token":"%s","status":%d,"request_time":%.3f}`,
		n, check.GetReportToken(), c.status, c.latencyMs/1000)
}

// write writes n lines.
func (l *accessLog) write(n int) {
	l.t.Helper()
	for range n {
		l.raw(l.line() + "\n")
	}
}

func (l *accessLog) raw(text string) {
	l.t.Helper()
	if _, err := io.WriteString(l.writer, text); err != nil {
		l.t.Fatal(err)
	}
}

// report starts the process.
func (l *accessLog) report() {
	l.t.Helper()
	command := binary(l.t)
	ctx, cancel := context.WithTimeout(context.Background(), 5*waitTimeout)
	l.printed = &output{}
	l.reporter = exec.CommandContext(ctx, command, append([]string{"report-access-log"}, l.flags...)...)
	l.reporter.Stdout, l.reporter.Stderr = l.printed, l.printed
	if err := l.reporter.Start(); err != nil {
		l.t.Fatal(err)
	}
	reporter := l.reporter
	l.t.Cleanup(func() { cancel(); _ = reporter.Wait() }) // fails if it has ended
}

// kill kills the process.
func (l *accessLog) kill() {
	l.t.Helper()
	if err := l.reporter.Process.Kill(); err != nil {
		l.t.Fatal(err)
	}
	_ = l.reporter.Wait() // it was killed
}

// terminate ends the process, and returns what it has printed.
func (l *accessLog) terminate() string {
	l.t.Helper()
	// Before that, it may not have asked for the signal yet.
	l.await(func() bool { return l.printed.String() != "" }, func() any { return "it prints nothing" })
	if err := l.reporter.Process.Signal(syscall.SIGTERM); err != nil {
		l.t.Fatal(err)
	}
	if err := l.reporter.Wait(); err != nil {
		l.t.Errorf("after SIGTERM: %v", err)
	}
	if text := l.printed.String(); strings.Contains(text, `"report_token"`) || tokenPattern.MatchString(text) {
		l.t.Errorf("the process printed a token:\n%s", text)
	}
	return l.printed.String()
}

// expect waits until each call has its own status and latency, and no row more.
func (l *accessLog) expect() {
	l.t.Helper()
	wrong := "no rows"
	l.await(func() bool {
		rows := l.list("acme", "?page_size=1000")
		wrong = fmt.Sprintf("%d rows of %d calls", len(rows), len(l.calls))
		for _, row := range rows {
			want := l.calls[row["id"].(string)]
			if !reported(row) || int(row["status"].(float64)) != want.status || row["latencyMs"].(float64) != want.latencyMs {
				wrong = fmt.Sprintf("row %v, want %v", row, want)
				return false
			}
		}
		return len(rows) == len(l.calls)
	}, func() any { return wrong + "\n" + l.printed.String() })
}

func direct(s *system) string { return s.server.AuthAddr() }

// shift renames access.log.1 to access.log.2 and so on.
func (l *accessLog) shift() {
	l.t.Helper()
	for n := 100; n > 0; n-- {
		if err := os.Rename(fmt.Sprint(l.path, ".", n), fmt.Sprint(l.path, ".", n+1)); err != nil && !os.IsNotExist(err) {
			l.t.Fatal(err)
		}
	}
}

// rotate renames the log, and goes on in it for some lines.
func (l *accessLog) rotate() {
	l.t.Helper()
	l.shift()
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		l.t.Fatal(err)
	}
	l.write(2)
	l.reopen()
}

// copyTruncate copies the log and truncates it.
func (l *accessLog) copyTruncate() {
	l.t.Helper()
	l.shift()
	text, err := os.ReadFile(l.path)
	if err == nil {
		err = os.WriteFile(l.path+".1", text, 0o600)
	}
	if err == nil {
		err = os.Truncate(l.path, 0)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// TestAnAccessLogIsReportedAcrossKillsRotationsAndOutages kills the reporter, rotates the log and cuts off the auth
// service at random times while lines are written.
func TestAnAccessLogIsReportedAcrossKillsRotationsAndOutages(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(newSeed(t), 0))
	var cutting *cuttingProxy
	l := newAccessLog(t, func(s *system) string {
		cutting = newCuttingProxy(t, "tcp", s.server.AuthAddr())
		return cutting.addr()
	})
	l.report()
	steps := []func(){
		func() { l.kill(); l.report() },
		func() { l.kill(); l.rotate(); l.write(3); l.rotate(); l.report() },
		func() { l.kill(); l.copyTruncate(); l.write(3); l.report() },
		func() { l.terminate(); l.write(3); l.report() },
		l.rotate, l.rotate, l.copyTruncate,
		func() { cutting.cut(random) },
		cutting.pass,
		func() { l.raw("garbage\n{\"status\":200}\n\n") },
	}
	for range 60 {
		l.write(1 + random.IntN(12))
		steps[random.IntN(len(steps))]()
	}
	text := l.line()
	l.raw(text[:40])
	cutting.pass()
	l.raw(text[40:] + "\n")
	l.expect()
	t.Logf("%d calls", len(l.calls))
	l.terminate()
	l.report()
	l.write(1)
	l.expect()
	if printed := l.terminate(); !strings.Contains(printed, " reported=1 ") {
		t.Errorf("it reported more than one line after a restart:\n%s", printed)
	}
}

// TestLogrotate rotates the log with the ways of rotation that docs/integrations/access-log.md describes.
func TestLogrotate(t *testing.T) {
	t.Parallel()
	command, err := exec.LookPath("logrotate")
	if err != nil {
		command, err = exec.LookPath("/usr/sbin/logrotate") // a user's PATH has no /usr/sbin
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	for name, settings := range map[string]string{
		"create":                  "rotate 9\ncreate 0600\ncompress\ndelaycompress",
		"nocreate, date":          "rotate 9\nnocreate\ndateext\ndateformat -%Y%m%d-%s",
		"copytruncate, extension": "rotate 9\ncopytruncate\nextension .log",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newAccessLog(t, direct)
			// logrotate refuses a folder that a group can write to.
			must(t, os.Chmod(filepath.Dir(l.path), 0o700))
			config := filepath.Join(t.TempDir(), "logrotate.conf")
			if err := os.WriteFile(config, fmt.Appendf(nil, "%s {\n%s\n}\n", l.path, settings), 0o600); err != nil {
				t.Fatal(err)
			}
			rotate := func() {
				t.Helper()
				if out, err := exec.Command(command, "--force", "--state", config+".state", config).CombinedOutput(); err != nil {
					t.Fatalf("logrotate: %v\n%s", err, out)
				}
				l.write(3)
				l.reopen()
			}
			l.write(5)
			l.report()
			for range 3 {
				l.write(5)
				l.expect()
				rotate()
				l.write(5)
			}
			l.expect()
			l.terminate()
			l.write(5)
			rotate()
			l.report()
			l.expect()
		})
	}
}

func TestAnAccessLogIsReceivedBySyslog(t *testing.T) {
	t.Parallel()
	socket, token := filepath.Join(shortDir(t), "keytrail.sock"), filepath.Join(t.TempDir(), "token")
	l := newAccessLog(t, direct, "--syslog=unix://"+socket, "--token-file="+token)
	l.report()
	var conn net.Conn
	l.await(func() (ok bool) {
		var err error
		conn, err = net.Dial("unixgram", socket)
		return err == nil
	}, func() any { return l.printed.String() })
	defer conn.Close()
	send := func(n int) {
		t.Helper()
		for range n {
			if _, err := io.WriteString(conn, "<190>Nov 30 00:50:51 proxy nginx: "+l.line()); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(50)
	l.await(func() bool { return strings.Contains(l.printed.String(), "cannot report calls") }, func() any { return l.printed.String() })
	if err := os.WriteFile(token, []byte(l.token(access.Checker, "acme")), 0o600); err != nil {
		t.Fatal(err)
	}
	l.expect()
	send(20)
	if printed := l.terminate(); !strings.Contains(printed, " reported=70 ") {
		t.Errorf("lines were lost at the end:\n%s", printed)
	}
	l.expect()
}

func TestWrongFlagsOfAnAccessLog(t *testing.T) {
	t.Parallel()
	for want, flags := range map[string][]string{
		"--format":                          {"--file=f"},
		"--file, --syslog: one of them":     {"--format=nginx"},
		"--state: required":                 {"--format=nginx", "--file=f"},
		"--state: only with --file":         {"--format=nginx", "--syslog=udp://127.0.0.1:0", "--state=s"},
		"--syslog: tcp://a:1 is neither":    {"--format=nginx", "--syslog=tcp://a:1"},
		"--file and --syslog can't be used": {"--format=nginx", "--file=f", "--syslog=udp://127.0.0.1:0"},
		"--auth-addr: auth:1 may be another machine": {
			"--format=nginx", "--file=" + t.TempDir() + "/f", "--state=" + t.TempDir() + "/s", "--auth-addr=auth:1",
		},
	} {
		var out bytes.Buffer
		cmd := exec.CommandContext(t.Context(), binary(t), append([]string{"report-access-log"}, flags...)...)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err == nil || !strings.Contains(out.String(), want) {
			t.Errorf("%v: %v, want %q:\n%s", flags, err, want, out.String())
		}
	}
}
