package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/keytrail/keytrail/internal/testing/proxytest"
)

// traefik does what Traefik does with a call: the request of its middleware ForwardAuth, and the line of its access log. Traefik
// itself cannot be built with the modules that the Go module proxy serves. What is sent and logged is from Traefik v3.7.13,
// pkg/middlewares/auth/forward.go (writeHeader, ServeHTTP) and pkg/middlewares/accesslog/logger.go.
type traefik struct {
	forwardAuth traefikForwardAuth
	// keep are the headers that the log has.
	keep []string
	// remove are the headers that the service does not get.
	remove  map[string]string
	service *httputil.ReverseProxy
	mu      sync.Mutex
	log     *os.File
}

// traefikForwardAuth is the configuration of the middleware.
type traefikForwardAuth struct {
	Address             string
	TrustForwardHeader  *bool    `yaml:"trustForwardHeader"`
	AuthRequestHeaders  []string `yaml:"authRequestHeaders"`
	AuthResponseHeaders []string `yaml:"authResponseHeaders"`
}

// traefikStatic and traefikDynamic are the parts of the configuration that the tests read.
type traefikStatic struct {
	AccessLog struct {
		Format string
		Fields struct {
			Headers struct{ Names map[string]string }
		}
	} `yaml:"accessLog"`
}
type traefikDynamic struct {
	HTTP struct {
		Middlewares struct {
			Keytrail struct {
				ForwardAuth traefikForwardAuth `yaml:"forwardAuth"`
			}
			DropSecret struct {
				Headers struct {
					CustomRequestHeaders map[string]string `yaml:"customRequestHeaders"`
				}
			} `yaml:"drop-secret"`
		}
	}
}

// startTraefik starts the stand-in with the documented configuration.
func (f *front) startTraefik() {
	f.t.Helper()
	f.parse = parseTraefik
	var static traefikStatic
	var dynamic traefikDynamic
	f.readYAML(0, &static)
	f.readYAML(1, &dynamic)
	if static.AccessLog.Format != "json" {
		f.t.Fatalf("the documented format of the log is %q", static.AccessLog.Format)
	}
	middlewares := dynamic.HTTP.Middlewares
	if trust := middlewares.Keytrail.ForwardAuth.TrustForwardHeader; trust == nil || *trust {
		f.t.Fatal("the documented trustForwardHeader is not false: a caller could send the method and the path")
	}
	log, err := os.OpenFile(f.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(f.t, err)
	f.t.Cleanup(func() { log.Close() })
	m := &traefik{
		forwardAuth: middlewares.Keytrail.ForwardAuth, remove: middlewares.DropSecret.Headers.CustomRequestHeaders, log: log,
		service: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: f.Service}),
	}
	for name, mode := range static.AccessLog.Fields.Headers.Names {
		if mode == "keep" {
			m.keep = append(m.keep, name)
		}
	}
	m.service.ErrorHandler = badGateway
	m.serve(f)
}

// readYAML reads a documented file.
func (f *front) readYAML(n int, into any) {
	f.t.Helper()
	text, err := f.Block("traefik.md", "yaml", n)
	must(f.t, err)
	text = strings.NewReplacer("127.0.0.1:8080", f.Gateway, "TOKEN", f.Token).Replace(text)
	must(f.t, yaml.Unmarshal([]byte(text), into))
}

func (m *traefik) serve(f *front) {
	listener, err := net.Listen("tcp", f.Addr)
	must(f.t, err)
	server := &http.Server{Handler: m}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // the error says that it was closed
	f.t.Cleanup(func() { server.Close(); serving.Wait() })
}

// badGateway is the response where the service has none (pkg/proxy/httputil): 499 if the caller has gone.
func badGateway(w http.ResponseWriter, _ *http.Request, err error) {
	if errors.Is(err, context.Canceled) {
		w.WriteHeader(499)
		return
	}
	w.WriteHeader(http.StatusBadGateway)
}

