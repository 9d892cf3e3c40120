// Package storetest is the conformance suite of logsvc.Store: every sentence of its doc comments is a subtest.
package storetest

import (
	"testing"
	"time"

	"github.com/keytrail/keytrail/logsvc"
)

// sentence is one sentence of the contract and its test.
type sentence struct {
	text string
	test func(*fixture)
}

// Test tests the stores that open returns. Each subtest opens an empty one; open must close it with t.Cleanup.
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
					s.test(&fixture{T: t, store: open(t), now: time.Now().UTC()})
				})
			}
		})
	}
}
