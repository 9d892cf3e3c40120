package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// channel is where a change of keys is announced. Channels belong to a database, so the schema is in its name.
const channel = schema + "_keys"

// Reconnecting backs off, so that a database that is coming up is not kept busy with connections: from minBackoff,
// doubled with each failure in a row, to maxBackoff.
const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// Wake is told, while Listen runs, that keys may have changed: after every change on any replica, and after every
// new connection, because nobody knows what happened before it. It is for one reader; several wakes may be one.
func (s *Store) Wake() <-chan struct{} { return s.wake }

// Listen fills Wake until ctx ends, on a connection of its own. When it loses that, failed is told and it connects
// again. Followers must poll as well: a wake is quick, not certain.
func (s *Store) Listen(ctx context.Context, failed func(error)) {
	backoff := minBackoff
	for ctx.Err() == nil {
		connected, err := s.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		failed(err)
		if connected {
			backoff = minBackoff
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// listen does so on one connection, until that is lost or ctx ends.
func (s *Store) listen(ctx context.Context) (connected bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return false, wrap(ctx, "connect to listen", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `LISTEN `+channel); err != nil {
		return false, wrap(ctx, "listen", err)
	}
	for {
		select {
		case s.wake <- struct{}{}:
		default: // one is waiting already
		}
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return true, wrap(ctx, "listen", err)
		}
	}
}
