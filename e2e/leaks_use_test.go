package e2e

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/keytrail/keytrail/authsvc"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// newToken returns a token that the scanner looks for.
func (s *leakTest) newToken(name string, signer *access.Signer, grant access.Grant) string {
	s.t.Helper()
	text, err := signer.Token(grant)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.addToken(name, text)
}

// tokens returns tokens of every role and invalid tokens of every kind.
func (s *leakTest) tokens() map[string]string {
	s.t.Helper()
	otherSigner, _ := newSigner(s.t)
	tokens, now := map[string]string{}, time.Now()
	for _, role := range access.Roles {
		for _, workspaces := range [][]string{{"acme"}, {"globex", "initech"}, {access.AllWorkspaces}} {
			name := string(role) + " of " + workspaces[0]
			tokens[name] = s.newToken(name, s.signer, access.Grant{Role: role, Workspaces: workspaces, From: now, TTL: time.Hour})
		}
	}
	grant := access.Grant{Role: access.Admin, Workspaces: []string{access.AllWorkspaces}, From: now.Add(-time.Hour), TTL: time.Minute}
	tokens["expired"] = s.newToken("expired", s.signer, grant)
	grant.From, grant.TTL = now, time.Hour
	tokens["with another key"] = s.newToken("with another key", otherSigner, grant)
	good := tokens["admin of *"]
	tokens["cut short"] = good[:len(good)-9]
	s.never["cut short"] = []byte(good[len(good)-40 : len(good)-9])
	tokens["with a secret"] = authsvc.NewSecret().Reveal()
	s.addSecret("a secret as a token", tokens["with a secret"])
	tokens["too long"] = good + strings.Repeat("A", 9000)
	return tokens
}

// asToken returns the call option that sends a token.
func asToken(token string) grpc.CallOption { return grpc.PerRPCCredentials(access.NewToken(token)) }

// use makes calls with valid and invalid secrets, tokens and requests.
func (s *leakTest) use() {
	s.t.Helper()
	for name, secret := range s.manageKeys() {
		for place, call := range secretPlacements(secret) {
			answer, err := s.checks.Check(s.t.Context(), call)
			if err != nil {
				s.scanError(name+" "+place, err)
				continue
			}
			s.scan("gRPC response", name+" "+place, []byte(answer.String()))
			_, err = s.checks.Report(s.t.Context(), &authv1.ReportRequest{Outcomes: []*authv1.Outcome{{ReportToken: answer.GetReportToken(), Status: 200, LatencyMs: new(float64(1))}}})
			s.scanError(name+" reported", err)
		}
	}
	s.deadLetter()
	s.useTokens()
}

// secretPlacements returns checks with a secret in the key field and, by mistake, in other fields.
func secretPlacements(secret string) map[string]*authv1.CheckRequest {
	near := nearMiss(secret)
	return map[string]*authv1.CheckRequest{
		"as the key":        {ApiKey: secret, AgentType: "agent", AgentId: "a1", Method: "GET", Endpoint: "/v1/a1", WorkspaceId: "acme"},
		"without workspace": {ApiKey: secret, AgentType: "agent", AgentId: "a1"},
		"elsewhere":         {ApiKey: secret, AgentType: "agent", WorkspaceId: "globex"},
		"out of scope":      {ApiKey: secret, AgentType: "voice_agent", AgentId: "a1"},
		"a near miss":       {ApiKey: near, AgentType: "agent", WorkspaceId: "acme"},
		"with spaces":       {ApiKey: " " + secret + " ", AgentType: "agent", WorkspaceId: "acme"},
		"with a prefix":     {ApiKey: "Bearer " + secret, AgentType: "agent", WorkspaceId: "acme"},
		"in the query":      {ApiKey: secret, AgentType: "agent", Endpoint: "/v1?key=" + secret + "&near=" + near},
		"in the path":       {ApiKey: secret, AgentType: "agent", Endpoint: "/v1/" + secret + "/" + secret + "/x"},
		"as the agent":      {ApiKey: secret, AgentType: "agent", AgentId: secret},
		"as the method":     {ApiKey: secret, AgentType: "agent", Method: secret},
	}
}

// nearMiss returns the secret with one character changed.
func nearMiss(secret string) string {
	other := "x"
	if secret[20] == 'x' {
		other = "y"
	}
	return secret[:20] + other + secret[21:]
}

