package grpcapi

import (
	"bytes"
	"cmp"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/pagetoken"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/internal/wire"
	"github.com/keytrail/keytrail/logsvc"
)

const (
	defaultPageSize = 50
	maxPageSize     = 1000
)

// parseRecord validates one record of a batch and converts it.
func parseRecord(record *logsv1.RequestLogRecord) (logsvc.Entry, error) {
	row := record.GetRequestLog()
	if err := validate(row); err != nil {
		return logsvc.Entry{}, err
	}
	id, err := wire.ParseID("id", row.GetId())
	if err != nil {
		return logsvc.Entry{}, err
	}
	keyID, err := wire.ParseID("key_id", row.GetKeyId())
	if err != nil {
		return logsvc.Entry{}, err
	}
	return logsvc.Entry{
		ID: id, WorkspaceID: row.GetWorkspaceId(),
		KeyID: keyID, KeyName: row.GetKeyName(), KeyLast4: row.GetKeyLast4(), ExternalID: row.GetExternalId(),
		AgentType: row.GetAgentType(), AgentID: row.GetAgentId(),
		Method: row.GetMethod(), Endpoint: row.GetEndpoint(),
		Status: int(row.GetStatus()), ErrorCode: row.GetErrorCode(), Cause: row.GetCause(),
		Latency: wire.ParseLatency(row.GetLatencyMs()), Reported: row.LatencyMs != nil,
		CallCount:  max(1, int(row.GetCallCount())), // 0 means 1
		FromReport: record.GetFromReport(),
	}, nil
}

func toProto(e logsvc.Entry) *logsv1.RequestLog {
	row := &logsv1.RequestLog{
		Id:          e.ID.String(),
		Time:        timestamppb.New(e.Time()),
		WorkspaceId: e.WorkspaceID,
		KeyId:       wire.ID(e.KeyID),
		KeyName:     e.KeyName,
		KeyLast4:    e.KeyLast4,
		ExternalId:  e.ExternalID,
		AgentType:   e.AgentType,
		AgentId:     e.AgentID,
		Method:      e.Method,
		Endpoint:    e.Endpoint,
		Status:      int32(e.Status),
		ErrorCode:   e.ErrorCode,
		Cause:       e.Cause,
		CallCount:   int32(e.CallCount),
	}
	if e.Reported {
		row.LatencyMs = new(wire.Latency(e.Latency))
	}
	return row
}

// parseQuery converts a list request. tokenScope is everything that selects rows: a page token is valid with the same scope
// only.
func parseQuery(req *logsv1.ListRequestLogsRequest) (query logsvc.Query, tokenScope []string, err error) {
	query, tokenScope, err = parseSelection("request_logs", req)
	if err != nil {
		return logsvc.Query{}, nil, err
	}
	query.Limit = min(cmp.Or(int(req.GetPageSize()), defaultPageSize), maxPageSize)
	if token := req.GetPageToken(); token != "" {
		cursor, err := pagetoken.Decode(token, tokenScope...)
		if err != nil {
			return logsvc.Query{}, nil, err
		}
		query.Range = query.Range.Overlap(logsvc.Range{To: cursor})
	}
	return query, tokenScope, nil
}

// timeFrom returns the first millisecond that has no id below bound: where times end if ids do at the bound, and from when on
// everything was searched if the search stopped there.
func timeFrom(bound uuid.UUID) time.Time {
	at := uuid7.Time(bound)
	if first := uuid7.First(at); bytes.Compare(bound[:], first[:]) > 0 {
		return at.Add(time.Millisecond)
	}
	return at
}

// toTimes returns the times of the ids in a range.
func toTimes(ids logsvc.Range) *logsv1.TimeRange {
	return &logsv1.TimeRange{StartTime: timestamppb.New(uuid7.Time(ids.From)), EndTime: timestamppb.New(timeFrom(ids.To))}
}

// maxTime is the last millisecond that a protobuf Timestamp can hold.
var maxTime = time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)

// parseBound converts a bound on the times of rows. Rows have millisecond precision, so it is rounded up to the next
// millisecond, at most to maxTime.
func parseBound(field string, t *timestamppb.Timestamp) (time.Time, error) {
	at, err := wire.ParseTime(field, t)
	if err != nil || at.IsZero() {
		return time.Time{}, err
	}
	if at = at.Add(time.Millisecond - 1).Truncate(time.Millisecond); at.After(maxTime) {
		return maxTime, nil
	}
	return at, nil
}
