package logsvc_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

// version1 returns a block of version 1, which has no counts by key, and its entries.
func version1(t *testing.T) (logsvc.SealedBlock, []logsvc.Entry) {
	t.Helper()
	summary, err := os.ReadFile("block/testdata/version1.summary")
	must(t, err)
	data, err := os.ReadFile("block/testdata/version1.data")
	must(t, err)
	decoder := block.NewDecoder()
	parsed, err := decoder.ParseSummary(summary)
	must(t, err)
	entries, err := decoder.Entries(parsed, data)
	must(t, err)
	return logsvc.SealedBlock{
		Block: logsvc.Block{ID: uuid.New(), First: parsed.First, Last: parsed.Last, Rows: parsed.Rows, Summary: summary}, Data: data,
	}, entries
}

func TestBlocksOfVersion1AreCounted(t *testing.T) {
	store := openStore(t)
	sealed, entries := version1(t)
	must(t, store.Replace(t.Context(), "acme", logsvc.Change{Insert: []logsvc.SealedBlock{sealed}}))
	searcher := logsvc.NewSearcher(store, func(_ string, _ logsvc.Block, err error) { t.Error(err) })
	for _, filter := range []logsvc.Filter{{}, {KeyID: entries[0].KeyID}, {StatusClass: 4}} {
		want, wantKeys := block.Counts{}, block.Keys{}
		for i := range entries {
			wantKeys.Add(block.GroupOf(&entries[i]))
			if filter.Match(&entries[i]) {
				want.Add(block.GroupOf(&entries[i]))
			}
		}
		summary, err := searcher.Summarize(t.Context(), logsvc.SummaryQuery{WorkspaceID: "acme", Filter: filter, Range: all})
		must(t, err)
		if diff := cmp.Diff(want, summary.Counts); diff != "" || len(want) == 0 {
			t.Errorf("%+v: (-want +got):\n%s", filter, diff)
		}
		keys, _, err := searcher.Keys(t.Context(), "acme", all)
		must(t, err)
		if diff := cmp.Diff(wantKeys, keys); diff != "" {
			t.Errorf("keys (-want +got):\n%s", diff)
		}
	}
}
