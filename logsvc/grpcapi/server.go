// Package grpcapi serves the LogService of the contract: it converts between the messages of keytrail.logs.v1 and the
// types of package logsvc.
package grpcapi

import (
	"cmp"
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/pagetoken"
	"github.com/keytrail/keytrail/internal/wire"
	"github.com/keytrail/keytrail/logsvc"
)

type server struct {
	logsv1.UnimplementedLogServiceServer
	logs *logsvc.Service
}

// Register registers the service on a gRPC server.
func Register(registrar grpc.ServiceRegistrar, logs *logsvc.Service) {
	logsv1.RegisterLogServiceServer(registrar, server{logs: logs})
}

// RecordRequestLogs implements the contract.
func (s server) RecordRequestLogs(ctx context.Context, req *logsv1.RecordRequestLogsRequest) (*logsv1.RecordRequestLogsResponse, error) {
	records := req.GetRecords()
	entries := make([]logsvc.Entry, len(records))
	malformed := map[int]string{}
	for i, record := range records {
		entry, err := parseRecord(record)
		if err != nil {
			// Record rejects the zero entry that is left here as malformed, and counts it.
			malformed[i] = err.Error()
			continue
		}
		entries[i] = entry
	}
	rejected, err := s.logs.Record(ctx, entries)
	if err != nil {
		return nil, err
	}
	resp := &logsv1.RecordRequestLogsResponse{}
	for i, record := range records {
		if rejection, ok := rejected[i]; ok {
			resp.Refused = append(resp.Refused, &logsv1.RefusedRequestLog{
				Index: int32(i), RequestLogId: record.GetRequestLog().GetId(),
				Reason: rejection.Reason.String(), Message: cmp.Or(malformed[i], rejection.Message),
			})
		}
	}
	return resp, nil
}

// ListRequestLogs implements the contract.
func (s server) ListRequestLogs(ctx context.Context, req *logsv1.ListRequestLogsRequest) (*logsv1.ListRequestLogsResponse, error) {
	query, tokenScope, err := parseQuery(req)
	if err != nil {
		return nil, err
	}
	page, more, err := s.logs.List(ctx, query)
	if err != nil {
		return nil, err
	}
	resp := &logsv1.ListRequestLogsResponse{
		SearchedTo: timestamppb.New(timeFrom(page.SearchedTo)), Retention: durationpb.New(s.logs.Retention()),
	}
	for _, e := range page.Entries {
		resp.RequestLogs = append(resp.RequestLogs, toProto(e))
	}
	for _, ids := range page.Unreadable {
		resp.UnreadableRanges = append(resp.UnreadableRanges, toTimes(ids))
	}
	if more {
		resp.NextPageToken = pagetoken.Encode(page.SearchedTo, tokenScope...)
	}
	return resp, nil
}

// GetRequestLog implements the contract.
func (s server) GetRequestLog(ctx context.Context, req *logsv1.GetRequestLogRequest) (*logsv1.GetRequestLogResponse, error) {
	id, err := wire.ParseID("request_log_id", req.GetRequestLogId())
	if err != nil {
		return nil, err
	}
	entry, err := s.logs.Get(ctx, req.GetWorkspaceId(), id)
	if err != nil {
		return nil, err
	}
	return &logsv1.GetRequestLogResponse{RequestLog: toProto(entry)}, nil
}

// PurgeRequestLogs implements the contract.
func (s server) PurgeRequestLogs(ctx context.Context, req *logsv1.PurgeRequestLogsRequest) (*logsv1.PurgeRequestLogsResponse, error) {
	end, err := parseBound("end_time", req.GetEndTime())
	if err != nil {
		return nil, err
	}
	purged, err := s.logs.Purge(ctx, req.GetWorkspaceId(), end)
	if err != nil {
		return nil, err
	}
	resp := &logsv1.PurgeRequestLogsResponse{PurgedCount: purged.Rows, Complete: purged.Complete}
	if !purged.End.IsZero() {
		resp.EndTime = timestamppb.New(purged.End)
	}
	return resp, nil
}
