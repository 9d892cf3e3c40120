package authsvc

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/wire"
)

// Register offers both services of this domain on a gRPC server.
func Register(server grpc.ServiceRegistrar, checker *Checker, keys *Keys) {
	authv1.RegisterCheckServiceServer(server, checkServer{checker: checker})
	authv1.RegisterKeyServiceServer(server, keyServer{keys: keys})
}

type checkServer struct {
	authv1.UnimplementedCheckServiceServer
	checker *Checker
}

// Check implements the contract.
func (s checkServer) Check(ctx context.Context, req *authv1.CheckRequest) (*authv1.CheckResponse, error) {
	callID, err := wire.ParseID("call_id", req.GetCallId())
	if err != nil {
		return nil, err
	}
	decision, err := s.checker.Check(ctx, req.GetApiKey(), Call{
		ID: callID, AgentType: req.GetAgentType(), AgentID: req.GetAgentId(), Method: req.GetMethod(),
		Endpoint: req.GetEndpoint(), WorkspaceID: req.GetWorkspaceId(),
	})
	if err != nil {
		return nil, err
	}
	entry := &decision.Entry
	answer := &authv1.CheckResponse{
		Allowed: decision.Allowed(), HttpStatus: 200, RequestLogId: entry.ID.String(), ReportToken: decision.ReportToken,
	}
	if !answer.Allowed {
		d := decision.Denial()
		answer.HttpStatus = int32(d.HTTPStatus)
		answer.Denial = &authv1.Denial{Code: string(d.Code), Message: d.Message, Fix: d.Fix, Cause: string(entry.Cause)}
	}
	// Whoever asks for another workspace than the key's is not told whose key it is, whatever the code; the row is in the
	// key's log.
	if own := req.GetWorkspaceId() == "" || req.GetWorkspaceId() == entry.WorkspaceID; own && !entry.ErrorCode.provesNoKey() {
		answer.WorkspaceId, answer.KeyId, answer.KeyName = entry.WorkspaceID, wire.ID(entry.KeyID), entry.KeyName
		answer.KeyLast4, answer.ExternalId, answer.Metadata = entry.KeyLast4, entry.ExternalID, decision.Metadata
	}
	return answer, nil
}

// Report implements the contract.
func (s checkServer) Report(ctx context.Context, req *authv1.ReportRequest) (*authv1.ReportResponse, error) {
	identity, known := access.FromContext(ctx)
	if !known {
		return nil, errors.New("a report without an identity")
	}
	outcomes := make([]Outcome, len(req.GetOutcomes()))
	for i, o := range req.GetOutcomes() {
		outcomes[i] = Outcome{ReportToken: o.GetReportToken(), Status: int(o.GetStatus()), Latency: wire.ParseLatency(o.GetLatencyMs())}
	}
	refused, err := s.checker.Report(ctx, outcomes, identity.Holds)
	if err != nil {
		return nil, err
	}
	answer := &authv1.ReportResponse{}
	for _, r := range refused {
		answer.Refused = append(answer.Refused, &authv1.RefusedOutcome{Index: int32(r.Index), Reason: string(r.Reason)})
	}
	return answer, nil
}
