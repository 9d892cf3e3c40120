// Package storetest states the contract of authsvc.Store: every sentence of it is a subtest, and every store runs
// them all. Only tests import it.
package storetest

import (
	"slices"
	"testing"

	"github.com/keytrail/keytrail/authsvc"
)

// A statement is a sentence of the contract and the check of it, on a store that is new and empty.
type statement struct {
	sentence string
	check    func(t *testing.T, store authsvc.Store)
}

// Test checks a store against the contract. open answers a store that is new and empty, and closes it when its
// test ends. A store that can be shared is best tested by an open whose store spreads its calls over two replicas.
// That effects outlast the process is for each store's own tests: only they know how to open a store again.
func Test(t *testing.T, open func(t *testing.T) authsvc.Store) {
	statements := slices.Concat(whole, create, get, list, filters, update, requests, remove, changes, follow, tokenKey)
	for _, s := range statements {
		t.Run(s.sentence, func(t *testing.T) {
			t.Parallel()
			s.check(t, open(t))
		})
	}
}
