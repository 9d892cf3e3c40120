package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
)

func TestAFullTrailRefusesChecksIfConfigured(t *testing.T) {
	t.Parallel()
	newSmallTrailCluster(t, "--trail-full=refuse").expectRefusedOnFullTrail()
}

// restCheck checks a call over REST and returns the HTTP status.
func (l *load) restCheck(t *testing.T, gateway, bearer string, c *call) int {
	t.Helper()
	request := fmt.Sprintf(`{"apiKey":%q,"agentType":%q,"agentId":%q,"method":"POST","endpoint":%q}`,
		c.kind.call.GetApiKey(), c.kind.call.GetAgentType(), c.kind.call.GetAgentId(), c.endpoint(l.suffix))
	resp := send(t, http.MethodPost, "http://"+gateway+"/v1/check", bearer, strings.NewReader(request))
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK {
		var answer authv1.CheckResponse
		if err := protojson.Unmarshal(text, &answer); err != nil {
			t.Fatal(err)
		}
		sent := proto.CloneOf(c.kind.call)
		sent.Endpoint = c.endpoint(l.suffix)
		done := checkedOf(sent, c.kind.workspace, &answer)
		c.checked = &done
	}
	return resp.StatusCode
}

func TestAFullTrailRefusesChecksOverREST(t *testing.T) {
	t.Parallel()
	s, gatewayAddr := newSmallTrailCluster(t, "--trail-full=refuse"), stableAddr(t)
	gateway := newDaemon(t, "gateway", stableAddr(t), "--gateway-addr", gatewayAddr, "--auth-addr", s.authAddr, "--token-keys", s.keyFile)
	if err := gateway.up(); err != nil {
		t.Fatal(err)
	}
	s.start()
	gateway.awaitReady()
	seed := newSeed(t)
	l := s.fillingLoad(seed)
	_, stop := l.start(t)
	s.fill(l, 20)
	calls, err := stop()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range l.kinds {
		c := &call{number: int(l.sent.Add(1)), kind: k}
		calls = append(calls, c)
		if status := l.restCheck(t, gatewayAddr, token(t, s.signer, access.Checker, access.AllWorkspaces), c); status != http.StatusServiceUnavailable {
			t.Errorf("a check that cannot be recorded, of code %q: HTTP %d, want 503", k.code, status)
		}
	}
	s.expectReadiness(http.StatusServiceUnavailable)
	if err := s.logs.up(); err != nil {
		t.Fatal(err)
	}
	v := s.settle(calls)
	v.expectComplete(t, seed)
	if n := sum(v.unknown); n > 0 {
		t.Errorf("%d refused checks have a row", n)
	}
}
