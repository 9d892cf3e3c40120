package grpcapi

import (
	"bytes"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/pagetoken"
	"github.com/keytrail/keytrail/logsvc"
)

// exportPage is how many rows an export reads at a time, and sends in a message at most.
const exportPage = 1000

// maxExportBytes is the size of a message of an export from which on no other row is added. A page of the largest rows has some
// 5 MB, and clients accept 4 MiB by default.
const maxExportBytes = 256 << 10

// ExportRequestLogs implements the contract.
func (s server) ExportRequestLogs(
	req *logsv1.ExportRequestLogsRequest, stream grpc.ServerStreamingServer[logsv1.ExportRequestLogsResponse],
) error {
	query, tokenScope, err := parseSelection("request_logs_export", req)
	if err != nil {
		return err
	}
	query.Limit = exportPage
	if token := req.GetResumeToken(); token != "" {
		cursor, err := pagetoken.DecodeResume(token, tokenScope...)
		if err != nil {
			return err
		}
		query.Range = query.Range.Overlap(logsvc.Range{To: cursor})
	}
	e := &export{tokenScope: tokenScope, send: stream.Send}
	return s.logs.Export(stream.Context(), query, e.page)
}

// export is one stream.
type export struct {
	tokenScope []string
	send       func(*logsv1.ExportRequestLogsResponse) error
	sent       int64
}

// page sends a page in messages of bounded size. A page without rows is sent, too: its token says how far the search has come.
func (e *export) page(page logsvc.Page, more bool) error {
	for {
		rows := fit(page.Entries)
		rest, cursor := page.Entries[len(rows):], page.SearchedTo
		if len(rest) > 0 {
			cursor = page.Entries[len(rows)-1].ID
		}
		part := &logsv1.ExportRequestLogsResponse{Complete: !more && len(rest) == 0, RequestLogs: rows}
		if !part.GetComplete() {
			part.ResumeToken = pagetoken.Encode(cursor, e.tokenScope...)
		}
		// A range is sent with the first message below its end, although a part of it may follow: a reader that resumes gets
		// the part again.
		for len(page.Unreadable) > 0 && bytes.Compare(cursor[:], page.Unreadable[0].To[:]) < 0 {
			part.UnreadableRanges = append(part.UnreadableRanges, toTimes(page.Unreadable[0]))
			page.Unreadable = page.Unreadable[1:]
		}
		e.sent += int64(len(rows))
		part.RowCount = e.sent
		if err := e.send(part); err != nil || len(rest) == 0 {
			return err
		}
		page.Entries = rest
	}
}

// fit returns the rows of the next message.
func fit(entries []logsvc.Entry) (rows []*logsv1.RequestLog) {
	for size := 0; len(rows) < len(entries) && size < maxExportBytes; {
		row := toProto(entries[len(rows)])
		size += proto.Size(row)
		rows = append(rows, row)
	}
	return rows
}
