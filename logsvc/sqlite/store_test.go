package sqlite

import (
	"testing"

	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(t *testing.T) logsvc.Store { return openNew(t) })
}

func TestStoreInSmallChunks(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(t *testing.T) logsvc.Store { return openSmallChunks(t) })
}
