package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

const (
	// channel gets the announcements. Channels belong to a database, so the name contains the schema.
	channel = schema + "_recorded"
	// maxPayload is below the limit of Postgres, which is 8,000 bytes.
	maxPayload = 7_900
	// defaultListenCheck is how long a connection that listens is silent before it is checked, and how long that may take. A
	// pooler or a proxy can keep a connection open that the database has lost.
	defaultListenCheck = 20 * time.Second
)

// notify has a transaction of its own, after that of the batch. A commit with a notification takes a lock of the whole server: it
// would serialize the commits of all batches, each of which waits for the disk. This one does not wait for it. On Citus, the rows
// of a transaction are visible on the workers only after its notifications are sent.
const notify = `SELECT set_config('synchronous_commit', 'off', true), pg_notify('` + channel + `', $1)`

// announce announces a stored batch. If it fails the batch is sent again, like one that was not stored.
func (s *Store) announce(ctx context.Context, entries []logsvc.Entry) error {
	_, err := s.pool.Exec(ctx, notify, encodeAnnouncement(logsvc.Announce(entries)))
	return err
}

// encodeAnnouncement returns an announcement as JSON: by workspace, pairs of Unix times in milliseconds, of which the second is
// excluded. One that is too long names no workspace.
func encodeAnnouncement(a logsvc.Announcement) string {
	const least = 31 // bytes that a workspace takes
	if len(a) <= maxPayload/least {
		if text := encodeTimes(a); len(text) <= maxPayload {
			return text
		}
	}
	return encodeTimes(a.ForEveryWorkspace())
}

func encodeTimes(a logsvc.Announcement) string {
	times := make(map[string][][2]int64, len(a))
	for workspaceID, ranges := range a {
		for _, r := range ranges {
			from, to := uuid7.Time(r.From).UnixMilli(), uuid7.Time(r.To).UnixMilli()+1
			times[workspaceID] = append(times[workspaceID], [2]int64{from, to})
		}
	}
	text, _ := json.Marshal(times) // cannot fail
	return string(text)
}

func decodeAnnouncement(text string) (logsvc.Announcement, error) {
	var times map[string][][2]int64
	if err := json.Unmarshal([]byte(text), &times); err != nil {
		return nil, fmt.Errorf("decode an announcement: %w", err)
	}
	a := make(logsvc.Announcement, len(times))
	for workspaceID, pairs := range times {
		for _, p := range pairs {
			a[workspaceID] = append(a[workspaceID], logsvc.TimeRange(time.UnixMilli(p[0]), time.UnixMilli(p[1])))
		}
	}
	return a, nil
}

// nextNotification waits for a notification, and checks the connection meanwhile.
func (s *Store) nextNotification(ctx context.Context, conn *pgx.Conn) (*pgconn.Notification, error) {
	for {
		waiting, stop := context.WithTimeout(ctx, s.listenCheck)
		notification, err := conn.WaitForNotification(waiting)
		silent := waiting.Err() != nil && ctx.Err() == nil
		stop()
		if !silent || err == nil {
			return notification, err
		}
		checking, stop := context.WithTimeout(ctx, s.listenCheck)
		err = conn.Ping(checking)
		stop()
		if err != nil {
			return nil, err
		}
	}
}

// Listen implements logsvc.Store, on a connection of its own.
func (s *Store) Listen(ctx context.Context, ready func(), announce func(logsvc.Announcement)) error {
	if err := s.listen(ctx, ready, announce); err != nil {
		return fmt.Errorf("listen to request logs: %w", pgdb.Unavailable(ctx, err))
	}
	return nil
}

func (s *Store) listen(ctx context.Context, ready func(), announce func(logsvc.Announcement)) error {
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `LISTEN `+channel); err != nil {
		return err
	}
	ready()
	for {
		notification, err := s.nextNotification(ctx, conn)
		if err != nil {
			return err
		}
		announcement, err := decodeAnnouncement(notification.Payload)
		if err != nil {
			return err
		}
		announce(announcement)
	}
}
