package migrate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

const (
	// pageRows is the number of request logs that are read and stored at once.
	pageRows = 2000
	// concurrency is the number of pages that are stored at once, so that the target's disk is not waited for each time.
	concurrency = 4
)

// copyLogs copies the request logs that have not expired, and returns the number of those that have.
func (m *migration) copyLogs(ctx context.Context) (expired int64, err error) {
	progress := m.progress("copied request logs")
	err = m.eachWorkspace(ctx, func(workspaceID string) error {
		rows, err := m.copyBlocks(ctx, workspaceID, progress)
		expired += rows
		if err != nil {
			return err
		}
		old := logsvc.Range{To: m.unexpired().From}
		if err := m.eachRecent(ctx, workspaceID, old, func(page []logsvc.Entry) error {
			expired += int64(len(page))
			return nil
		}); err != nil {
			return err
		}
		return m.copyRecent(ctx, workspaceID, progress)
	})
	return expired, err
}

// copyBlocks copies the sealed blocks of a workspace as they are, and returns the number of their entries that have expired.
func (m *migration) copyBlocks(ctx context.Context, workspaceID string, progress func(int)) (expired int64, err error) {
	unexpired := m.unexpired()
	for ids := (logsvc.Range{To: uuid.Max}); !ids.Empty(); {
		view, err := m.fromLogs.View(ctx, logsvc.ViewQuery{WorkspaceID: workspaceID, Range: ids, Rows: 1, Blocks: 16})
		if err != nil {
			return expired, err
		}
		for _, b := range view.Blocks {
			if !unexpired.Contains(b.Last) {
				expired += int64(b.Rows)
				continue
			}
			if err := m.copyBlock(ctx, workspaceID, b); err != nil {
				return expired, fmt.Errorf("copy the block of %s from %s: %w", workspaceID, uuid7.Time(b.First).Format(time.RFC3339), err)
			}
			progress(b.Rows)
		}
		ids.To = view.BlocksFrom
	}
	return expired, nil
}

// copyBlock copies a block, unless an earlier attempt has. Where the target has other blocks of the same time, the entries are
// recorded as rows, which the target merges.
func (m *migration) copyBlock(ctx context.Context, workspaceID string, b logsvc.Block) error {
	ids := logsvc.Range{From: b.First, To: uuid7.Next(b.Last)}
	view, err := m.toLogs.View(ctx, logsvc.ViewQuery{WorkspaceID: workspaceID, Range: ids, Rows: 1, Blocks: 1})
	if err != nil || len(view.Blocks) > 0 && view.Blocks[0].ID == b.ID {
		return err
	}
	if len(view.Blocks) == 0 {
		data, err := m.fromLogs.Read(ctx, workspaceID, []logsvc.Part{{Block: b, Span: block.Span{Length: math.MaxInt32}}})
		if err != nil {
			return err
		}
		return m.toLogs.Replace(ctx, workspaceID, logsvc.Change{Insert: []logsvc.SealedBlock{{Block: b, Data: data[0]}}})
	}
	for !ids.Empty() {
		page, err := m.page(ctx, m.source, workspaceID, ids, pageRows)
		if err != nil {
			return err
		}
		if err := m.toLogs.Record(ctx, page.Entries); err != nil {
			return err
		}
		ids.To = page.SearchedTo
	}
	return nil
}

// copyRecent copies the recent rows of a workspace.
func (m *migration) copyRecent(ctx context.Context, workspaceID string, progress func(int)) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	err := m.eachRecent(groupCtx, workspaceID, m.unexpired(), func(page []logsvc.Entry) error {
		group.Go(func() error { return m.toLogs.Record(groupCtx, page) })
		progress(len(page))
		return nil
	})
	// An error of the target cancels groupCtx, and so is the cause of an error of the source.
	if groupErr := group.Wait(); groupErr != nil {
		return groupErr
	}
	return err
}

// eachRecent calls do with the recent rows of a workspace, page by page, by ascending id.
func (m *migration) eachRecent(ctx context.Context, workspaceID string, ids logsvc.Range, do func([]logsvc.Entry) error) error {
	for {
		page, err := m.fromLogs.Oldest(ctx, workspaceID, ids, pageRows)
		if err != nil || len(page) == 0 {
			return err
		}
		if err := do(page); err != nil {
			return err
		}
		ids.From = uuid7.Next(page[len(page)-1].ID)
	}
}

// compareLogs reads the request logs of source and target. Rows of the target that are newer than those of the source are
// not compared, because they come from elsewhere.
func (m *migration) compareLogs(ctx context.Context) (pairs []Pair, err error) {
	progress := m.progress("compared request logs")
	err = m.eachWorkspace(ctx, func(workspaceID string) error {
		pair := Pair{What: RequestLogs, WorkspaceID: workspaceID, Equal: true}
		newest, err := m.page(ctx, m.source, workspaceID, m.unexpired(), 1)
		if err != nil || len(newest.Entries) == 0 {
			return err
		}
		ids := m.unexpired().Overlap(logsvc.Range{To: uuid7.Next(newest.Entries[0].ID)})
		for !ids.Empty() {
			page, err := m.page(ctx, m.source, workspaceID, ids, pageRows)
			if err != nil {
				return err
			}
			// Twice the size of a page is enough to see that they differ.
			stored, err := m.page(ctx, m.target, workspaceID, logsvc.Range{From: page.SearchedTo, To: ids.To}, 2*pageRows)
			if err != nil {
				return err
			}
			pair.From += int64(len(page.Entries))
			pair.To += int64(len(stored.Entries))
			pair.Equal = pair.Equal && slices.Equal(stored.Entries, page.Entries)
			ids.To = page.SearchedTo
			progress(len(page.Entries))
		}
		pairs = append(pairs, pair)
		return nil
	})
	return pairs, err
}

// page lists request logs.
func (m *migration) page(ctx context.Context, from *logsvc.Searcher, workspaceID string, ids logsvc.Range, limit int) (logsvc.Page, error) {
	page, err := from.List(ctx, logsvc.Query{WorkspaceID: workspaceID, Range: ids, Limit: limit})
	if err == nil && len(page.Unreadable) > 0 {
		return page, errors.New("a block of request logs is damaged; `keytrail logs verify` names it")
	}
	return page, err
}

// progress returns a function that adds rows to a total, which is shown every 2 seconds.
func (m *migration) progress(what string) func(rows int) {
	total, start, sometimes := 0, time.Now(), rate.Sometimes{Interval: 2 * time.Second}
	return func(rows int) {
		total += rows
		sometimes.Do(func() { m.Progress(fmt.Sprintf("%s: %d, %.0f s", what, total, time.Since(start).Seconds())) })
	}
}

func (m *migration) eachWorkspace(ctx context.Context, do func(workspaceID string) error) error {
	for workspaceID := ""; ; {
		var err error
		if workspaceID, err = m.fromLogs.NextWorkspace(ctx, workspaceID); err != nil || workspaceID == "" {
			return err
		}
		if err := do(workspaceID); err != nil {
			return err
		}
	}
}

func (m *migration) unexpired() logsvc.Range {
	return logsvc.Range{From: logsvc.WindowAt(m.Now(), m.Retention).From, To: uuid.Max}
}
