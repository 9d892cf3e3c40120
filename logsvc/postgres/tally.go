package postgres

import (
	"context"
	"fmt"
	"math"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

// tally counts the rows by block.Group, in which hour, class and bucket are one number: that takes a quarter less time. So does
// OFFSET 0, which keeps the planner from computing a time again for each use. The snapshots of a key are groups of their own: the
// newest one is known by its time. The first row has the horizon of the same snapshot.
const tally = `
	SELECT last_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
	FROM (SELECT last_id FROM request_log_blocks WHERE workspace_id = $1 ORDER BY first_id DESC LIMIT 1) newest
	UNION ALL
	SELECT NULL, counted_by, error_code, key_id, key_name, key_last4, sum(call_count), min(at), max(at)
	FROM (
		SELECT at / 3600000 * 10000 + status / 100 * 1000 + bucket + 1 AS counted_by, error_code, key_id, key_name, key_last4,
			call_count, at
		FROM (
			SELECT ('x' || encode(substring(uuid_send(id) FOR 6), 'hex'))::bit(48)::bigint AS at, status, error_code, key_id,
				key_name, key_last4, call_count, CASE WHEN latency_us IS NULL THEN -1
					ELSE floor(ln(greatest(latency_us, 1)::float8) / $4::float8 * 4)::integer END AS bucket
			FROM request_logs WHERE workspace_id = $1 AND id >= $2 AND id < $3 AND id > coalesce(` + horizon + `, $5)
			OFFSET 0
		) recent
		OFFSET 0
	) recent
	GROUP BY counted_by, error_code, key_id, key_name, key_last4`

// Tally implements logsvc.Store.
func (s *Store) Tally(
	ctx context.Context, workspaceID string, ids logsvc.Range, add func(block.Group),
) (above uuid.UUID, err error) {
	var newest, keyID pgtype.UUID
	var by, calls, first, last pgtype.Int8
	var code, name, last4 pgtype.Text
	rows, _ := s.readers.Query(ctx, tally, workspaceID, pgUUID(ids.From), pgUUID(ids.To), math.Ln2, pgUUID(uuid.Nil))
	_, err = pgx.ForEachRow(rows, []any{&newest, &by, &code, &keyID, &name, &last4, &calls, &first, &last}, func() error {
		if newest.Valid {
			above = newest.Bytes
			return nil
		}
		add(block.Group{
			HourClassCode: block.HourClassCode{Hour: by.Int64 / 10_000, Class: int(by.Int64 % 10_000 / 1000), Code: code.String},
			KeyID:         keyID.Bytes, KeyName: name.String, KeyLast4: last4.String, Bucket: int(by.Int64%1000) - 1,
			Calls: calls.Int64, FirstUse: first.Int64, LastUse: last.Int64,
		})
		return nil
	})
	if err != nil {
		return uuid.Nil, fmt.Errorf("count request logs of %s: %w", workspaceID, pgdb.Unavailable(ctx, err))
	}
	return above, nil
}
