// Package grpcapi serves the domain of the auth service over gRPC: it converts messages and does nothing else.
package grpcapi

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	"github.com/keytrail/keytrail/authsvc"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/wire"
)

// Register registers the services of the domain on a gRPC server.
func Register(server grpc.ServiceRegistrar, checker *authsvc.Checker, keys *authsvc.Keys) {
	authv1.RegisterCheckServiceServer(server, NewCheckServer(checker))
	authv1.RegisterKeyServiceServer(server, keyServer{keys: keys})
	authv1.RegisterSessionServiceServer(server, sessionServer{keys: keys})
}

// NewCheckServer returns the CheckService of a checker. Whoever calls it directly applies the contract's rules to the requests.
func NewCheckServer(checker *authsvc.Checker) authv1.CheckServiceServer {
	return checkServer{checker: checker}
}

type checkServer struct {
	authv1.UnimplementedCheckServiceServer
	checker *authsvc.Checker
}

// Check implements the contract.
func (s checkServer) Check(ctx context.Context, req *authv1.CheckRequest) (*authv1.CheckResponse, error) {
	callID, err := wire.ParseID("call_id", req.GetCallId())
	if err != nil {
		return nil, err
	}
	decision, err := s.checker.Check(ctx, req.GetApiKey(), authsvc.Call{
		ID: callID, AgentType: req.GetAgentType(), AgentID: req.GetAgentId(), Method: req.GetMethod(),
		Endpoint: req.GetEndpoint(), WorkspaceID: req.GetWorkspaceId(),
	})
	if err != nil {
		return nil, err
	}
	entry := &decision.Entry
	response := &authv1.CheckResponse{
		Allowed: decision.Allowed(), HttpStatus: 200, RequestLogId: entry.ID.String(), ReportToken: decision.ReportToken,
	}
	if !response.Allowed {
		d := decision.Denial()
		response.HttpStatus = int32(d.HTTPStatus)
		response.Denial = &authv1.Denial{Code: string(d.Code), Message: d.Message, Fix: d.Fix, Cause: string(entry.Cause)}
	}
	// A caller that names another workspace than the key's does not learn whose key it is, whatever the code. The row is
	// in the log of the key's workspace.
	sameWorkspace := req.GetWorkspaceId() == "" || req.GetWorkspaceId() == entry.WorkspaceID
	if sameWorkspace && entry.KeyID != uuid.Nil {
		response.WorkspaceId, response.KeyId, response.KeyName = entry.WorkspaceID, entry.KeyID.String(), entry.KeyName
		response.KeyLast4, response.ExternalId, response.Metadata = entry.KeyLast4, entry.ExternalID, decision.Metadata
	}
	return response, nil
}

// Report implements the contract.
func (s checkServer) Report(ctx context.Context, req *authv1.ReportRequest) (*authv1.ReportResponse, error) {
	identity, known := access.FromContext(ctx)
	if !known {
		return nil, errors.New("a report without an identity")
	}
	outcomes := make([]authsvc.Outcome, len(req.GetOutcomes()))
	for i, o := range req.GetOutcomes() {
		outcomes[i] = authsvc.Outcome{ReportToken: o.GetReportToken(), Status: int(o.GetStatus()), Latency: wire.ParseLatency(o.GetLatencyMs())}
	}
	refused, err := s.checker.Report(ctx, outcomes, identity.Holds)
	if err != nil {
		return nil, err
	}
	response := &authv1.ReportResponse{}
	for _, r := range refused {
		response.Refused = append(response.Refused, &authv1.RefusedOutcome{Index: int32(r.Index), Reason: string(r.Reason)})
	}
	return response, nil
}
