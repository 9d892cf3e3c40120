// Package storetest is the contract of logsvc.Store as tests: every sentence of its doc comments is a subtest, and
// every store passes all of them. Only tests import it.
package storetest

import (
	"testing"
	"time"

	"github.com/keytrail/keytrail/logsvc"
)

// sentence is one sentence of the contract, and a test that fails where it does not hold.
type sentence struct {
	text  string
	holds func(*fixture)
}

// Test holds the stores that open makes against the contract. Each subtest opens an empty one; open closes it with
// t.Cleanup.
func Test(t *testing.T, open func(t *testing.T) logsvc.Store) {
	for _, group := range []struct {
		name      string
		sentences []sentence
	}{
		{"Store", storeSentences},
		{"Record", recordSentences},
		{"Merge", mergeSentences},
		{"Get", getSentences},
		{"Filter", filterSentences},
		{"List", listSentences},
		{"Purge", purgeSentences},
		{"Expire", expireSentences},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, s := range group.sentences {
				t.Run(s.text, func(t *testing.T) {
					t.Parallel()
					s.holds(&fixture{T: t, store: open(t), now: time.Now().UTC()})
				})
			}
		})
	}
}
