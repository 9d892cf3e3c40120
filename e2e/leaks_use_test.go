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

// mint makes a token that the witness knows.
func (s *leakStand) mint(name string, signer *access.Signer, grant access.Grant) string {
	s.t.Helper()
	text, err := signer.Token(grant)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.token(name, text)
}

// tokens are of every role, and of every way to be no good.
func (s *leakStand) tokens() map[string]string {
	s.t.Helper()
	stranger, _ := newSigner(s.t)
	made, now := map[string]string{}, time.Now()
	for _, role := range access.Roles {
		for _, workspaces := range [][]string{{"acme"}, {"globex", "initech"}, {access.AllWorkspaces}} {
			name := string(role) + " of " + workspaces[0]
			made[name] = s.mint(name, s.signer, access.Grant{Role: role, Workspaces: workspaces, From: now, TTL: time.Hour})
		}
	}
	grant := access.Grant{Role: access.Admin, Workspaces: []string{access.AllWorkspaces}, From: now.Add(-time.Hour), TTL: time.Minute}
	made["expired"] = s.mint("expired", s.signer, grant)
	grant.From, grant.TTL = now, time.Hour
	made["of another key"] = s.mint("of another key", stranger, grant)
	good := made["admin of *"]
	made["cut short"] = good[:len(good)-9]
	s.never["cut short"] = []byte(good[len(good)-40 : len(good)-9])
	made["with a secret"] = authsvc.NewSecret().Reveal()
	s.secret("a secret as a token", made["with a secret"])
	made["of a long tail"] = good + strings.Repeat("A", 9000)
	return made
}

// asToken is how one call carries a token.
func asToken(token string) grpc.CallOption { return grpc.PerRPCCredentials(access.NewToken(token)) }

// use makes every kind of call: with good and bad secrets, tokens and requests.
func (s *leakStand) use() {
	s.t.Helper()
	for name, secret := range s.manageKeys() {
		for place, call := range oddPlaces(secret) {
			answer, err := s.checks.Check(s.t.Context(), call)
			if err != nil {
				s.refused(name+" "+place, err)
				continue
			}
			s.see("gRPC answer", name+" "+place, []byte(answer.String()))
			_, err = s.checks.Report(s.t.Context(), &authv1.ReportRequest{Outcomes: []*authv1.Outcome{{ReportToken: answer.GetReportToken(), Status: 200, LatencyMs: new(float64(1))}}})
			s.refused(name+" reported", err)
		}
	}
	s.deadLetter()
	s.strangers()
}

// oddPlaces are calls with a secret in all places where one may be, and may not.
func oddPlaces(secret string) map[string]*authv1.CheckRequest {
	near := nearMiss(secret)
	return map[string]*authv1.CheckRequest{
		"as the key":        {ApiKey: secret, AgentType: "agent", AgentId: "a1", Method: "GET", Endpoint: "/v1/a1", WorkspaceId: "acme"},
		"without workspace": {ApiKey: secret, AgentType: "agent", AgentId: "a1"},
		"elsewhere":         {ApiKey: secret, AgentType: "agent", WorkspaceId: "globex"},
		"out of scope":      {ApiKey: secret, AgentType: "voice_agent", AgentId: "a1"},
		"a near miss":       {ApiKey: near, AgentType: "agent", WorkspaceId: "acme"},
		"with spaces":       {ApiKey: " " + secret + " ", AgentType: "agent", WorkspaceId: "acme"},
		"as a bearer":       {ApiKey: "Bearer " + secret, AgentType: "agent", WorkspaceId: "acme"},
		"in the query":      {ApiKey: secret, AgentType: "agent", Endpoint: "/v1?key=" + secret + "&near=" + near},
		"in the path":       {ApiKey: secret, AgentType: "agent", Endpoint: "/v1/" + secret + "/" + secret + "/x"},
		"as the agent":      {ApiKey: secret, AgentType: "agent", AgentId: secret},
		"as the method":     {ApiKey: secret, AgentType: "agent", Method: secret},
	}
}

// nearMiss changes one character.
func nearMiss(secret string) string {
	other := "x"
	if secret[20] == 'x' {
		other = "y"
	}
	return secret[:20] + other + secret[21:]
}

