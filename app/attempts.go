package app

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// maxAttempts is how often a call is made at most. The last attempt has the deadline of the service config.
const maxAttempts = 3

// attemptTimes are how long a replica may take before the call is repeated on another one. They have the calls that are safe to
// repeat. Checks and reports take milliseconds; a list has a search budget of 250 ms, and a call that meets a paused replica
// must end within 2 s all the same.
var attemptTimes = map[string]time.Duration{
	authv1.CheckService_Check_FullMethodName:         500 * time.Millisecond,
	authv1.CheckService_Report_FullMethodName:        500 * time.Millisecond,
	authv1.KeyService_GetKey_FullMethodName:          time.Second,
	authv1.KeyService_ListKeys_FullMethodName:        time.Second,
	authv1.KeyService_GetCatalog_FullMethodName:      time.Second,
	logsv1.LogService_GetRequestLog_FullMethodName:   1200 * time.Millisecond,
	logsv1.LogService_ListRequestLogs_FullMethodName: 1200 * time.Millisecond,
}

// repeatLate repeats a call that a replica did not complete in time. gRPC's retries do not do that: they need a status from the
// replica, or the end of its connection.
func repeatLate(ctx context.Context, method string, request, response any, conn *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	if limit, ok := attemptTimes[method]; ok {
		for range maxAttempts - 1 {
			attempt, cancel := context.WithTimeout(ctx, limit)
			err := invoke(attempt, method, request, response, conn, options...)
			cancel()
			if status.Code(err) != codes.DeadlineExceeded || ctx.Err() != nil {
				return err
			}
		}
	}
	return invoke(ctx, method, request, response, conn, options...)
}
