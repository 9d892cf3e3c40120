package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/keytrail/keytrail/authsvc"
)

// fold gathers the rows of each key, one a secret, into one change.
func fold(ctx context.Context, rows pgx.Rows, apply func(authsvc.Change) error) error {
	var (
		current authsvc.Change // revision 0 is the one before the first
		r       row
	)
	targets := r.targets()
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return wrap(ctx, "read key", err)
		}
		// Every key has a revision of its own.
		if r.change.Revision == current.Revision {
			current.Key.Secrets = append(current.Key.Secrets, r.secret())
			continue
		}
		if current.Revision > 0 {
			if err := apply(current); err != nil {
				return err
			}
		}
		current = r.key()
	}
	if err := rows.Err(); err != nil {
		return wrap(ctx, "read keys", err)
	}
	if current.Revision == 0 {
		return nil
	}
	return apply(current)
}

// row is one row of a read: a key with one of its secrets, or a tombstone. It is used again for the next one: a
// million rows make no garbage beside the keys themselves.
type row struct {
	change                      authsvc.Change
	expire, create, update      pgtype.Timestamptz
	digest                      []byte
	last4                       pgtype.Text
	secretCreate, secretExpires pgtype.Timestamptz
}

// targets are where the columns of a row go.
func (r *row) targets() []any {
	key := &r.change.Key
	return []any{&key.ID, &key.WorkspaceID, &r.change.Revision, &r.change.Deleted, &key.Name, &key.Scopes, &key.AllAgents,
		&key.AgentIDs, &key.Disabled, &r.expire, &r.create, &r.update, &r.digest, &r.last4, &r.secretCreate, &r.secretExpires}
}

// key is the row's key with the row's secret.
func (r *row) key() authsvc.Change {
	change := r.change
	if change.Deleted {
		change.Key = authsvc.Key{ID: change.Key.ID}
		return change
	}
	key := &change.Key
	key.Scopes, key.AgentIDs = words(key.Scopes), words(key.AgentIDs)
	key.ExpireTime, key.CreateTime, key.UpdateTime = moment(r.expire), moment(r.create), moment(r.update)
	if r.digest != nil {
		key.Secrets = []authsvc.Secret{r.secret()}
	}
	return change
}

func (r *row) secret() authsvc.Secret {
	return authsvc.Secret{Digest: authsvc.Digest(r.digest), Last4: r.last4.String,
		CreateTime: moment(r.secretCreate), ExpireTime: moment(r.secretExpires)}
}

// words are nil where there are none.
func words(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return list
}

// moment reads the column of a time: NULL is the zero time.
func moment(column pgtype.Timestamptz) time.Time {
	if !column.Valid {
		return time.Time{}
	}
	return column.Time.UTC()
}
