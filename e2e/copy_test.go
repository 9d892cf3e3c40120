package e2e

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // reads a database in use, like the sqlite3 command

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// serveOn starts `keytrail serve` on a data folder and creates clients.
func serveOn(t *testing.T, dir string) (*process, *cluster) {
	t.Helper()
	p := startProcess(t, dir)
	auth := dial(t, p.auth, p.credentials())
	return p, &cluster{
		t: t, auth: &daemon{t: t, name: "serve", ops: p.health}, trailDir: filepath.Join(dir, "trail"), signer: p.signer,
		checks: authv1.NewCheckServiceClient(auth), keys: authv1.NewKeyServiceClient(auth),
		list: logsv1.NewLogServiceClient(dial(t, p.logs, p.credentials())),
	}
}

// snapshot copies a database in use, as in docs/operations.md.
func snapshot(t *testing.T, from, to, name string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(from, name))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `VACUUM INTO ?`, filepath.Join(to, name)); err != nil {
		t.Fatalf("snapshot of %s: %v", name, err)
	}
}

func TestACopyOfTheDataFolderIsComplete(t *testing.T) {
	t.Parallel()
	dir, copied, online := t.TempDir(), filepath.Join(t.TempDir(), "copied"), t.TempDir()
	p, s := serveOn(t, dir)
	kept := s.createKey("kept")
	open := s.call(kept.GetSecret(), "/open", "")
	s.call("", "/denied", "missing_token")
	awaitShipped(t, p.health)
	before := s.rows()
	for _, name := range []string{"auth.db", "logs.db"} {
		snapshot(t, dir, online, name)
	}
	runProgram(t, "cp", "-a", filepath.Join(dir, "signing-key.pem"), online)
	later := s.createKey("later")
	last := s.call(later.GetSecret(), "/later", "")
	p.terminate()
	p.expectEnd()
	runProgram(t, "cp", "-a", dir, copied)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}

	_, of := serveOn(t, online)
	of.expectCopyWorks(before, kept, open)
	of.call(later.GetSecret(), "/again", "invalid_token")
	_, of = serveOn(t, copied)
	of.expectCopyWorks(before, kept, open)
	of.call(later.GetSecret(), "/again", "")
	if status := of.rowOf(last); status != 0 {
		t.Errorf("the row of the last call has status %d", status)
	}
}

// expectCopyWorks expects a system on a copy to have the rows and the key of the original, and to accept new calls and
// keys.
func (s *cluster) expectCopyWorks(before []*logsv1.RequestLog, kept *authv1.CreateKeyResponse, open checked) {
	s.t.Helper()
	expectRows(s.t, s.rows(), before)
	if len(before) != 2 {
		s.t.Errorf("%d rows before the copy: %v", len(before), before)
	}
	s.report(open)
	fresh := s.call(s.createKey("new").GetSecret(), "/again", "")
	for call, status := range map[checked]int32{open: 200, s.call(kept.GetSecret(), "/again", ""): 0, fresh: 0} {
		if got := s.rowOf(call); got != status {
			s.t.Errorf("the row of %s has status %d, want %d", call.row.GetEndpoint(), got, status)
		}
	}
	s.expectCleanTrail()
}
