package logsvc

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/pagetoken"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/internal/wire"
)

// parse reads one record of a batch and validates it by the rules of the contract.
func parse(record *logsv1.RequestLogRecord) (Entry, error) {
	row := record.GetRequestLog()
	if row == nil {
		return Entry{}, fault.InvalidField("request_log", "must be set")
	}
	if err := breaksRule(row); err != nil {
		return Entry{}, err
	}
	id, err := wire.ParseID("id", row.GetId())
	if err != nil {
		return Entry{}, err
	}
	keyID, err := wire.ParseID("key_id", row.GetKeyId())
	if err != nil {
		return Entry{}, err
	}
	return Entry{
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

func (e Entry) proto() *logsv1.RequestLog {
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

// parseSearch reads a list request, and gives what its page tokens belong to.
func parseSearch(req *logsv1.ListRequestLogsRequest) (search Search, query []string, err error) {
	search = Search{WorkspaceID: req.GetWorkspaceId(), Limit: min(int(req.GetPageSize()), maxPageSize)}
	if search.Limit == 0 {
		search.Limit = defaultPageSize
	}
	if strings.IndexByte(req.GetEndpoint(), 0) >= 0 {
		// No row holds one, and not every store can be asked for it.
		return Search{}, nil, fault.InvalidField("endpoint", "must not hold NUL")
	}
	search.Filter = Filter{Endpoint: req.GetEndpoint(), ErrorCode: req.GetErrorCode()}
	if class := req.GetStatusClass(); class != "" {
		search.Filter.StatusClass = int(class[0] - '0')
	}
	if search.Filter.KeyID, err = wire.ParseID("key_id", req.GetKeyId()); err != nil {
		return Search{}, nil, err
	}
	if search.Start, err = parseBound("start_time", req.GetStartTime()); err != nil {
		return Search{}, nil, err
	}
	if search.End, err = parseBound("end_time", req.GetEndTime()); err != nil {
		return Search{}, nil, err
	}
	query = []string{
		"request_logs", search.WorkspaceID, req.GetStatusClass(), search.Filter.KeyID.String(),
		search.Filter.Endpoint, search.Filter.ErrorCode,
		strconv.FormatInt(search.Start.UnixMilli(), 10), strconv.FormatInt(search.End.UnixMilli(), 10),
	}
	if token := req.GetPageToken(); token != "" {
		search.Below, err = pagetoken.Decode(token, query...)
	}
	return search, query, err
}

// searchedTo is the time from which on the walk has found everything.
func searchedTo(page Page) time.Time {
	at := uuid7.Time(page.SearchedTo)
	if uuid7.First(at) != page.SearchedTo {
		// The search stopped within this millisecond.
		at = at.Add(time.Millisecond)
	}
	return at
}

// lastBound is the last ms that the contract can write. No row is that far in the future.
var lastBound = time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)

// parseBound reads a bound on the times of rows, which have ms precision: the first ms that is not before it, or
// lastBound.
func parseBound(field string, t *timestamppb.Timestamp) (time.Time, error) {
	at, err := wire.ParseTime(field, t)
	if err != nil || at.IsZero() {
		return time.Time{}, err
	}
	if at = at.Add(time.Millisecond - 1).Truncate(time.Millisecond); at.After(lastBound) {
		return lastBound, nil
	}
	return at, nil
}
