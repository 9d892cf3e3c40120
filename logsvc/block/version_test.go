package block

import (
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
)

// version1 is a block as Encode has packed it in version 1.
func version1(t testing.TB) encoded {
	t.Helper()
	b := encoded{entries: newTraffic(1, true).rows(300, day, time.Second)}
	var err error
	b.Packed.Summary, err = os.ReadFile("testdata/version1.summary")
	must(t, err)
	b.Data, err = os.ReadFile("testdata/version1.data")
	must(t, err)
	b.Summary, err = NewDecoder().ParseSummary(b.Packed.Summary)
	must(t, err)
	return b
}

func TestBlocksOfVersion1AreRead(t *testing.T) {
	d, b := NewDecoder(), version1(t)
	got, err := d.Entries(b.Summary, b.Data)
	checkEntries(t, b.entries, got, err)
	for _, q := range []ScanQuery{
		{To: uuid.Max, Limit: 50},
		{To: b.entries[200].ID, Limit: 50},
		{To: uuid.Max, Limit: 50, Filter: Filter{StatusClass: 4}},
		{To: uuid.Max, Limit: 50, Filter: Filter{Endpoint: rare(b.entries)}},
	} {
		checkScan(t, b.entries, q, run(t, d, b, q))
	}
	if b.HasCounts() || !b.MayMatch(Filter{InProgress: true}) {
		t.Error("it has counts, or knows that no call is in progress")
	}
}
