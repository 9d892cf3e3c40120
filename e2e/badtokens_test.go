package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/flood"
)

const (
	// badConnections send bad tokens, badCallsAtATime calls at a time each over gRPC.
	badConnections, badCallsAtATime = 64, 4
	// newTokens are the valid tokens that are used for the first time meanwhile.
	newTokens, newTokenCallers = 1000, 8
)

// badTokens returns tokens of each kind that is refused: of a known key with a wrong signature, of an unknown key, expired, and
// no token at all.
func (s *cluster) badTokens() []string {
	s.t.Helper()
	unknown, err := access.NewSigner()
	if err != nil {
		s.t.Fatal(err)
	}
	good := token(s.t, s.signer, access.Checker, access.AllWorkspaces)
	signed := good[:strings.LastIndexByte(good, '.')+1]
	foreign := token(s.t, unknown, access.Checker, access.AllWorkspaces)
	old, err := s.signer.Token(access.Grant{
		Role: access.Checker, Workspaces: []string{access.AllWorkspaces}, From: time.Now().Add(-2 * tokenTTL), TTL: tokenTTL,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return []string{signed + foreign[strings.LastIndexByte(foreign, '.')+1:], foreign, old, "bad"}
}

// sendBadTokens sends bad tokens over gRPC or REST until stop is called, which expects each to be refused. It returns when the
// first was.
func (s *cluster) sendBadTokens(gateway string) (stop func()) {
	s.t.Helper()
	bad, refused, begun := s.badTokens(), atomic.Int64{}, make(chan struct{})
	began := sync.OnceFunc(func() { close(begun) })
	ctx, cancel := context.WithCancel(s.t.Context())
	var sending sync.WaitGroup
	for range badConnections {
		sending.Go(func() {
			defer began() // if it fails
			send := s.sendBadCalls
			if gateway != "" {
				send = func(ctx context.Context, bad []string, each func()) error {
					return sendBadRequests(ctx, gateway, bad, each)
				}
			}
			if err := send(ctx, bad, func() { refused.Add(1); began() }); err != nil {
				s.t.Errorf("a connection with bad tokens: %v", err)
			}
		})
	}
	<-begun
	return func() {
		cancel()
		sending.Wait()
		s.t.Logf("%d bad tokens were refused meanwhile", refused.Load())
	}
}

// sendBadCalls sends bad tokens over one gRPC connection.
func (s *cluster) sendBadCalls(ctx context.Context, bad []string, each func()) error {
	const round = 100
	for ctx.Err() == nil {
		ends, err := flood.Run(ctx, s.authAddr, flood.Load{Total: round, AtATime: badCallsAtATime, Next: func(i int) flood.Call {
			return flood.Call{
				Method: authv1.CheckService_Check_FullMethodName, Body: flood.Body(nil, false), Authorization: "Bearer " + bad[i%len(bad)],
			}
		}})
		for _, byCode := range ends {
			for code, n := range byCode {
				if code != codes.Unauthenticated {
					return fmt.Errorf("%d calls ended with %v", n, code)
				}
				for range n {
					each()
				}
			}
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// sendBadRequests sends bad tokens over one HTTP connection.
func sendBadRequests(ctx context.Context, gateway string, bad []string, each func()) error {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for i := 0; ctx.Err() == nil; i++ {
		status, err := postCheck(ctx, client, gateway, bad[i%len(bad)], "{}")
		switch {
		case ctx.Err() != nil:
		case err != nil:
			return err
		case status != http.StatusUnauthorized:
			return fmt.Errorf("a request with a bad token: %d", status)
		default:
			each()
		}
	}
	return nil
}

// postCheck checks a call over REST.
func postCheck(ctx context.Context, client *http.Client, gateway, token, body string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+gateway+"/v1/check", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, errors.Join(err, response.Body.Close())
}

// useNewTokens makes a check with each of many tokens that were never used, and returns how many of them passed.
func (s *cluster) useNewTokens(call func(ctx context.Context, token string) error) (passed int) {
	s.t.Helper()
	tokens, all := make(chan string, newTokens), atomic.Int64{}
	for i := range newTokens {
		made, err := s.signer.Token(access.Grant{
			Role: access.Checker, Workspaces: []string{access.AllWorkspaces},
			From: time.Now().Add(-time.Minute), TTL: tokenTTL + time.Duration(i)*time.Second, // no two are the same
		})
		if err != nil {
			s.t.Fatal(err)
		}
		tokens <- made
	}
	close(tokens)
	var calling sync.WaitGroup
	for range newTokenCallers {
		calling.Go(func() {
			for token := range tokens {
				if err := call(s.t.Context(), token); err != nil {
					s.t.Errorf("a new token: %v", err)
					return
				}
				all.Add(1)
			}
		})
	}
	calling.Wait()
	return int(all.Load())
}

// TestNewTokensPassWhileBadTokensAreSent: all callers have one address here, as behind a proxy.
func TestNewTokensPassWhileBadTokensAreSent(t *testing.T) {
	t.Parallel()
	s, gateway := newEmbeddedCluster(t), stableAddr(t)
	s.auth.command[slices.Index(s.auth.command, "--gateway-addr")+1] = gateway
	s.start()
	secret := s.createKey("k").GetSecret()
	checks := authv1.NewCheckServiceClient(dial(t, s.authAddr))
	overGRPC := func(ctx context.Context, token string) error {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
		answer, err := checks.Check(ctx, &authv1.CheckRequest{ApiKey: secret, AgentType: "agent"})
		if err == nil && !answer.GetAllowed() {
			err = fmt.Errorf("denied: %v", answer.GetDenial())
		}
		return err
	}
	overREST := func(ctx context.Context, token string) error {
		status, err := postCheck(ctx, http.DefaultClient, gateway, token, `{"apiKey": "`+secret+`", "agentType": "agent"}`)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return err
	}
	for _, when := range []string{"before the restart", "after the restart"} {
		for name, call := range map[string]func(context.Context, string) error{"gRPC": overGRPC, "REST": overREST} {
			load := ""
			if name == "REST" {
				load = gateway
			}
			stop := s.sendBadTokens(load)
			if passed := s.useNewTokens(call); passed != newTokens {
				t.Errorf("%s, %s: %d of %d new tokens passed", name, when, passed, newTokens)
			}
			stop()
		}
		if when == "before the restart" {
			_ = s.auth.down()
			s.start()
		}
	}
}
