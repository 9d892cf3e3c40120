package e2e

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

var goProgram = regexp.MustCompile("(?s)```go\n(package main\n.*?)```")

// TestProgramOfTheGoPage builds and runs the program in docs/integrations/go.md, with other addresses.
func TestProgramOfTheGoPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/integrations/go.md")
	must(t, err)
	found := goProgram.FindSubmatch(page)
	if found == nil {
		t.Fatal("the page has no program")
	}
	s, addr, dir := start(t, t.TempDir(), time.Now), stableAddr(t), t.TempDir()
	program := strings.NewReplacer("127.0.0.1:7001", s.server.AuthAddr(), "127.0.0.1:8000", addr).Replace(string(found[1]))
	must(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir, filepath.Join(dir, "main.go"))
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, output)
	}
	run := exec.CommandContext(t.Context(), filepath.Join(dir, "main"))
	run.Env, run.Stderr = append(os.Environ(), "KEYTRAIL_TOKEN="+s.token("checker", "*")), os.Stderr
	must(t, run.Start())
	k, path := s.createKey("acme", "CI", nil), "/v1/agents/a1/run"
	url := "http://" + addr + path
	await(t, waitTimeout, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, func() any { return "no server" })
	if status := callURL(t, url, k.secret); status != http.StatusOK {
		t.Errorf("with a key: %d", status)
	}
	if status := callURL(t, url, ""); status != http.StatusUnauthorized {
		t.Errorf("without a key: %d", status)
	}
	must(t, run.Process.Signal(syscall.SIGTERM))
	must(t, run.Wait())
	rowsByPath(t, s.logs, allReported(map[string]int{path: http.StatusOK}, http.StatusOK))
}