// manageKeys creates keys in every state and returns their secrets.
func (s *leakTest) manageKeys() map[string]string {
	s.t.Helper()
	secrets := map[string]string{}
	know := func(name, secret string) {
		secrets[name] = secret
		s.addSecret(name, secret)
		s.addSecret("a near miss of "+name, nearMiss(secret))
	}
	keys := map[string]*authv1.CreateKeyResponse{}
	for _, name := range []string{"good", "disabled", "expired", "rotated", "deleted"} {
		keys[name] = s.createKey(name)
		know(name, keys[name].GetSecret())
	}
	know("unknown", authsvc.NewSecret().Reveal())
	s.update(keys["disabled"], &authv1.Key{Disabled: true}, "disabled")
	s.update(keys["expired"], &authv1.Key{ExpireTime: timestamppb.New(time.Now().Add(-time.Hour))}, "expire_time")
	answer, err := s.keys.RotateKey(s.t.Context(), &authv1.RotateKeyRequest{
		WorkspaceId: "acme", KeyId: keys["rotated"].GetKey().GetId(), GracePeriod: durationpb.New(time.Hour),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	know("rotated in", answer.GetSecret())
	if _, err := s.keys.DeleteKey(s.t.Context(), &authv1.DeleteKeyRequest{WorkspaceId: "acme", KeyId: keys["deleted"].GetKey().GetId()}); err != nil {
		s.t.Fatal(err)
	}
	return secrets
}

// discardTrail is a trail that discards rows.
type discardTrail struct{}

func (discardTrail) Append(context.Context, ...authsvc.Entry) error { return nil }

// deadLetter reports a call that is older than the retention.
func (s *leakTest) deadLetter() {
	s.t.Helper()
	checker, err := authsvc.NewChecker(authsvc.CheckerConfig{
		Keyring: authsvc.NewKeyring(nil, time.Now), Trail: discardTrail{}, TokenKey: s.tokenKey(), AgentTypes: authsvc.DefaultAgentTypes,
		Now: func() time.Time { return time.Now().Add(-2 * leakRetention) },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	decision, err := checker.Check(s.t.Context(), "", authsvc.Call{AgentType: "agent", WorkspaceID: "acme"})
	if err != nil {
		s.t.Fatal(err)
	}
	outcomes := []*authv1.Outcome{{ReportToken: decision.ReportToken, Status: 200, LatencyMs: new(float64(1))}}
	if answer, err := s.checks.Report(s.t.Context(), &authv1.ReportRequest{Outcomes: outcomes}); err != nil || len(answer.GetRefused()) > 0 {
		s.t.Fatalf("report: %v, %v", answer, err)
	}
	await(s.t, waitTimeout, func() bool {
		_, err := os.Stat(filepath.Join(s.trailDir, "dead-letters.ndjson"))
		return err == nil
	}, func() any { return "no dead letter" })
}

// useTokens sends every token in the right header and in wrong ones, over gRPC and REST.
func (s *leakTest) useTokens() {
	s.t.Helper()
	for name, token := range s.tokens() {
		as := asToken(token)
		anyone := authv1.NewKeyServiceClient(dial(s.t, s.authAddr))
		_, err := anyone.ListKeys(s.t.Context(), &authv1.ListKeysRequest{WorkspaceId: "acme"}, as)
		s.scanError(name, err)
		_, err = anyone.GetKey(s.t.Context(), &authv1.GetKeyRequest{WorkspaceId: "acme", KeyId: uuid.NewString()}, as)
		s.scanError(name, err)
		_, err = anyone.CreateKey(s.t.Context(), &authv1.CreateKeyRequest{WorkspaceId: "acme"}, as)
		s.scanError(name, err)
		for _, header := range []string{"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"} {
			ctx := metadata.AppendToOutgoingContext(s.t.Context(), header, token)
			_, err = anyone.ListKeys(ctx, &authv1.ListKeysRequest{WorkspaceId: "acme"})
			s.scanError(name+" in "+header, err)
		}
		s.overREST(token)
	}
}

// overREST sends a token in correct and malformed requests.
func (s *leakTest) overREST(token string) {
	s.t.Helper()
	for _, request := range [][3]string{
		{"GET", "/v1/workspaces/acme/keys", ""}, {"GET", "/v1/workspaces/acme/request-logs", ""}, {"GET", "/v1/workspaces/acme/nothing", ""},
		{"POST", "/v1/check", `{"agentType":`}, {"POST", "/v1/check", `{"agentType":"pilot"}`}, {"POST", "/v1/workspaces/acme/keys", `{"nam":"x"}`},
		{"DELETE", "/v1/check", ""}, {"POST", "/v1/report", `{}`}, {"GET", "/v1/workspaces/_unattributed/request-logs", ""},
		{"GET", "/v1/workspaces/acme/request-logs?api_key=" + token, ""},
		{"POST", "/v1/check", token}, {"POST", "/v1/check", `{"apiKey":["` + token + `"]}`}, {"POST", "/v1/check", `{"apiKey":` + token + `}`},
	} {
		for _, header := range []string{"Authorization", "X-Authorization", "Grpc-Metadata-Authorization", "Api-Key", "Cookie"} {
			s.scanHTTP("REST response", s.request(request[0], request[1], request[2], header, "Bearer "+token))
		}
	}
	s.scanHTTP("console", s.request("GET", "/?access_token="+token, "", "Authorization", "Bearer "+token))
	// A response may repeat an invalid value to its sender. The value must not be in a log or store.
	for _, request := range [][3]string{
		{"POST", "/v1/report", `{"outcomes":[{"status":"` + token + `"}]}`}, {"POST", "/v1/workspaces/acme/keys", `{"` + token + `":1}`},
		{"GET", "/v1/workspaces/acme/request-logs?page_size=" + token, ""}, {"GET", "/v1/workspaces/" + token + "/keys", ""},
		{"GET", "/v1/workspaces/acme/keys/" + token, ""}, {"GET", "/v1/workspaces/acme/request-logs?" + token, ""}, {"GET", "/v1/" + token, ""},
	} {
		resp, err := doREST(s.t, http.DefaultClient, s.request(request[0], request[1], request[2], "Authorization", "Bearer "+token))
		if err != nil || resp.StatusCode < 400 {
			s.t.Fatalf("%s %.40s: %v %v", request[0], request[1], resp, err)
		}
		resp.Body.Close()
	}
}

// request returns a REST request with one header.
func (s *leakTest) request(method, path, body, header, value string) *http.Request {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.rest+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set(header, value)
	return req
}
