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

// Unavailable wraps the error of a database that is not available (starting, stopping, full, unreachable, or lost during a
// statement) in a StoreUnavailable fault, so that the caller tries again, and that of a statement which the database has
// cancelled, by its statement_timeout or for an operator, in a StoreLate fault. It returns other errors as they are, and those
// of a call whose context is done.
func Unavailable(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return err
	case cancelled(err):
		return fmt.Errorf("%w: %w", fault.New(fault.StoreLate, "the database did not complete a statement in time"), err)
	case unavailable(err):
		return fmt.Errorf("%w: %w", fault.New(fault.StoreUnavailable, "the database cannot be reached; try again"), err)
	}
	return err
}

// cancelled reports whether the database has cancelled a statement (query_canceled). It is not unavailable: gateways and clients
// repeat calls that fail with that at once, up to five times, and each repetition of a slow statement adds to the load that
// made it slow.
func cancelled(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "57014"
}

// unavailableCodes are: shutting down, crashed, starting, too many connections, disk full, read-only (no longer the primary),
// deadlock detected, and lock not available.
var unavailableCodes = []string{"57P01", "57P02", "57P03", "53300", "53100", "25006", "40P01", "55P03"}

// unavailable reports whether err is an error of the connection or the server rather than of the statement.
func unavailable(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return slices.Contains(unavailableCodes, e.Code) || strings.HasPrefix(e.Code, "08")
	}
	_, connectError := errors.AsType[*pgconn.ConnectError](err)
	_, netError := errors.AsType[net.Error](err)
	return connectError || netError || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, pgconn.ErrConnClosed)
}
