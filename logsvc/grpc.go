package logsvc

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/pagetoken"
	"github.com/keytrail/keytrail/internal/wire"
)

const (
	// defaultPageSize is how many rows a page has where the request does not say.
	defaultPageSize = 50
	// maxPageSize is the most rows that a page has.
	maxPageSize = 1000
)

type server struct {
	logsv1.UnimplementedLogServiceServer
	logs *Service
}

// Register offers the service on a gRPC server.
func Register(registrar grpc.ServiceRegistrar, logs *Service) {
	logsv1.RegisterLogServiceServer(registrar, server{logs: logs})
}

// RecordRequestLogs implements the contract.
func (s server) RecordRequestLogs(ctx context.Context, req *logsv1.RecordRequestLogsRequest) (*logsv1.RecordRequestLogsResponse, error) {
	records := req.GetRecords()
	answer := &logsv1.RecordRequestLogsResponse{}
	refuse := func(i int, why RefusedEntry) {
		answer.Refused = append(answer.Refused, &logsv1.RefusedRequestLog{
			Index: int32(i), RequestLogId: records[i].GetRequestLog().GetId(), Reason: why.Class.String(), Message: why.Message,
		})
	}
	entries := make([]Entry, 0, len(records))
	positions := make([]int, 0, len(records))
	for i, record := range records {
		entry, err := parse(record)
		if err != nil {
			refuse(i, RefusedEntry{Malformed, err.Error()})
			s.logs.refused.count(Malformed)
			continue
		}
		entries, positions = append(entries, entry), append(positions, i)
	}
	refused, err := s.logs.Record(ctx, entries)
	if err != nil {
		return nil, err
	}
	for i, why := range refused {
		refuse(positions[i], why)
	}
	slices.SortFunc(answer.Refused, func(a, b *logsv1.RefusedRequestLog) int { return int(a.Index - b.Index) })
	return answer, nil
}

// ListRequestLogs implements the contract.
func (s server) ListRequestLogs(ctx context.Context, req *logsv1.ListRequestLogsRequest) (*logsv1.ListRequestLogsResponse, error) {
	search, query, err := parseSearch(req)
	if err != nil {
		return nil, err
	}
	page, more, err := s.logs.List(ctx, search)
	if err != nil {
		return nil, err
	}
	answer := &logsv1.ListRequestLogsResponse{
		SearchedTo: timestamppb.New(searchedTo(page)), Retention: durationpb.New(s.logs.config.Retention),
	}
	for _, e := range page.Entries {
		answer.RequestLogs = append(answer.RequestLogs, e.proto())
	}
	if more {
		answer.NextPageToken = pagetoken.Encode(page.SearchedTo, query...)
	}
	return answer, nil
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
	return &logsv1.GetRequestLogResponse{RequestLog: entry.proto()}, nil
}

// PurgeRequestLogs implements the contract.
func (s server) PurgeRequestLogs(ctx context.Context, req *logsv1.PurgeRequestLogsRequest) (*logsv1.PurgeRequestLogsResponse, error) {
	purged, complete, err := s.logs.Purge(ctx, req.GetWorkspaceId())
	if err != nil {
		return nil, err
	}
	return &logsv1.PurgeRequestLogsResponse{PurgedCount: purged, Complete: complete}, nil
}
