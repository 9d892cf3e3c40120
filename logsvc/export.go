package logsvc

import (
	"context"
	"errors"
	"time"

	"github.com/keytrail/keytrail/internal/fault"
)

const (
	// maxExports is how many exports of one workspace search at a time, so that another search waits for few of them.
	maxExports = 1
	// maxOpenExports is how many exports of one workspace are under way at a time. One whose reader does not read has some 2 MB.
	maxOpenExports = 20
)

// Export passes all entries of the window to send, newest first, in pages of up to query.Limit: those that were there when
// it began, each once. More is false for the last page. It begins when fewer than 20 exports of the workspace are under way. Each
// page waits for its turn as List does, and for other exports of the workspace; it waits on where List would return a
// TooManySearches fault. Export returns the first error of send as it is.
func (s *Service) Export(ctx context.Context, query Query, send func(page Page, more bool) error) error {
	var done func()
	err := waitTurn(ctx, func() (err error) {
		done, err = s.openExports.take(ctx, query.WorkspaceID)
		return err
	})
	if err != nil {
		return err
	}
	defer done()
	return s.export(ctx, query, send)
}

// export is Export at any number at a time.
func (s *Service) export(ctx context.Context, query Query, send func(page Page, more bool) error) error {
	for {
		page, more, err := s.exportPage(ctx, query)
		if err != nil {
			return err
		}
		if err := send(page, more); err != nil || !more {
			return err
		}
		query.Range = query.Range.Overlap(Range{To: page.SearchedTo})
	}
}

// exportPage returns a page when its turn has come.
func (s *Service) exportPage(ctx context.Context, query Query) (page Page, more bool, err error) {
	err = waitTurn(ctx, func() (err error) {
		page, more, err = s.listAlone(ctx, query)
		return err
	})
	return page, more, err
}

// waitTurn repeats do while it returns a TooManySearches fault.
func waitTurn(ctx context.Context, do func() error) error {
	for {
		err := do()
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Reason != fault.TooManySearches {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(maxWait):
		}
	}
}

// listAlone is List while no more than maxExports exports of the workspace search.
func (s *Service) listAlone(ctx context.Context, query Query) (page Page, more bool, err error) {
	done, err := s.exports.take(ctx, query.WorkspaceID)
	if err != nil {
		return Page{}, false, err
	}
	defer done()
	return s.List(ctx, query)
}
