package browser

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// recordBatch is how many rows are stored at once, at most.
const recordBatch = 1000

// record stores rows in the request logs of the account, as an auth service would. A row needs a time; its id is made of it.
func (a account) record(rows ...*logsv1.RequestLog) {
	a.t.Helper()
	conn, err := grpc.NewClient(a.system.logs, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(access.NewToken(a.system.token(a.t, access.Ingester, a.workspace))))
	if err != nil {
		a.t.Fatal(err)
	}
	defer conn.Close()
	client := logsv1.NewLogServiceClient(conn)
	ctx, cancel := context.WithTimeout(a.t.Context(), waitTimeout)
	defer cancel()
	for batch := range slices.Chunk(rows, recordBatch) {
		request := &logsv1.RecordRequestLogsRequest{}
		for _, row := range batch {
			row.Id, row.WorkspaceId = uuid7.New(row.Time.AsTime()).String(), a.workspace
			request.Records = append(request.Records, &logsv1.RequestLogRecord{RequestLog: row})
		}
		response, err := client.RecordRequestLogs(ctx, request)
		if err != nil {
			a.t.Fatal(err)
		}
		if refused := response.GetRefused(); len(refused) > 0 {
			a.t.Fatalf("record: %v", refused)
		}
	}
}

// rows returns the rows of the account that match a query such as "status_class=4xx", newest first, as the API has them.
func (a account) rows(query string) []object {
	a.t.Helper()
	var rows []object
	for token, more := "", true; more; more = token != "" {
		path := "/v1/workspaces/" + a.workspace + "/request-logs?page_size=1000&" + query + "&page_token=" + token
		page := a.call(access.Viewer, "GET", path, nil)
		for _, row := range page["requestLogs"].([]any) {
			rows = append(rows, row.(object))
		}
		token = page["nextPageToken"].(string)
	}
	return rows
}

// awaitRows waits until the account has at least this many rows that match a query, and returns them.
func (a account) awaitRows(query string, count int) (rows []object) {
	a.t.Helper()
	deadline := time.After(waitTimeout)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if rows = a.rows(query); len(rows) >= count {
			return rows
		}
		select {
		case <-deadline:
			a.t.Fatalf("the account has %d rows, want %d", len(rows), count)
		case <-tick.C:
		}
	}
}
