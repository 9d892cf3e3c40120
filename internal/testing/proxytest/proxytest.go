// Package proxytest runs nginx and Caddy with the configurations of docs/integrations, and reads their access logs. Both are
// Debian's packages, which .ci/run installs.
package proxytest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Proxy replaces the addresses and paths of a documented configuration.
type Proxy struct {
	// Docs is the folder docs/integrations.
	Docs string
	// Dir is an empty folder for the files of the proxy.
	Dir string
	// Addr, Gateway and Service are the addresses, as host:port, of the proxy, of Keytrail's gateway, and of the service behind it.
	Addr, Gateway, Service string
	// Token is the proxy's token.
	Token string
	// Log is the access log.
	Log string
	// MoreLog are more lines after access_log of nginx.
	MoreLog string
	// More is more configuration after the documented one.
	More string
	// Timeouts keeps the documented timeouts of a check. Otherwise they are a minute: on a slow machine a check may take longer.
	Timeouts bool
}

// Line is a call in an access log.
type Line struct {
	Path   string
	Status int
	// LatencyMs is the time of the whole call in milliseconds.
	LatencyMs float64
	// Token is the report token; empty if there is none.
	Token string
}

// Block returns a code block of a language in a page; n counts from 0.
func (p Proxy) Block(page, language string, n int) (string, error) {
	text, err := os.ReadFile(filepath.Join(p.Docs, page))
	if err != nil {
		return "", err
	}
	blocks := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	if n >= len(blocks) {
		return "", fmt.Errorf("%s has %d blocks of %s", page, len(blocks), language)
	}
	return blocks[n][1], nil
}

// minute returns the documented timeouts and their replacements.
func (p Proxy) minute(timeouts ...string) (replacements []string) {
	if p.Timeouts {
		return nil
	}
	for _, timeout := range timeouts {
		name, _, _ := strings.Cut(timeout, " ")
		replacements = append(replacements, timeout, name+" 60s")
	}
	return replacements
}

// Write replaces texts of a configuration, each of which must be there, and writes it to a file of Dir. The replacements are
// pairs.
func (p Proxy) Write(name, text string, replacements ...string) (file string, err error) {
	for i := 0; i < len(replacements); i += 2 {
		if !strings.Contains(text, replacements[i]) {
			return "", fmt.Errorf("%s does not contain %q", name, replacements[i])
		}
	}
	file = filepath.Join(p.Dir, name)
	return file, os.WriteFile(file, []byte(strings.NewReplacer(replacements...).Replace(text)), 0o600)
}

// nginxMain is the main configuration around the documented one: in the foreground, with all files in one folder. The user counts
// only if root runs nginx: otherwise another user could not write to that folder.
const nginxMain = `daemon off;
user root;
pid DIR/nginx.pid;
error_log stderr warn;
events {}
http {
	client_body_temp_path DIR/body;
	proxy_temp_path DIR/proxy;
	fastcgi_temp_path DIR/fastcgi;
	uwsgi_temp_path DIR/uwsgi;
	scgi_temp_path DIR/scgi;
	include DIR/keytrail.conf;
}
`

// Nginx returns the command that runs nginx until SIGTERM. SIGKILL would leave its worker processes.
func (p Proxy) Nginx() (*exec.Cmd, error) {
	config, err := p.Block("nginx.md", "nginx", 0)
	if err != nil {
		return nil, err
	}
	token, err := p.Write("token.conf", "proxy_set_header Authorization \"Bearer TOKEN\";\n", "TOKEN", p.Token)
	if err != nil {
		return nil, err
	}
	const path = "/var/log/nginx/keytrail.log"
	const log = "    access_log " + path + " keytrail if=$keytrail_report_token;\n"
	timeouts := p.minute("proxy_connect_timeout 1s", "proxy_read_timeout 3s")
	if _, err := p.Write("keytrail.conf", config+p.More, append(timeouts,
		"127.0.0.1:8080", p.Gateway, "127.0.0.1:9000", p.Service, "listen 80;", "listen "+p.Addr+";",
		log, strings.Replace(log, path, p.Log, 1)+p.MoreLog, "/etc/nginx/keytrail-token.conf", token)...); err != nil {
		return nil, err
	}
	main, err := p.Write("nginx.conf", nginxMain, "DIR", p.Dir)
	if err != nil {
		return nil, err
	}
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx = "/usr/sbin/nginx" // a user's PATH has no /usr/sbin
	}
	return exec.Command(nginx, "-p", p.Dir, "-e", "stderr", "-c", main), nil
}

// ParseNginx reads a line of the access log of nginx.
func ParseNginx(line []byte) (Line, error) {
	var parsed struct {
		ReportToken string  `json:"report_token"`
		RequestTime float64 `json:"request_time"`
		Status      int
		URI         string
	}
	if err := json.Unmarshal(line, &parsed); err != nil {
		return Line{}, err
	}
	return Line{parsed.URI, parsed.Status, parsed.RequestTime * 1000, parsed.ReportToken}, nil
}

// Caddy returns the command that runs Caddy until SIGTERM. It rotates its log at 1 MiB.
func (p Proxy) Caddy() (*exec.Cmd, error) {
	config, err := p.Block("caddy.md", "caddyfile", 0)
	if err != nil {
		return nil, err
	}
	// The global options: no port for administration.
	timeouts := p.minute("dial_timeout 1s", "response_header_timeout 3s")
	file, err := p.Write("Caddyfile", "{\n\tadmin off\n}\n"+config+p.More, append(timeouts,
		"127.0.0.1:8080", p.Gateway, "127.0.0.1:9000", p.Service, "http://:80", "http://"+p.Addr,
		"/var/log/caddy/keytrail.log", p.Log, "roll_size 100MiB", "roll_size 1MiB")...)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("caddy", "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "KEYTRAIL_TOKEN="+p.Token, "XDG_DATA_HOME="+p.Dir, "XDG_CONFIG_HOME="+p.Dir)
	return cmd, nil
}

// ParseCaddy reads a line of the access log of Caddy.
func ParseCaddy(line []byte) (Line, error) {
	var parsed struct {
		Request     struct{ URI string }
		UserID      string `json:"user_id"`
		Status      int
		Duration    float64
		RespHeaders http.Header `json:"resp_headers"`
	}
	if err := json.Unmarshal(line, &parsed); err != nil {
		return Line{}, err
	}
	uri, err := url.ParseRequestURI(parsed.Request.URI)
	if err != nil {
		return Line{}, err
	}
	token := cmp.Or(parsed.UserID, parsed.RespHeaders.Get("X-Keytrail-Report-Token"))
	return Line{uri.Path, parsed.Status, parsed.Duration * 1000, token}, nil
}
