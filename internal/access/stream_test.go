package access

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	accessv1 "github.com/keytrail/keytrail/gen/keytrail/access/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

const watch = "/keytrail.access.test.WatchService/Watch"

// streamGate is a gate of a service with one stream, which viewers may call in their workspaces.
func (w *world) streamGate(t *testing.T) *Gate {
	t.Helper()
	gate := NewGate(w.verifier)
	rules, err := watchRules(t, &accessv1.Rule{Role: accessv1.Role_ROLE_VIEWER, WorkspaceField: "workspace_id"})
	must(t, err)
	gate.rules = rules
	return gate
}

// watchRules reads the rules of a service with one stream, which has a rule.
func watchRules(t *testing.T, has *accessv1.Rule) (map[string]*rule, error) {
	t.Helper()
	options := &descriptorpb.MethodOptions{}
	proto.SetExtension(options, accessv1.E_Rule, has)
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("keytrail/access/test.proto"), Package: proto.String("keytrail.access.test"), Syntax: proto.String("proto3"),
		Dependency: []string{"keytrail/logs/v1/log_service.proto", "keytrail/logs/v1/request_log.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("WatchService"), Method: []*descriptorpb.MethodDescriptorProto{{
			Name: proto.String("Watch"), InputType: proto.String(".keytrail.logs.v1.ListRequestLogsRequest"),
			OutputType: proto.String(".keytrail.logs.v1.RequestLog"), ClientStreaming: proto.Bool(true), ServerStreaming: proto.Bool(true),
			Options: options,
		}}}},
	}, protoregistry.GlobalFiles)
	must(t, err)
	files := &protoregistry.Files{}
	must(t, files.RegisterFile(file))
	return rulesOf(files, map[string]grpc.ServiceInfo{"keytrail.access.test.WatchService": {Methods: []grpc.MethodInfo{{Name: "Watch"}}}})
}

func TestRuleHasAWorkspaceFieldOrAnyWorkspace(t *testing.T) {
	for name, tt := range map[string]struct {
		rule *accessv1.Rule
		says string // empty: it is good
	}{
		"a field":        {&accessv1.Rule{Role: accessv1.Role_ROLE_ANY, WorkspaceField: "workspace_id"}, ""},
		"any":            {&accessv1.Rule{Role: accessv1.Role_ROLE_ANY, AnyWorkspace: true}, ""},
		"neither":        {&accessv1.Rule{Role: accessv1.Role_ROLE_VIEWER}, ""},
		"both":           {&accessv1.Rule{Role: accessv1.Role_ROLE_ANY, WorkspaceField: "workspace_id", AnyWorkspace: true}, "one of them"},
		"no role":        {&accessv1.Rule{AnyWorkspace: true}, "which role"},
		"a role to come": {&accessv1.Rule{Role: 99, AnyWorkspace: true}, "which role"},
	} {
		_, err := watchRules(t, tt.rule)
		if (err == nil) != (tt.says == "") || err != nil && (!strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "WatchService.Watch")) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
}

// stream is the server's side of a stream: what comes is what it is given, then the end.
type stream struct {
	grpc.ServerStream
	ctx    context.Context
	coming []string // workspaces
	sent   int
}

func newStream(ctx context.Context, token string, coming ...string) *stream {
	return &stream{ctx: metadata.NewIncomingContext(ctx, metadata.Pairs("authorization", "Bearer "+token)), coming: coming}
}

// Context implements grpc.ServerStream.
func (s *stream) Context() context.Context { return s.ctx }

// RecvMsg implements grpc.ServerStream.
func (s *stream) RecvMsg(message any) error {
	if len(s.coming) == 0 {
		return io.EOF
	}
	message.(*logsv1.ListRequestLogsRequest).WorkspaceId = s.coming[0]
	s.coming = s.coming[1:]
	return nil
}

// SendMsg implements grpc.ServerStream.
func (s *stream) SendMsg(any) error {
	s.sent++
	return nil
}

// echo answers every message that comes with one.
func echo(_ any, stream grpc.ServerStream) error {
	if _, ok := FromContext(stream.Context()); !ok {
		return errors.New("the handler does not know who calls")
	}
	for {
		err := stream.RecvMsg(&logsv1.ListRequestLogsRequest{})
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.SendMsg(&logsv1.RequestLog{}); err != nil {
			return err
		}
	}
}

// blurt answers before it was asked.
func blurt(_ any, stream grpc.ServerStream) error { return stream.SendMsg(&logsv1.RequestLog{}) }

func TestStreamsAskForTokensRolesAndWorkspaces(t *testing.T) {
	w := newWorld(t)
	gate, info := w.streamGate(t), &grpc.StreamServerInfo{FullMethod: watch, IsClientStream: true, IsServerStream: true}
	viewer, all := w.token(t, Viewer, "acme", "globex"), w.token(t, Admin, AllWorkspaces)
	for name, tt := range map[string]struct {
		token   string
		coming  []string
		handler grpc.StreamHandler
		kind    fault.Kind // Internal: none
		sent    int
	}{
		"its workspaces":                   {viewer, []string{"acme", "globex"}, echo, fault.Internal, 2},
		"another workspace":                {viewer, []string{"initech"}, echo, fault.Forbidden, 0},
		"another workspace later":          {viewer, []string{"acme", "initech"}, echo, fault.Forbidden, 1},
		"no workspace":                     {viewer, []string{""}, echo, fault.Forbidden, 0},
		"an answer to no question":         {viewer, nil, blurt, fault.Forbidden, 0},
		"all workspaces":                   {all, []string{"initech", ""}, echo, fault.Internal, 2},
		"an answer to no question, of all": {all, nil, blurt, fault.Internal, 1},
		"another role":                     {w.token(t, Checker, AllWorkspaces), []string{"acme"}, echo, fault.Forbidden, 0},
		"no token":                         {"", []string{"acme"}, echo, fault.Unauthenticated, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream(t.Context(), tt.token, tt.coming...)
			err := gate.Stream(nil, s, info, tt.handler)
			if fault.KindOf(err) != tt.kind || (err == nil) != (tt.kind == fault.Internal) || s.sent != tt.sent {
				t.Errorf("ended with %v after %d answers; want the kind %d after %d", err, s.sent, tt.kind, tt.sent)
			}
		})
	}
}

func TestStreamEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.verifier.now = time.Now
		token, err := w.signer.Token(Grant{Role: Viewer, Workspaces: []string{"acme"}, From: time.Now(), TTL: time.Minute})
		must(t, err)
		began := time.Now()
		err = w.streamGate(t).Stream(nil, newStream(t.Context(), token), &grpc.StreamServerInfo{FullMethod: watch},
			func(_ any, stream grpc.ServerStream) error {
				<-stream.Context().Done()
				return stream.Context().Err()
			})
		if took := time.Since(began); fault.KindOf(err) != fault.Unauthenticated || took != time.Minute {
			t.Errorf("ended with %v after %v", err, took)
		}
	})
}

func TestOpenStreamsAskForNothing(t *testing.T) {
	gate := NewGate(newWorld(t).verifier)
	must(t, gate.Protect(map[string]grpc.ServiceInfo{"grpc.health.v1.Health": {Methods: []grpc.MethodInfo{{Name: "Watch"}}}}))
	s := &stream{ctx: t.Context()}
	if err := gate.Stream(nil, s, &grpc.StreamServerInfo{FullMethod: "/grpc.health.v1.Health/Watch"}, blurt); err != nil || s.sent != 1 {
		t.Errorf("ended with %v", err)
	}
}