// statusWriter keeps the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// ServeHTTP implements http.Handler: the access log around ForwardAuth and the service.
func (m *traefik) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began, writer := time.Now(), &statusWriter{ResponseWriter: w}
	path := r.URL.String()
	m.authorize(writer, r)
	fields := map[string]any{
		"ClientAddr": r.RemoteAddr, "ClientHost": "127.0.0.1", "ClientUsername": "-", "DownstreamContentSize": 0,
		"DownstreamStatus": writer.status, "Duration": time.Since(began).Nanoseconds(), "OriginStatus": 0, "Overhead": 0,
		"RequestContentSize": 0, "RequestCount": 1, "RequestMethod": r.Method, "RequestPath": path, "RequestProtocol": r.Proto,
		"RequestScheme": "http", "RetryAttempts": 0, "RouterName": "api@file", "ServiceName": "service@file", "entryPointName": "web",
		"level": "info", "msg": "", "time": time.Now().Format(time.RFC3339),
	}
	m.addHeaders(fields, "request_", r.Header)
	m.addHeaders(fields, "downstream_", w.Header())
	line, _ := json.Marshal(fields) // strings and numbers
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _ = m.log.Write(append(line, '\n'))
}

// addHeaders adds the headers that are kept. Traefik joins several values by commas.
func (m *traefik) addHeaders(fields map[string]any, prefix string, header http.Header) {
	for _, name := range m.keep {
		if values := header.Values(name); len(values) > 0 {
			fields[prefix+name] = strings.Join(values, ",")
		}
	}
}

// authorize is ForwardAuth.
func (m *traefik) authorize(w http.ResponseWriter, r *http.Request) {
	response, err := m.ask(r)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if response.StatusCode/100 != 2 {
		for name, values := range response.Header {
			w.Header()[name] = append(w.Header()[name], values...)
		}
		w.WriteHeader(response.StatusCode)
		_, _ = w.Write(body)
		return
	}
	for _, name := range m.forwardAuth.AuthResponseHeaders {
		key := http.CanonicalHeaderKey(name)
		r.Header.Del(key)
		if values := response.Header[key]; len(values) > 0 {
			r.Header[key] = slices.Clone(values)
		}
	}
	toService := r.Clone(r.Context())
	for name := range m.remove {
		toService.Header.Del(name)
	}
	m.service.ServeHTTP(w, toService)
}

// ask sends the request to Keytrail.
func (m *traefik) ask(r *http.Request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, m.forwardAuth.Address, nil)
	if err != nil {
		return nil, err
	}
	for _, name := range m.forwardAuth.AuthRequestHeaders {
		if values := r.Header.Values(name); len(values) > 0 {
			req.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	for name, value := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Method": r.Method, "X-Forwarded-Proto": "http",
		"X-Forwarded-Port": "80", "X-Forwarded-Host": r.Host, "X-Forwarded-Uri": r.URL.RequestURI(),
	} {
		req.Header.Set(name, value)
	}
	return http.DefaultClient.Do(req)
}

func parseTraefik(line []byte) (proxytest.Line, error) {
	var parsed struct {
		RequestPath      string
		DownstreamStatus int
		Duration         int64
		Request          string `json:"request_X-Keytrail-Report-Token"`
		Downstream       string `json:"downstream_X-Keytrail-Report-Token"`
	}
	if err := json.Unmarshal(line, &parsed); err != nil {
		return proxytest.Line{}, err
	}
	path, _, _ := strings.Cut(parsed.RequestPath, "?")
	return proxytest.Line{
		Path: path, Status: parsed.DownstreamStatus, LatencyMs: float64(parsed.Duration) / 1e6,
		Token: cmp.Or(parsed.Downstream, parsed.Request),
	}, nil
}

func TestTraefikCompletesEveryRow(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.startTraefik()
	f.report("--format", "traefik", "--file", f.Log, "--state", filepath.Join(f.Dir, "state"))
	f.expect(f.calls())
}
