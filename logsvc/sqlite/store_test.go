package sqlite

import (
	"testing"

	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/storetest"
)

// TestStore has small chunks, so that a few rows fill several.
func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(t *testing.T) logsvc.Store { return openSmallChunks(t) })
}
