package logsvc

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/keytrail/keytrail/logsvc/block"
)

// fetching is a reader of one block that asks for parts of its data until it has enough: a segment of a listing, or a block
// that is counted.
type fetching interface {
	fetched() Block
	// spans returns what has to be fetched next; nothing: the reader is complete, or has failed.
	spans() []block.Span
	// feed takes the bytes of spans.
	feed(data [][]byte)
}

// maxFetch is how many bytes of blocks a search fetches at once, but for one reader that needs more, so that many searches at a
// time need little memory.
const maxFetch = 1 << 20

// fetch reads what the readers ask for. Each round is one call of the store, and all processors unpack what it has returned.
func fetch[R fetching](ctx context.Context, store Store, workspaceID string, readers []R) error {
	for {
		var parts []Part
		counts, bytes := make([]int, len(readers)), 0
		for i, r := range readers {
			spans := r.spans()
			for _, span := range spans {
				bytes += span.Length
			}
			if bytes > maxFetch && len(parts) > 0 {
				break // the first readers complete before the others begin
			}
			for _, span := range spans {
				parts = append(parts, Part{Block: r.fetched(), Span: span})
			}
			counts[i] = len(spans)
		}
		if len(parts) == 0 {
			return nil
		}
		data, err := store.Read(ctx, workspaceID, parts)
		if err != nil {
			return err
		}
		var group errgroup.Group
		group.SetLimit(runtime.GOMAXPROCS(0))
		for i, r := range readers {
			if counts[i] > 0 {
				parts := data[:counts[i]]
				group.Go(func() error { r.feed(parts); return nil })
				data = data[counts[i]:]
			}
		}
		_ = group.Wait() // readers keep their errors
	}
}
