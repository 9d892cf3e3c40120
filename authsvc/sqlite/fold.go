package sqlite

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/keytrail/keytrail/authsvc"
)

// fold gathers the rows of each key, one a secret, into one change.
func fold(rows *sql.Rows, apply func(authsvc.Change) error) error {
	var current authsvc.Change
	for rows.Next() {
		row, err := scan(rows)
		if err != nil {
			return fmt.Errorf("read key: %w", err)
		}
		// Every key has a revision of its own.
		if row.Revision == current.Revision {
			current.Key.Secrets = append(current.Key.Secrets, row.Key.Secrets...)
			continue
		}
		if err := flush(current, apply); err != nil {
			return err
		}
		current = row
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	return flush(current, apply)
}

// flush applies a change that is complete; revision 0 is the one before the first.
func flush(change authsvc.Change, apply func(authsvc.Change) error) error {
	if change.Revision == 0 {
		return nil
	}
	return apply(change)
}

// scan reads one row: a key with one of its secrets, or a tombstone.
func scan(rows *sql.Rows) (authsvc.Change, error) {
	var (
		c                           authsvc.Change
		key                         = &c.Key
		scopes, agentIDs, metadata  string
		expire, create, update      sql.NullInt64
		digest                      []byte
		last4                       sql.NullString
		secretCreate, secretExpires sql.NullInt64
	)
	err := rows.Scan(&key.ID, &key.WorkspaceID, &c.Revision, &c.Deleted, &key.Name, &scopes, &key.AllAgents, &agentIDs,
		&key.Disabled, &expire, &create, &update, &key.Description, &key.ExternalID, &metadata, &digest, &last4, &secretCreate, &secretExpires)
	if err != nil || c.Deleted {
		c.Key = authsvc.Key{ID: key.ID}
		return c, err
	}
	var scopesErr, agentsErr, metadataErr error
	key.Scopes, scopesErr = words(scopes)
	key.AgentIDs, agentsErr = words(agentIDs)
	key.Metadata, metadataErr = parseMetadata(metadata)
	key.ExpireTime, key.CreateTime, key.UpdateTime = moment(expire), moment(create), moment(update)
	if digest != nil {
		key.Secrets = []authsvc.Secret{{Digest: authsvc.Digest(digest), Last4: last4.String,
			CreateTime: moment(secretCreate), ExpireTime: moment(secretExpires)}}
	}
	return c, errors.Join(scopesErr, agentsErr, metadataErr)
}
