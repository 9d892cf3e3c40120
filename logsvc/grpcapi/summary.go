package grpcapi

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/pagetoken"
	"github.com/keytrail/keytrail/internal/wire"
	"github.com/keytrail/keytrail/logsvc"
)

// SummarizeRequestLogs implements the contract.
func (s server) SummarizeRequestLogs(
	ctx context.Context, req *logsv1.SummarizeRequestLogsRequest,
) (*logsv1.SummarizeRequestLogsResponse, error) {
	hours, err := s.parseBucket(req.GetBucket())
	if err != nil {
		return nil, err
	}
	query, _, err := parseSelection("", req)
	if err != nil {
		return nil, err
	}
	summary, complete, err := s.logs.Summarize(ctx, logsvc.SummaryQuery{
		WorkspaceID: query.WorkspaceID, Filter: query.Filter, Range: query.Range,
	})
	if err != nil {
		return nil, err
	}
	resp := &logsv1.SummarizeRequestLogsResponse{
		Total: toBucket(summary.Total()), SearchedTo: timestamppb.New(timeFrom(summary.SearchedTo)), Complete: complete,
	}
	resp.Total.StartTime = resp.SearchedTo
	for _, b := range summary.Buckets(hours) {
		resp.Buckets = append(resp.Buckets, toBucket(b))
	}
	for _, ids := range summary.Unreadable {
		resp.UnreadableRanges = append(resp.UnreadableRanges, toTimes(ids))
	}
	return resp, nil
}

// parseBucket returns the hours of a bucket.
func (s server) parseBucket(length *durationpb.Duration) (int64, error) {
	if length == nil {
		return 1, nil
	}
	d := length.AsDuration()
	if length.CheckValid() != nil || d <= 0 || d%time.Hour != 0 || d > s.logs.Retention() {
		return 0, fault.InvalidField("bucket", "must be a multiple of an hour, up to the retention of %v", s.logs.Retention())
	}
	return int64(d / time.Hour), nil
}

func toBucket(b logsvc.Bucket) *logsv1.SummaryBucket {
	bucket := &logsv1.SummaryBucket{StartTime: timestamppb.New(b.Start)}
	for _, c := range b.Calls {
		bucket.Counts = append(bucket.Counts, &logsv1.SummaryCount{
			StatusClass: className(c.Class), ErrorCode: c.Code, CallCount: c.Calls,
		})
	}
	if len(b.Latency) > 0 {
		bucket.Latency = &logsv1.LatencyPercentiles{
			P50Ms: milliseconds(b.Latency.Quantile(0.5)), P95Ms: milliseconds(b.Latency.Quantile(0.95)),
			P99Ms: milliseconds(b.Latency.Quantile(0.99)),
		}
	}
	return bucket
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func className(class int) string {
	if class == 0 {
		return inProgress
	}
	return strconv.Itoa(class) + "xx"
}

// ListLogKeys implements the contract.
func (s server) ListLogKeys(ctx context.Context, req *logsv1.ListLogKeysRequest) (*logsv1.ListLogKeysResponse, error) {
	scope, position := []string{"request_log_keys", req.GetWorkspaceId()}, uuid.Max
	if token := req.GetPageToken(); token != "" {
		var err error
		if position, err = pagetoken.Decode(token, scope...); err != nil {
			return nil, err
		}
	}
	limit := min(cmp.Or(int(req.GetPageSize()), defaultPageSize), maxPageSize)
	page, err := s.logs.ListKeys(ctx, req.GetWorkspaceId(), position, limit)
	if err != nil {
		return nil, err
	}
	resp := &logsv1.ListLogKeysResponse{}
	for _, k := range page.Keys {
		resp.Keys = append(resp.Keys, toLogKey(k))
	}
	if page.More {
		resp.NextPageToken = pagetoken.Encode(page.Keys[len(page.Keys)-1].Position(), scope...)
	}
	return resp, nil
}

func toLogKey(k logsvc.UsedKey) *logsv1.LogKey {
	key := &logsv1.LogKey{
		KeyId: wire.ID(k.ID), KeyName: k.Name, KeyLast4: k.Last4,
		FirstUseTime: timestamppb.New(time.UnixMilli(k.FirstUse)), LastUseTime: timestamppb.New(time.UnixMilli(k.LastUse)),
	}
	for _, c := range k.Classes {
		key.Counts = append(key.Counts, &logsv1.SummaryCount{StatusClass: className(c.Class), CallCount: c.Calls})
	}
	return key
}
