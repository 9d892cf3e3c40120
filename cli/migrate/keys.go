package migrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/keytrail/keytrail/authsvc"
)

// errForeignKeys is of a target that is not this source's.
var errForeignKeys = errors.New("the target has held keys that are not those of the source: nothing was moved. " +
	"If they are of an earlier attempt or of a trial, remove them (DROP SCHEMA keytrail_auth CASCADE) and move again")

// keysMoved tells whether the target has the source's keys and token key already. One that has never held a key has
// not; any other is refused. A key more could be one that was revoked at the source since, and report tokens can
// only be made with one key.
func (m *mover) keysMoved(ctx context.Context) (bool, error) {
	unused, err := m.to.keys.Unused(ctx)
	if err != nil || unused {
		return false, err
	}
	from, to, err := m.sumBothKeys(ctx)
	if err != nil {
		return false, err
	}
	same, err := m.sameTokenKey(ctx)
	if err == nil && (!same || !maps.Equal(from, to)) {
		err = errForeignKeys
	}
	return err == nil, err
}

// moveKeys moves all keys that are not deleted, and the token key. Tombstones stay behind: they tell followers that know
// a key of its end, and nobody knows keys of the target yet.
func (m *mover) moveKeys(ctx context.Context) error {
	tokenKey, err := m.from.keys.TokenKey(ctx)
	if err != nil {
		return fmt.Errorf("read the token key of the source: %w", err)
	}
	p := m.newProgress(Keys, 0)
	err = m.to.keys.Import(ctx, tokenKey, func(apply func(authsvc.Change) error) error {
		return m.from.keys.Changes(ctx, 0, func(c authsvc.Change) error {
			p.add(1)
			return apply(c)
		})
	})
	if err != nil {
		return fmt.Errorf("move the keys: %w", err)
	}
	p.end()
	return nil
}

func (m *mover) sameTokenKey(ctx context.Context) (bool, error) {
	from, err := m.from.keys.TokenKey(ctx)
	if err != nil {
		return false, fmt.Errorf("read the token key of the source: %w", err)
	}
	to, err := m.to.keys.TokenKey(ctx)
	if err != nil {
		return false, fmt.Errorf("read the token key of the target: %w", err)
	}
	return bytes.Equal(from, to), nil
}

// compareKeys compares the keys of every workspace that either side knows, and makes sure of the token key.
func (m *mover) compareKeys(ctx context.Context) ([]Pair, error) {
	same, err := m.sameTokenKey(ctx)
	if err == nil && !same {
		err = errors.New("source and target differ in the key of report tokens")
	}
	if err != nil {
		return nil, err
	}
	from, to, err := m.sumBothKeys(ctx)
	if err != nil {
		return nil, err
	}
	both := maps.Clone(from)
	maps.Copy(both, to)
	var pairs []Pair
	for _, workspaceID := range slices.Sorted(maps.Keys(both)) {
		pairs = append(pairs, Pair{What: Keys, WorkspaceID: workspaceID, From: from[workspaceID], To: to[workspaceID]})
	}
	return pairs, nil
}

func (m *mover) sumBothKeys(ctx context.Context) (from, to map[string]Sum, err error) {
	if from, err = sumKeys(ctx, m.from.keys); err != nil {
		return nil, nil, fmt.Errorf("sum the keys of the source: %w", err)
	}
	if to, err = sumKeys(ctx, m.to.keys); err != nil {
		return nil, nil, fmt.Errorf("sum the keys of the target: %w", err)
	}
	return from, to, nil
}

// sumKeys sums the keys of each workspace with their revisions, in the order of those.
func sumKeys(ctx context.Context, store authsvc.Store) (map[string]Sum, error) {
	sums := map[string]Sum{}
	err := store.Changes(ctx, 0, func(c authsvc.Change) error {
		sum := sums[c.Key.WorkspaceID]
		err := sum.add(c)
		sums[c.Key.WorkspaceID] = sum
		return err
	})
	return sums, err
}
