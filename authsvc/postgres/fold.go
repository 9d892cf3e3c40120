package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/keytrail/keytrail/authsvc"
)

// fold gathers the rows of each key, one a secret, into one change.
func fold(ctx context.Context, rows pgx.Rows, apply func(authsvc.Change) error) error {
	var current authsvc.Change // revision 0 is the one before the first
	r := newReader(rows)
	for rows.Next() {
		if err := r.read(); err != nil {
			return wrap(ctx, "read key", err)
		}
		// Every key has a revision of its own.
		if r.revision == current.Revision {
			current.Key.Secrets = append(current.Key.Secrets, r.secret())
			continue
		}
		if current.Revision > 0 {
			if err := apply(current); err != nil {
				return err
			}
		}
		current = r.change()
	}
	if err := rows.Err(); err != nil {
		return wrap(ctx, "read keys", err)
	}
	if current.Revision == 0 {
		return nil
	}
	return apply(current)
}

// reader reads rows: each is a key with one of its secrets, or a tombstone. Its fields are those of the current row.
// A million rows go through it when a replica starts, so it makes nothing anew that it has made before.
type reader struct {
	rows                        pgx.Rows
	targets                     []any
	lists                       map[string][]string // by their bytes
	id                          pgtype.UUID
	revision                    authsvc.Revision
	deleted                     bool
	key                         authsvc.Key
	expire, create, update      pgtype.Timestamptz
	metadata                    pgtype.DriverBytes // valid until the next row
	digest                      pgtype.DriverBytes // valid until the next row
	last4                       pgtype.Text
	secretCreate, secretExpires pgtype.Timestamptz
}

// Where the lists are among the columns.
const (
	scopesColumn   = 5
	agentIDsColumn = 7
)

func newReader(rows pgx.Rows) *reader {
	r := &reader{rows: rows, lists: map[string][]string{}}
	r.targets = []any{&r.id, &r.key.WorkspaceID, &r.revision, &r.deleted, &r.key.Name, nil, &r.key.AllAgents, nil,
		&r.key.Disabled, &r.expire, &r.create, &r.update, &r.key.Description, &r.key.ExternalID, &r.metadata, &r.digest, &r.last4, &r.secretCreate, &r.secretExpires}
	return r
}

// read takes the current row.
func (r *reader) read() error {
	if err := r.rows.Scan(r.targets...); err != nil {
		return err
	}
	var err error
	if r.key.Scopes, err = r.list(scopesColumn); err != nil {
		return err
	}
	if r.key.AgentIDs, err = r.list(agentIDsColumn); err != nil {
		return err
	}
	r.key.Metadata = nil
	if len(r.metadata) > 0 {
		if err := json.Unmarshal(r.metadata, &r.key.Metadata); err != nil {
			return fmt.Errorf("metadata: %w", err)
		}
	}
	return nil
}

// list reads a list of words; none are nil. The caller gets a copy of his own.
func (r *reader) list(column int) ([]string, error) {
	raw := r.rows.RawValues()[column]
	list, known := r.lists[string(raw)]
	if !known {
		field := r.rows.FieldDescriptions()[column]
		if err := r.rows.Conn().TypeMap().Scan(field.DataTypeOID, field.Format, raw, &list); err != nil {
			return nil, fmt.Errorf("%s: %w", field.Name, err)
		}
		r.lists[string(raw)] = list
	}
	if len(list) == 0 {
		return nil, nil
	}
	return slices.Clone(list), nil
}

// change is the row's key with the row's secret.
func (r *reader) change() authsvc.Change {
	id := uuid.UUID(r.id.Bytes)
	if r.deleted {
		return authsvc.Change{Revision: r.revision, Deleted: true, Key: authsvc.Key{ID: id}}
	}
	key := r.key
	key.ID = id
	key.ExpireTime, key.CreateTime, key.UpdateTime = moment(r.expire), moment(r.create), moment(r.update)
	if r.digest != nil {
		key.Secrets = []authsvc.Secret{r.secret()}
	}
	return authsvc.Change{Revision: r.revision, Key: key}
}

func (r *reader) secret() authsvc.Secret {
	return authsvc.Secret{Digest: authsvc.Digest(r.digest), Last4: r.last4.String,
		CreateTime: moment(r.secretCreate), ExpireTime: moment(r.secretExpires)}
}

// moment reads the column of a time: NULL is the zero time.
func moment(column pgtype.Timestamptz) time.Time {
	if !column.Valid {
		return time.Time{}
	}
	return column.Time.UTC()
}
