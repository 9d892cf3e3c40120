package postgres

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/keytrail/keytrail/authsvc"
)

func insertKey(b *pgx.Batch, revision authsvc.Revision, key authsvc.Key) {
	b.Queue(`INSERT INTO keys (workspace_id, id, revision, name, scopes, all_agents, agent_ids, disabled,
			expire_time, create_time, update_time, name_lower, description, external_id, metadata)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`, columns(revision, key)...)
}

func updateKey(b *pgx.Batch, revision authsvc.Revision, key authsvc.Key) {
	b.Queue(`UPDATE keys SET revision = $3, name = $4, scopes = $5, all_agents = $6, agent_ids = $7, disabled = $8,
			expire_time = $9, create_time = $10, update_time = $11, name_lower = $12, description = $13, external_id = $14,
			metadata = $15
		WHERE workspace_id = $1 AND id = $2`, columns(revision, key)...)
}

// bury makes a tombstone of a key that is there.
func bury(b *pgx.Batch, revision authsvc.Revision, workspaceID string, id uuid.UUID) {
	b.Queue(`UPDATE keys SET revision = $3, deleted = true, name = '', scopes = '{}', all_agents = false,
			agent_ids = '{}', disabled = false, expire_time = NULL, create_time = NULL, update_time = NULL, name_lower = '',
			description = '', external_id = '', metadata = ''
		WHERE workspace_id = $1 AND id = $2`, workspaceID, id, revision)
}

func deleteSecrets(b *pgx.Batch, workspaceID string, id uuid.UUID) {
	b.Queue(`DELETE FROM secrets WHERE workspace_id = $1 AND key_id = $2`, workspaceID, id)
}

func insertSecrets(b *pgx.Batch, revision authsvc.Revision, key authsvc.Key) {
	for position, secret := range key.Secrets {
		b.Queue(`INSERT INTO secrets (workspace_id, key_id, revision, position, digest, last4, create_time, expire_time)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, key.WorkspaceID, key.ID, revision, position, secret.Digest[:],
			secret.Last4, instant(secret.CreateTime), instant(secret.ExpireTime))
	}
}

// columns are the values of a key's row, in the order of the two statements that write one.
func columns(revision authsvc.Revision, key authsvc.Key) []any {
	agentIDs := key.AgentIDs
	if key.AllAgents {
		agentIDs = nil
	}
	return []any{
		key.WorkspaceID, key.ID, revision, key.Name, list(key.Scopes), key.AllAgents, list(agentIDs), key.Disabled,
		instant(key.ExpireTime), instant(key.CreateTime), instant(key.UpdateTime),
		strings.ToLower(key.Name), key.Description, key.ExternalID, metadata(key.Metadata),
	}
}

// metadata is the column of a key's metadata: a JSON object, empty for none.
func metadata(entries map[string]string) string {
	if len(entries) == 0 {
		return ""
	}
	text, _ := json.Marshal(entries) // strings always marshal
	return string(text)
}

// list is the column of a list of words: nil would be NULL.
func list(words []string) []string {
	if words == nil {
		return []string{}
	}
	return words
}

// instant is the column of a time, with the precision that keys keep: NULL for the zero time.
func instant(t time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: t.Truncate(time.Millisecond), Valid: !t.IsZero()}
}
