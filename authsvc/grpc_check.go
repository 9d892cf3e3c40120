package authsvc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/internal/wire"
)

// RawFields are the request fields in which any bytes are welcome: what the caller of a call sent.
var RawFields = []protoreflect.FullName{
	"keytrail.auth.v1.CheckRequest.api_key",
	"keytrail.auth.v1.CheckRequest.agent_id",
	"keytrail.auth.v1.CheckRequest.method",
	"keytrail.auth.v1.CheckRequest.endpoint",
}

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
	entry, err := s.checker.Check(ctx, req.GetApiKey(), Call{
		AgentType: req.GetAgentType(), AgentID: req.GetAgentId(), Method: req.GetMethod(),
		Endpoint: req.GetEndpoint(), WorkspaceID: req.GetWorkspaceId(),
	})
	if err != nil {
		return nil, err
	}
	row := entry.Proto()
	if call := req.GetWorkspaceId(); call != "" && call != entry.WorkspaceID {
		// The key is another workspace's, in whose log the row is: whoever asks for this one learns nothing of it.
		row.WorkspaceId, row.KeyId, row.KeyName, row.KeyLast4 = call, "", "", ""
	}
	row.Proof = &logsv1.RequestLog_Signature{Signature: s.checker.Sign(entry)}
	return &authv1.CheckResponse{
		Allowed:    entry.ErrorCode == "",
		ErrorCode:  string(entry.ErrorCode),
		HttpStatus: int32(entry.ErrorCode.HTTPStatus()),
		Message:    entry.ErrorCode.Message(),
		Entry:      row,
	}, nil
}

// Report implements the contract.
func (s checkServer) Report(ctx context.Context, req *authv1.ReportRequest) (*authv1.ReportResponse, error) {
	outcomes := make([]Outcome, len(req.GetOutcomes()))
	for i, o := range req.GetOutcomes() {
		entry, err := entryFromProto(o.GetEntry())
		if err != nil {
			return nil, err
		}
		entry.Status = int(o.GetStatus())
		entry.Latency = wire.ParseLatency(o.GetLatencyMs())
		outcomes[i] = Outcome{Entry: entry, Signature: o.GetEntry().GetSignature()}
	}
	return &authv1.ReportResponse{}, s.checker.Report(ctx, outcomes)
}

// Proto is the entry as the contract writes it, without a signature.
func (e Entry) Proto() *logsv1.RequestLog {
	return &logsv1.RequestLog{
		Id:          e.ID.String(),
		Time:        timestamppb.New(uuid7.Time(e.ID)),
		WorkspaceId: e.WorkspaceID,
		KeyId:       wire.ID(e.KeyID),
		KeyName:     e.KeyName,
		KeyLast4:    e.KeyLast4,
		AgentType:   e.AgentType,
		AgentId:     e.AgentID,
		Method:      e.Method,
		Endpoint:    e.Endpoint,
		Status:      int32(e.Status),
		ErrorCode:   string(e.ErrorCode),
		LatencyMs:   wire.Latency(e.Latency),
		Repeated:    int32(e.Repeated),
	}
}

// entryFromProto reads what the check answered; status and latency are the report's own, which is of one call.
func entryFromProto(row *logsv1.RequestLog) (Entry, error) {
	id, err := wire.ParseID("entry.id", row.GetId())
	if err != nil {
		return Entry{}, err
	}
	keyID, err := wire.ParseID("entry.key_id", row.GetKeyId())
	if err != nil {
		return Entry{}, err
	}
	return Entry{
		ID: id, WorkspaceID: row.GetWorkspaceId(),
		KeyID: keyID, KeyName: row.GetKeyName(), KeyLast4: row.GetKeyLast4(),
		AgentType: row.GetAgentType(), AgentID: row.GetAgentId(),
		Method: row.GetMethod(), Endpoint: row.GetEndpoint(),
		ErrorCode: ErrorCode(row.GetErrorCode()), Repeated: 1,
	}, nil
}
