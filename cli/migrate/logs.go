package migrate

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/keytrail/keytrail/logsvc"
)

const (
	// pageRows is how many request logs are read and stored at once.
	pageRows = 2000
	// inFlight is how many pages are on their way to the target at once, so that its disk is not waited for each time.
	inFlight = 4
)

// dumper is the store of either side.
type dumper interface {
	Dump(ctx context.Context, workspaceID string, ids logsvc.Range, limit int) ([]logsvc.Entry, error)
}

// eachPage reads a range of a workspace from the lowest id on, a page at a time.
func eachPage(ctx context.Context, store dumper, workspaceID string, ids logsvc.Range, do func([]logsvc.Entry) error) error {
	for {
		page, err := store.Dump(ctx, workspaceID, ids, pageRows)
		if err != nil || len(page) == 0 {
			return err
		}
		if err := do(page); err != nil {
			return err
		}
		ids.From = after(page[len(page)-1].ID)
	}
}

// after is the id that follows another.
func after(id uuid.UUID) uuid.UUID {
	low := binary.BigEndian.Uint64(id[8:]) + 1
	binary.BigEndian.PutUint64(id[8:], low)
	if low == 0 {
		binary.BigEndian.PutUint64(id[:8], binary.BigEndian.Uint64(id[:8])+1)
	}
	return id
}

// kept is the range of ids that are young enough now.
func (m *mover) kept() logsvc.Range {
	return logsvc.Range{From: logsvc.WindowAt(m.config.Now(), m.config.Retention).From, To: uuid.Max}
}

// eachWorkspace calls do with every workspace that has request logs at the source, by their bytes.
func (m *mover) eachWorkspace(ctx context.Context, do func(workspaceID string) error) error {
	for workspaceID := ""; ; {
		var err error
		if workspaceID, err = m.from.logs.NextWorkspace(ctx, workspaceID); err != nil || workspaceID == "" {
			return err
		}
		if err := do(workspaceID); err != nil {
			return err
		}
	}
}

// moveLogs moves the request logs that are young enough, and answers how many are not.
func (m *mover) moveLogs(ctx context.Context) (expired int64, err error) {
	kept := m.kept()
	count, expired, err := m.countLogs(ctx, kept)
	if err != nil {
		return 0, err
	}
	p := m.newProgress(RequestLogs, count)
	group, moving := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	err = m.eachWorkspace(moving, func(workspaceID string) error {
		return eachPage(moving, m.from.logs, workspaceID, kept, func(page []logsvc.Entry) error {
			group.Go(func() error { return m.movePage(moving, page) })
			p.add(len(page))
			return nil
		})
	})
	// What failed at the target comes first: it is why reading was broken off.
	if err := cmp.Or(group.Wait(), err); err != nil {
		return 0, fmt.Errorf("move the request logs: %w", err)
	}
	p.end()
	return expired, nil
}

// countLogs counts what is in the range, and what is below it.
func (m *mover) countLogs(ctx context.Context, kept logsvc.Range) (count, expired int64, err error) {
	err = m.eachWorkspace(ctx, func(workspaceID string) error {
		young, err := m.from.logs.Count(ctx, workspaceID, kept)
		if err != nil {
			return err
		}
		old, err := m.from.logs.Count(ctx, workspaceID, logsvc.Range{To: kept.From})
		count, expired = count+young, expired+old
		return err
	})
	return count, expired, err
}

// movePage stores a page of one workspace, unless the target has just that: reading it is much cheaper than storing it
// once more.
func (m *mover) movePage(ctx context.Context, page []logsvc.Entry) error {
	first, last := page[0], page[len(page)-1]
	there, err := m.to.logs.Dump(ctx, first.WorkspaceID, logsvc.Range{From: first.ID, To: after(last.ID)}, len(page)+1)
	if err != nil || slices.Equal(there, page) {
		return err
	}
	return m.to.logs.Record(ctx, page)
}

// compareLogs compares the request logs of every workspace of the source, up to its newest: what is newer at the target
// has come from elsewhere. A row that gets too old meanwhile is looked at on neither side.
func (m *mover) compareLogs(ctx context.Context, p *progress) ([]Pair, error) {
	var pairs []Pair
	err := m.eachWorkspace(ctx, func(workspaceID string) error {
		ids := m.kept()
		from, newest, err := sumLogs(ctx, m.from.logs, workspaceID, ids, p)
		if err != nil || from.Count == 0 {
			return err
		}
		ids.To = after(newest)
		to, _, err := sumLogs(ctx, m.to.logs, workspaceID, ids, p)
		pairs = append(pairs, Pair{What: RequestLogs, WorkspaceID: workspaceID, From: from, To: to})
		return err
	})
	return pairs, err
}

// sumLogs sums a range of a workspace by ascending id, and answers the last one.
func sumLogs(ctx context.Context, store dumper, workspaceID string, ids logsvc.Range, p *progress) (sum Sum, newest uuid.UUID, err error) {
	err = eachPage(ctx, store, workspaceID, ids, func(page []logsvc.Entry) error {
		for _, entry := range page {
			if err := sum.add(entry); err != nil {
				return err
			}
		}
		newest = page[len(page)-1].ID
		p.add(len(page))
		return nil
	})
	return sum, newest, err
}
