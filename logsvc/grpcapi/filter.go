package grpcapi

import (
	"slices"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/wire"
	"github.com/keytrail/keytrail/logsvc"
)

// inProgress is the status class of rows without a status.
const inProgress = "in_progress"

// filtered is a request that selects rows of a workspace.
type filtered interface {
	GetWorkspaceId() string
	GetStatusClass() string
	GetKeyId() string
	GetEndpoint() string
	GetErrorCode() string
	GetAgentType() string
	GetAgentId() string
	GetMethod() string
}

// timed is a request that selects rows by their times.
type timed interface {
	GetStartTime() *timestamppb.Timestamp
	GetEndTime() *timestamppb.Timestamp
}

// parseSelection converts what selects rows in a request of a kind, without a token. scope is as in parseFilter.
func parseSelection(kind string, req interface {
	filtered
	timed
},
) (query logsvc.Query, scope []string, err error) {
	filter, filters, err := parseFilter(req)
	if err != nil {
		return logsvc.Query{}, nil, err
	}
	ids, times, err := parseRange(req)
	if err != nil {
		return logsvc.Query{}, nil, err
	}
	query = logsvc.Query{WorkspaceID: req.GetWorkspaceId(), Filter: filter, Range: ids}
	return query, slices.Concat([]string{kind}, filters, times), nil
}

// parseFilter converts the filters of a request. scope has the workspace and all filters, in a fixed order: a token is valid
// with the same scope only.
func parseFilter(req filtered) (filter logsvc.Filter, scope []string, err error) {
	for _, text := range [...]struct{ field, value string }{
		{"endpoint", req.GetEndpoint()}, {"agent_id", req.GetAgentId()}, {"method", req.GetMethod()},
	} {
		if !noNUL(text.value) {
			return logsvc.Filter{}, nil, fault.InvalidField(text.field, "must not hold NUL")
		}
	}
	keyID, err := wire.ParseID("key_id", req.GetKeyId())
	if err != nil {
		return logsvc.Filter{}, nil, err
	}
	filter = logsvc.Filter{
		KeyID: keyID, Endpoint: req.GetEndpoint(), ErrorCode: req.GetErrorCode(),
		AgentType: req.GetAgentType(), AgentID: req.GetAgentId(), Method: req.GetMethod(),
	}
	switch class := req.GetStatusClass(); class {
	case "":
	case inProgress:
		filter.InProgress = true
	default:
		filter.StatusClass = int(class[0] - '0')
	}
	return filter, []string{
		req.GetWorkspaceId(), req.GetStatusClass(), keyID.String(), req.GetEndpoint(), req.GetErrorCode(),
		req.GetAgentType(), req.GetAgentId(), req.GetMethod(),
	}, nil
}

// parseRange converts the times of a request, in the same way.
func parseRange(req timed) (ids logsvc.Range, scope []string, err error) {
	start, err := parseBound("start_time", req.GetStartTime())
	if err != nil {
		return logsvc.Range{}, nil, err
	}
	end, err := parseBound("end_time", req.GetEndTime())
	if err != nil {
		return logsvc.Range{}, nil, err
	}
	scope = []string{strconv.FormatInt(start.UnixMilli(), 10), strconv.FormatInt(end.UnixMilli(), 10)}
	return logsvc.TimeRange(start, end), scope, nil
}
