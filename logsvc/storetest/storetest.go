// Package storetest is the conformance suite of logsvc.Store: every sentence of its doc comments is a subtest. It also tests the
// Searcher and the Sealer on the store, because what they promise depends on it.
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

// group is the sentences about one method or one subject.
type group struct {
	name      string
	modes     []mode
	sentences []sentence
}

var groups = []group{
	{"Store", storeItself, storeSentences},
	{"Listen", storeItself, listenSentences},
	{"View", storeItself, viewSentences},
	{"Read", storeItself, readSentences},
	{"Tally", storeItself, tallySentences},
	{"Oldest and Backlog", storeItself, backlogSentences},
	{"Replace", storeItself, replaceSentences},
	{"NextWorkspace", storeItself, nextWorkspaceSentences},
	{"PurgeRecent", storeItself, purgeRecentSentences},
	{"TryLock", storeItself, lockSentences},
	{"Compact", storeItself, compactSentences},
	{"Expire, blocks", storeItself, expireBlocksSentences},
	{"Expire, days", storeItself, expireDaysSentences},
	{"Record", everyMode, recordSentences},
	{"Record, rows", storeItself, recordRowsSentences},
	{"Merge", everyMode, mergeSentences},
	{"Get", everyMode, getSentences},
	{"Filter", everyMode, filterSentences},
	{"List", everyMode, listSentences},
	{"Summarize", everyMode, summarizeSentences},
	{"Purge", everyMode, purgeSentences},
	{"Expire", everyMode, expireSentences},
	{"Seal", storeItself, sealSentences},
	{"Seal, meanwhile", storeItself, meanwhileSentences},
	{"Damage", storeItself, damageSentences},
	{"Model", storeItself, modelSentences},
}

// Test tests the stores that open returns. Each sentence opens an empty one; open must close it with t.Cleanup. For a store that
// replicas share, open should return Replicas of two. A sentence that holds however far its rows are sealed is a subtest for each
// mode.
func Test(t *testing.T, open func(t *testing.T) logsvc.Store) {
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			for _, s := range g.sentences {
				t.Run(s.text, func(t *testing.T) {
					t.Parallel()
					subject := newSubject(open(t), time.Now().UTC())
					for _, m := range g.modes {
						t.Run(string(m), func(t *testing.T) { s.test(&fixture{T: t, subject: subject, mode: m}) })
					}
				})
			}
		})
	}
}
