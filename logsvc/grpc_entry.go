package logsvc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/pagetoken"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/internal/wire"
)

// parse reads one row of a batch and holds it against the rules of the contract.
func (s server) parse(row *logsv1.RequestLog) (Entry, error) {
	if err := s.rules.Validate(row); err != nil {
		return Entry{}, ruleError(err)
	}
	if field := notText(row); field != "" {
		return Entry{}, fault.InvalidField(field, "must be valid UTF-8 without NUL")
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
		KeyID: keyID, KeyName: row.GetKeyName(), KeyLast4: row.GetKeyLast4(),
		AgentType: row.GetAgentType(), AgentID: row.GetAgentId(),
		Method: row.GetMethod(), Endpoint: row.GetEndpoint(),
		Status: int(row.GetStatus()), ErrorCode: row.GetErrorCode(),
		Latency: wire.ParseLatency(row.GetLatencyMs()),
	}, nil
}

// ruleError names the first field that broke a rule; the row is refused whatever the others are.
func ruleError(err error) error {
	invalid, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		return fmt.Errorf("validate a row: %w", err)
	}
	v := invalid.Violations[0].Proto
	return fault.InvalidField(protovalidate.FieldPathString(v.GetField()), "%s", v.GetMessage())
}

// notText finds a free-text field that a database would refuse; the others have patterns.
func notText(row *logsv1.RequestLog) string {
	for _, field := range []struct{ name, text string }{
		{"key_name", row.GetKeyName()}, {"key_last4", row.GetKeyLast4()}, {"agent_id", row.GetAgentId()},
		{"method", row.GetMethod()}, {"endpoint", row.GetEndpoint()},
	} {
		if !utf8.ValidString(field.text) || strings.IndexByte(field.text, 0) >= 0 {
			return field.name
		}
	}
	return ""
}

func (e Entry) proto() *logsv1.RequestLog {
	return &logsv1.RequestLog{
		Id:          e.ID.String(),
		Time:        timestamppb.New(e.Time()),
		WorkspaceId: e.WorkspaceID,
		KeyId:       wire.ID(e.KeyID),
		KeyName:     e.KeyName,
		KeyLast4:    e.KeyLast4,
		AgentType:   e.AgentType,
		AgentId:     e.AgentID,
		Method:      e.Method,
		Endpoint:    e.Endpoint,
		Status:      int32(e.Status),
		ErrorCode:   e.ErrorCode,
		LatencyMs:   wire.Latency(e.Latency),
	}
}

// parseSearch reads a list request, and gives what its page tokens belong to.
func parseSearch(req *logsv1.ListRequestLogsRequest) (search Search, query []string, err error) {
	search = Search{WorkspaceID: req.GetWorkspaceId(), Limit: int(req.GetPageSize())}
	if search.Limit == 0 {
		search.Limit = defaultPageSize
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

// parseBound reads a bound on the times of rows, which have ms precision: the first ms that is not before it.
func parseBound(field string, t *timestamppb.Timestamp) (time.Time, error) {
	at, err := wire.ParseTime(field, t)
	if err != nil || at.IsZero() {
		return time.Time{}, err
	}
	return at.Add(time.Millisecond - 1).Truncate(time.Millisecond), nil
}