// manageKeys makes keys in every state, and answers their secrets.
func (s *leakStand) manageKeys() map[string]string {
	s.t.Helper()
	secrets := map[string]string{}
	know := func(name, secret string) {
		secrets[name] = secret
		s.secret(name, secret)
		s.secret("a near miss of "+name, nearMiss(secret))
	}
	keys := map[string]*authv1.CreateKeyResponse{}
	for _, name := range []string{"good", "disabled", "expired", "rotated", "deleted"} {
		keys[name] = s.createKey(name)
		know(name, keys[name].GetSecret())
	}
	know("of nobody", authsvc.NewSecret().Reveal())
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

// nowhere takes rows that nobody reads.
type nowhere struct{}

func (nowhere) Append(context.Context, ...authsvc.Entry) error { return nil }

// deadLetter reports a call that is older than the retention.
func (s *leakStand) deadLetter() {
	s.t.Helper()
	checker, err := authsvc.NewChecker(authsvc.CheckerConfig{
		Trail: nowhere{}, TokenKey: s.tokenKey(), AgentTypes: authsvc.DefaultAgentTypes, Now: func() time.Time { return time.Now().Add(-2 * leakRetention) },
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
	await(s.t, patience, func() bool {
		_, err := os.Stat(filepath.Join(s.trailDir, "dead-letters.ndjson"))
		return err == nil
	}, func() any { return "no dead letter" })
}

// strangers call with every token, in the right place and in wrong ones, over gRPC and REST.
func (s *leakStand) strangers() {
	s.t.Helper()
	for name, token := range s.tokens() {
		as := asToken(token)
		anyone := authv1.NewKeyServiceClient(dial(s.t, s.authAddr))
		_, err := anyone.ListKeys(s.t.Context(), &authv1.ListKeysRequest{WorkspaceId: "acme"}, as)
		s.refused(name, err)
		_, err = anyone.GetKey(s.t.Context(), &authv1.GetKeyRequest{WorkspaceId: "acme", KeyId: uuid.NewString()}, as)
		s.refused(name, err)
		_, err = anyone.CreateKey(s.t.Context(), &authv1.CreateKeyRequest{WorkspaceId: "acme"}, as)
		s.refused(name, err)
		for _, header := range []string{"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"} {
			ctx := metadata.AppendToOutgoingContext(s.t.Context(), header, token)
			_, err = anyone.ListKeys(ctx, &authv1.ListKeysRequest{WorkspaceId: "acme"})
			s.refused(name+" in "+header, err)
		}
		s.overREST(token)
	}
}

// overREST sends a token in right and wrong ways.
func (s *leakStand) overREST(token string) {
	s.t.Helper()
	for _, request := range [][3]string{
		{"GET", "/v1/workspaces/acme/keys", ""}, {"GET", "/v1/workspaces/acme/request-logs", ""}, {"GET", "/v1/workspaces/acme/nothing", ""},
		{"POST", "/v1/check", `{"agentType":`}, {"POST", "/v1/check", `{"agentType":"pilot"}`}, {"POST", "/v1/workspaces/acme/keys", `{"nam":"x"}`},
		{"DELETE", "/v1/check", ""}, {"POST", "/v1/report", `{}`}, {"GET", "/v1/workspaces/_unattributed/request-logs", ""},
		{"GET", "/v1/workspaces/acme/request-logs?api_key=" + token, ""}, {"GET", "/?access_token=" + token, ""},
		{"POST", "/v1/check", token}, {"POST", "/v1/check", `{"apiKey":["` + token + `"]}`}, {"POST", "/v1/check", `{"apiKey":` + token + `}`},
	} {
		for _, header := range []string{"Authorization", "X-Authorization", "Grpc-Metadata-Authorization", "Api-Key", "Cookie"} {
			s.http("REST answer", s.request(request[0], request[1], request[2], header, "Bearer "+token))
		}
	}
	// Where a value is no good, the answer repeats it to whoever sent it. Nobody else may see it.
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

// request makes a request of REST with one header.
func (s *leakStand) request(method, path, body, header, value string) *http.Request {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.rest+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set(header, value)
	return req
}
