package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/app"
	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/gen"
	"github.com/keytrail/keytrail/internal/access"
)

// operation is one operation of REST, with a request that succeeds.
type operation struct {
	method, path string
	body         any // nil for none
}

// withBody reports whether the operation takes a body.
func (o operation) withBody() bool { return o.body != nil }

// operations returns all operations, on a key and a row of acme.
func operations(keyID, requestLogID, reportToken string) map[string]operation {
	const keys, logs = "/v1/workspaces/acme/keys", "/v1/workspaces/acme/request-logs"
	key := keys + "/" + keyID
	return map[string]operation{
		"getCatalog":       {"GET", "/v1/catalog", nil},
		"getSession":       {"GET", "/v1/session", nil},
		"check":            {"POST", "/v1/check", object{"agentType": "agent", "workspaceId": "acme"}},
		"report":           {"POST", "/v1/report", object{"outcomes": []object{{"reportToken": reportToken, "status": 200, "latencyMs": 1}}}},
		"createKey":        {"POST", keys, object{"name": "k", "scopes": []string{"agent"}, "allAgents": true}},
		"listKeys":         {"GET", keys, nil},
		"getKey":           {"GET", key, nil},
		"updateKey":        {"PATCH", key, object{"name": "renamed"}},
		"addKeyAgents":     {"POST", key + ":addAgents", object{"agentIds": []string{"a2"}}},
		"removeKeyAgents":  {"POST", key + ":removeAgents", object{"agentIds": []string{"a2"}}},
		"rotateKey":        {"POST", key + ":rotate", object{}},
		"deleteKey":        {"DELETE", key, nil},
		"listRequestLogs":  {"GET", logs, nil},
		"getRequestLog":    {"GET", logs + "/" + requestLogID, nil},
		"purgeRequestLogs": {"POST", logs + ":purge", object{}},

		"exportRequestLogs":    {"GET", logs + ":export", nil},
		"summarizeRequestLogs": {"GET", logs + ":summary", nil},
		"listLogKeys":          {"GET", logs + ":keys", nil},
		"tailRequestLogs":      {"GET", logs + ":tail", nil},
	}
}

// statusTest validates responses against its own document, which records the documented ones that are missing.
type statusTest struct {
	*system
	t        *testing.T
	document *openAPI
}

// send sends an operation to a gateway and expects a status. change may change the request.
func (s *statusTest) send(gateway string, o operation, want int, change func(*http.Request)) {
	s.t.Helper()
	if got, text, err := s.exchange(gateway, o, change); err != nil || got != want {
		s.t.Errorf("%s %s: %d, want %d, %v\n%s", o.method, o.path, got, want, err, text)
	}
}

// exchange sends an operation to a gateway and validates the response. change may change the request.
func (s *statusTest) exchange(gateway string, o operation, change func(*http.Request)) (status int, text []byte, err error) {
	var body io.Reader
	if o.withBody() {
		text, err := json.Marshal(o.body)
		if err != nil {
			return 0, nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), o.method, "http://"+gateway+o.path, body)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token(roleOfPath(req.URL.Path), access.AllWorkspaces))
	if change != nil {
		change(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	if text, err = readResponse(resp); err != nil {
		return resp.StatusCode, text, err
	}
	return resp.StatusCode, text, s.document.validate(o.method, o.path, resp.StatusCode, resp.Header, text)
}

// TestEveryDocumentedStatusOfRESTIsProduced produces and validates each response in the OpenAPI document.
func TestEveryDocumentedStatusOfRESTIsProduced(t *testing.T) {
	t.Parallel()
	document, err := readOpenAPI(gen.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &statusTest{system: start(t, dir, time.Now), t: t, document: document}
	var slow sync.WaitGroup
	defer slow.Wait()
	key := s.createKey("acme", "k", object{"allAgents": false, "agentIds": []string{"a1"}})
	checked := s.call(key, "/statuses")
	s.row("acme", checked.row.GetId(), exists)
	all := operations(key.id, checked.row.GetId(), checked.token)
	gateway := s.server.GatewayAddr()

	s.slowBodies(&slow, gateway, all)
	s.refusals(gateway, all)
	s.conflicts(gateway, all)
	s.unreachable(all)
	s.exceeded()
	s.flood(dir, gateway, all)
	s.tails(gateway, all["tailRequestLogs"])
	for name, o := range all {
		if name != "deleteKey" && name != "purgeRequestLogs" {
			s.send(gateway, o, http.StatusOK, nil)
		}
	}
	s.send(gateway, all["purgeRequestLogs"], http.StatusOK, nil)
	s.send(gateway, all["deleteKey"], http.StatusOK, nil)
	slow.Wait()
	s.broken(dir, gateway, all)
	for _, missing := range s.document.notSeen() {
		t.Errorf("documented but not produced: %s", missing)
	}
}

// refusals produces 400, 401, 403, 404, 413 and 504.
func (s *statusTest) refusals(gateway string, all map[string]operation) {
	absent := operations(uuid.NewString(), uuid.NewString(), "")
	for name, o := range all {
		s.send(gateway, o, http.StatusUnauthorized, func(r *http.Request) { r.Header.Del("Authorization") })
		s.send(gateway, o, http.StatusGatewayTimeout, func(r *http.Request) { r.Header.Set("Grpc-Timeout", "1n") })
		if name == "getCatalog" || name == "getSession" { // any role may call them
			s.send(gateway, o, http.StatusForbidden, func(r *http.Request) { r.Host = "elsewhere.example" })
			continue
		}
		s.send(gateway, o, http.StatusForbidden, func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+s.token(access.Ingester, access.AllWorkspaces))
		})
		if strings.Contains(o.path, "/keys/") || name == "getRequestLog" {
			s.send(gateway, absent[name], http.StatusNotFound, nil)
		}
		bad := o
		if o.withBody() {
			bad.body = object{"misspelt": 1}
			s.send(gateway, o, http.StatusRequestEntityTooLarge, func(r *http.Request) {
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat(" ", 5<<20))), 5<<20
			})
		} else {
			bad.path = strings.Replace(o.path, "/acme/", "/ACME/", 1)
		}
		s.send(gateway, bad, http.StatusBadRequest, nil)
	}
	s.send(gateway, all["getSession"], http.StatusBadRequest, func(r *http.Request) { r.URL.RawQuery = "pageSize=-1" })
}

