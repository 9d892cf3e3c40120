package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// channel is notified of changes to keys. Channels belong to a database, so the name contains the schema.
const channel = schema + "_keys"

// Reconnecting backs off so as not to load a database that is starting: from minBackoff, doubled with each failure, to
// maxBackoff.
const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// Wake returns a channel that receives, while Listen runs, whenever keys may have changed: after every change by any
// replica, and after every new connection, because notifications before it are lost. It is for one reader. Several changes
// may be one wake.
func (s *Store) Wake() <-chan struct{} { return s.wake }

// Listen feeds Wake until ctx ends, on a connection of its own. When the connection is lost, Listen calls failed and
// reconnects. Readers must poll as well, because notifications can be lost.
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

// listen listens on one connection until that is lost or ctx ends.
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
		default: // a wake is pending
		}
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return true, wrap(ctx, "listen", err)
		}
	}
}
