package logsvc

import (
	"context"
	"errors"
	"time"

	"github.com/keytrail/keytrail/internal/fault"
)

// maxExports is how many exports of one workspace search at a time, so that another search waits for few of them.
const maxExports = 1

// Export passes all entries of the window to send, newest first, in pages of up to query.Limit: those that were there when
// it began, each once. More is false for the last page. Each page waits for its turn as List does, and for
// other exports of the workspace; it waits on where List would return a TooManySearches fault. Export returns the first error of
// send as it is.
func (s *Service) Export(ctx context.Context, query Query, send func(page Page, more bool) error) error {
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
	for {
		page, more, err = s.listAlone(ctx, query)
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Reason != fault.TooManySearches {
			return page, more, err
		}
		select {
		case <-ctx.Done():
			return Page{}, false, context.Cause(ctx)
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
