package pgdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/keytrail/keytrail/internal/fault"
)

// Unavailable marks the error of a database that is away (starting, stopping, full, unreachable, or gone in the
// middle of a statement) as a fault of that kind, so that the caller is told to try again. Other errors stay as
// they are, and so do those of a call whose context has ended.
func Unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil || !away(err) {
		return err
	}
	return fmt.Errorf("%w: %w", fault.New(fault.StoreUnavailable, "the database cannot be reached; try again"), err)
}

// awayCodes are the server's: shutting down, crashed, starting, too many connections, disk full, read-only (no longer
// the primary), and the losers of a deadlock or of a wait for a lock.
var awayCodes = []string{"57P01", "57P02", "57P03", "53300", "53100", "25006", "40P01", "55P03"}

// away tells whether err is of the connection rather than of the statement.
func away(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return slices.Contains(awayCodes, e.Code) || strings.HasPrefix(e.Code, "08")
	}
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[net.Error](err)
	return connecting || network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, pgconn.ErrConnClosed)
}
