package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/logexport"
)

const (
	// firstPause is before the first attempt to resume, and doubles up to maxPause.
	firstPause, maxPause = 100 * time.Millisecond, 5 * time.Second
	// patience is how long an export tries to resume without any progress.
	patience = 2 * time.Minute
)

// export is an export that may take several calls.
type export struct {
	logs     logsv1.LogServiceClient
	request  *logsv1.ExportRequestLogsRequest
	writer   logexport.Writer
	to       io.Writer
	progress *progress
	// rows and messages are what has come.
	rows, messages int64
}

// incomplete is why an export has ended early.
type incomplete struct {
	rows  int64
	cause error
}

// Error implements error.
func (i incomplete) Error() string {
	return fmt.Sprintf("the export is not complete; it has ended after %d rows: %s", i.rows, status.Convert(i.cause).Message())
}

// Unwrap returns the cause.
func (i incomplete) Unwrap() error { return i.cause }

// run writes all rows and the last line. It resumes after a break; an export that has not begun is not tried again, because its
// flags may be wrong.
func (e *export) run(ctx context.Context) error {
	pause, progressed := firstPause, time.Now()
	for {
		before := e.messages
		err := e.part(ctx)
		if err == nil {
			return e.end(func(to *bytes.Buffer) { e.writer.End(to, e.rows) })
		}
		if e.messages > before {
			pause, progressed = firstPause, time.Now()
		}
		if e.messages == 0 {
			return err
		}
		if ctx.Err() != nil || !resumable(err, e.messages > before) || time.Since(progressed) > patience {
			// An error of this write would hide why the export has ended.
			_ = e.end(func(to *bytes.Buffer) { e.writer.Fail(to, status.Convert(err).Proto(), e.request.GetResumeToken()) })
			return incomplete{e.rows, err}
		}
		e.progress.line("Interrupted after %d rows (%s); resuming.", e.rows, status.Convert(err).Message())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, maxPause)
	}
}

// resumable reports whether the rest of an export may follow. A token that has expired may be replaced by a new one, for which
// the last call has shown that they are valid in principle.
func resumable(err error, progressed bool) bool {
	st := status.Convert(err)
	switch st.Code() {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded: // by a proxy, a service that stops, or a slow database
		return true
	case codes.Unauthenticated:
		return progressed
	case codes.Unknown: // not from a call
		return false
	}
	return !fromService(st)
}

// errCutOff is the end of a stream without its last message.
var errCutOff = status.Error(codes.Unavailable, "the stream has ended before its last message")

// part makes one call, and writes what it returns.
func (e *export) part(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := e.logs.ExportRequestLogs(ctx, e.request)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return errCutOff
		case err != nil:
			return err
		}
		text.Reset()
		e.writer.Part(&text, m)
		if _, err := e.to.Write(text.Bytes()); err != nil {
			return err
		}
		e.rows, e.messages, e.request.ResumeToken = e.rows+int64(len(m.GetRequestLogs())), e.messages+1, m.GetResumeToken()
		e.progress.message(m, e.rows)
		if m.GetComplete() {
			return nil
		}
	}
}

// end writes the last lines.
func (e *export) end(write func(*bytes.Buffer)) error {
	e.progress.end()
	var last bytes.Buffer
	write(&last)
	_, err := e.to.Write(last.Bytes())
	return err
}

// progress prints how far an export has come.
type progress struct {
	to io.Writer
	// live means that to is a terminal: one line of it changes as rows arrive.
	live  bool
	shown time.Time
	width int
}

// damagedRange is said of a range of rows that cannot be read.
const damagedRange = "Rows between %s and %s cannot be read: their storage is damaged."

// progressInterval is how long a text stays at least.
const progressInterval = 200 * time.Millisecond

// message shows how many rows have come with a message and the ones before it.
func (p *progress) message(m *logsv1.ExportRequestLogsResponse, rows int64) {
	for _, r := range m.GetUnreadableRanges() {
		p.line(damagedRange, formatTime(r.GetStartTime()), formatTime(r.GetEndTime()))
	}
	if !p.live || len(m.GetRequestLogs()) == 0 || time.Since(p.shown) < progressInterval {
		return
	}
	p.shown = time.Now()
	oldest := m.GetRequestLogs()[len(m.GetRequestLogs())-1]
	text := fmt.Sprintf("%d rows, back to %s", rows, formatTime(oldest.GetTime()))
	fmt.Fprintf(p.to, "\r%-*s", p.width, text)
	p.width = len(text)
}

// line prints a line of its own.
func (p *progress) line(format string, args ...any) {
	p.end()
	fmt.Fprintf(p.to, format+"\n", args...)
}

// end ends the line that changes.
func (p *progress) end() {
	if p.width > 0 {
		fmt.Fprintln(p.to)
	}
	p.width = 0
}
