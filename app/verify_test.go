package app

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	logssqlite "github.com/keytrail/keytrail/logsvc/sqlite"
)

func TestVerifyLogsNamesTheDamagedBlock(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "logs.db")
	store, err := logssqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	for _, workspaceID := range []string{"acme", "globex"} {
		row := logsvc.Entry{ID: uuid7.New(time.Now().Add(-48 * time.Hour)), WorkspaceID: workspaceID, Endpoint: "/v1", Status: 200, CallCount: 1}
		if err := store.Record(t.Context(), []logsvc.Entry{row}); err != nil {
			t.Fatal(err)
		}
	}
	sealer := logsvc.NewSealer(store, logsvc.SealConfig{SealRows: 8, BlockRows: 8, Now: time.Now})
	if err := sealer.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	verify := func(wantDamaged string) {
		t.Helper()
		named := ""
		verified, err := VerifyLogs(t.Context(), VerifyConfig{DataDir: dir}, func(workspaceID string, b logsvc.Block, err error) {
			named += workspaceID
		})
		if err != nil || named != wantDamaged || verified.Blocks != 2 || verified.Rows != 2 || (verified.Damaged > 0) != (wantDamaged != "") {
			t.Errorf("verified %+v, named %q, %v; want %q", verified, named, err, wantDamaged)
		}
	}
	verify("")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.Exec(`UPDATE request_log_blocks SET data = CAST(substr(data, 1, 5) || x'ff' || substr(data, 7) AS BLOB) WHERE workspace_id = 'globex'`)
	if err != nil {
		t.Fatal(err)
	}
	verify("globex")
}