// conflicts produces 409.
func (s *statusTest) conflicts(gateway string, all map[string]operation) {
	request := "?requestId=" + uuid.NewString()
	create, rotate, update, remove := all["createKey"], all["rotateKey"], all["updateKey"], all["deleteKey"]
	create.path += request
	s.send(gateway, create, http.StatusOK, nil)
	s.send(gateway, create, http.StatusConflict, nil)
	rotate.body = object{"requestId": uuid.NewString()}
	s.send(gateway, rotate, http.StatusOK, nil)
	s.send(gateway, rotate, http.StatusConflict, nil)
	update.body = object{"name": "renamed", "etag": "another"}
	s.send(gateway, update, http.StatusConflict, nil)
	remove.path += "?etag=another"
	s.send(gateway, remove, http.StatusConflict, nil)
}

// exceeded produces 429 with a server that has room for one key, and none for that to grow.
func (s *statusTest) exceeded() {
	config := serveConfig(s.t.TempDir())
	key := authsvc.Key{Name: "k", Scopes: []string{"agent"}, AgentIDs: []string{"a1"}}
	config.MaxKeysPerWorkspace, config.MaxKeyBytesPerWorkspace = 1, key.Size()
	config.TokenKeys = s.tokenKeys()
	server, err := app.NewServer(s.t.Context(), config, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		s.t.Fatal(err)
	}
	run(s.t, server)
	full := *s.system
	full.server = server
	made := full.createKey("acme", key.Name, object{"allAgents": false, "agentIds": key.AgentIDs})
	all := operations(made.id, "", "")
	for _, name := range []string{"createKey", "updateKey", "addKeyAgents"} {
		s.send(server.GatewayAddr(), all[name], http.StatusTooManyRequests, nil)
	}
}

// unreachable produces 503 with a gateway whose services are not running.
func (s *statusTest) unreachable(all map[string]operation) {
	config := app.GatewayConfig{GatewayAddr: anyPort, AuthAddr: stableAddr(s.t), LogsAddr: stableAddr(s.t), OpsAddr: anyPort}
	config.TokenKeys = s.tokenKeys()
	server, err := app.NewGatewayServer(s.t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatal(err)
	}
	run(s.t, server)
	var asking sync.WaitGroup
	for _, o := range all {
		asking.Go(func() { s.send(server.GatewayAddr(), o, http.StatusServiceUnavailable, nil) })
	}
	asking.Wait()
}

// tails produces 429 of a workspace with 20 live streams.
func (s *statusTest) tails(gateway string, tail operation) {
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	for range 20 {
		req, err := http.NewRequestWithContext(ctx, tail.method, "http://"+gateway+tail.path, nil)
		must(s.t, err)
		req.Header.Set("Authorization", "Bearer "+s.token(access.Viewer, access.AllWorkspaces))
		resp, err := http.DefaultClient.Do(req)
		must(s.t, err)
		defer resp.Body.Close()
	}
	s.send(gateway, tail, http.StatusTooManyRequests, nil)
	cancel()
	var status int
	s.await(func() bool {
		var err error
		status, _, err = s.exchange(gateway, tail, nil)
		return err == nil && status == http.StatusOK
	}, func() any { return status })
}

// endlessBody is a body that never arrives.
type endlessBody struct{ ctx context.Context }

func (b endlessBody) Read([]byte) (int, error) {
	<-b.ctx.Done()
	return 0, b.ctx.Err()
}

// slowBodies produces 408 with bodies that do not arrive in time.
func (s *statusTest) slowBodies(slow *sync.WaitGroup, gateway string, all map[string]operation) {
	for _, o := range all {
		if o.withBody() {
			slow.Go(func() {
				s.send(gateway, o, http.StatusRequestTimeout, func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(endlessBody{r.Context()}), 100 })
			})
		}
	}
}

// broken produces 500: it drops the tables of the services.
func (s *statusTest) broken(dir, gateway string, all map[string]operation) {
	for file, tables := range map[string][]string{"auth.db": {"secrets", "revision"}, "logs.db": {"request_logs"}} {
		db, err := sql.Open("sqlite", filepath.Join(dir, file)+"?_pragma=busy_timeout(60000)")
		if err != nil {
			s.t.Fatal(err)
		}
		defer db.Close()
		for _, table := range tables {
			if _, err := db.ExecContext(s.t.Context(), fmt.Sprint("DROP TABLE ", table)); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	for name, o := range all {
		if name == "tailRequestLogs" { // it reads what is stored later
			continue
		}
		if strings.Contains(o.path, "/workspaces/") {
			s.send(gateway, o, http.StatusInternalServerError, nil)
		} else if name == "getCatalog" || name == "getSession" {
			s.send(gateway, o, http.StatusOK, nil)
		}
	}
}
