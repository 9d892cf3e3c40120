package accesslog

import (
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// LineReader turns lines into outcomes, and counts those that it skips. It is safe for concurrent use.
type LineReader struct {
	format     Format
	log        *slog.Logger
	warn, full rate.Sometimes
	// withoutToken are lines of other calls, malformed are wrong, and dropped were not taken because the queue was full.
	withoutToken, malformed, dropped atomic.Int64
}

// NewLineReader returns a reader of lines of a format. It logs one malformed line a minute to log.
func NewLineReader(format Format, log *slog.Logger) *LineReader {
	return &LineReader{
		format: format, log: log,
		warn: rate.Sometimes{Interval: time.Minute}, full: rate.Sometimes{Interval: time.Minute},
	}
}

// outcome returns what is to be reported of a line, or nil.
func (l *LineReader) outcome(line []byte, where slog.Attr) *authv1.Outcome {
	outcome, err := l.format.outcome(line)
	switch {
	case err != nil:
		l.skip(err.Error(), where)
	case outcome == nil:
		l.withoutToken.Add(1)
	}
	return outcome
}

// skip counts a malformed line. One a minute is logged.
func (l *LineReader) skip(reason string, where slog.Attr) {
	l.malformed.Add(1)
	l.warn.Do(func() {
		l.log.Warn("malformed line of the access log; others within a minute are only counted", "reason", reason, where)
	})
}

// drop counts a line for which there was no room.
func (l *LineReader) drop() {
	l.dropped.Add(1)
	l.full.Do(func() {
		l.log.Warn("lines of the access log are lost: the auth service does not take them fast enough")
	})
}
