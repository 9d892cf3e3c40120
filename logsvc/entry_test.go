package logsvc_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keytrail/keytrail/logsvc"
)

// anyEntry is one of all combinations of rank, origin and count, and says in its fields which of n it is.
func anyEntry(random *rand.Rand, n int) logsvc.Entry {
	e := entryAt(noon)
	e.Endpoint, e.ErrorCode = string(rune('a'+n)), string(rune('a'+n))
	e.Status = random.IntN(2) * 200
	e.Reported = random.IntN(2) == 0
	e.Latency = 0
	if e.Reported {
		e.Latency = time.Duration(n)
	}
	e.FromReport = random.IntN(2) == 0
	e.CallCount = 1 + random.IntN(3)
	return e
}

func TestEntriesMayBeMergedWithEachOtherFirst(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		a, b, c := anyEntry(random, 0), anyEntry(random, 1), anyEntry(random, 2)
		b.ID, c.ID = a.ID, a.ID
		oneByOne := logsvc.Merge(logsvc.Merge(a, b), c)
		if diff := cmp.Diff(oneByOne, logsvc.Merge(a, logsvc.Merge(b, c))); diff != "" {
			t.Fatalf("%+v\n%+v\n%+v\n(-one by one +together first):\n%s", a, b, c, diff)
		}
	}
}

func TestMergeOfAnEntryWithItselfIsTheEntry(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for n := range 100 {
		e := anyEntry(random, n%26)
		if got := logsvc.Merge(e, e); got != e {
			t.Errorf("%+v becomes %+v", e, got)
		}
	}
}
