package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// fillKeys inserts keys with one secret each. Every n-th of them has an allowlist of two agents, which is like no other.
func fillKeys(ctx context.Context, url string, keys, listed int) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range []string{
		`SET search_path = keytrail_auth`,
		fmt.Sprintf(`INSERT INTO keys (workspace_id, id, revision, name, name_lower, description, external_id, metadata, scopes, all_agents,
				agent_ids, disabled, create_time, update_time)
			SELECT 'ws-' || lpad((n %% 1000)::text, 4, '0'), gen_random_uuid(), n, 'key ' || n || ' for production', 'key ' || n || ' for production',
				'', '', '',
				'{agent,voice_agent}', n %% %[2]d <> 0,
				CASE WHEN n %% %[2]d = 0 THEN ARRAY['agent-' || 2 * n, 'agent-' || 2 * n + 1] ELSE '{}' END, false, now(), now()
			FROM generate_series(1, %[1]d) n`, keys, listed),
		`INSERT INTO secrets (workspace_id, key_id, revision, position, digest, last4, create_time)
			SELECT workspace_id, id, revision, 0, sha256(id::text::bytea), right(id::text, 4), create_time FROM keys`,
		fmt.Sprintf(`UPDATE revision SET value = %d`, keys),
		fmt.Sprintf(`INSERT INTO history (revision) VALUES (%d)`, keys),
		`ANALYZE keys, secrets`,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("insert %d keys: %w", keys, err)
		}
	}
	return nil
}
