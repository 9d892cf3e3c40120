package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// runProgram runs a program to its end.
func runProgram(t *testing.T, path string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", path, args, err, out)
	}
}

// call checks a key once and expects an error code; empty for allowed.
func (s *cluster) call(secret, endpoint, code string) checked {
	s.t.Helper()
	request := &authv1.CheckRequest{ApiKey: secret, AgentType: "agent", Endpoint: endpoint, WorkspaceId: "acme"}
	answer, err := s.checks.Check(s.t.Context(), request, grpc.WaitForReady(true))
	if err != nil || answer.GetDenial().GetCode() != code {
		s.t.Fatalf("a check of %s returned %v %v, want %q", endpoint, answer, err, code)
	}
	return checkedOf(request, "acme", answer)
}

// report reports a call.
func (s *cluster) report(call checked) {
	s.t.Helper()
	answer, err := s.checks.Report(s.t.Context(), &authv1.ReportRequest{Outcomes: []*authv1.Outcome{call.outcome(200, 7)}})
	if err != nil || len(answer.GetRefused()) > 0 {
		s.t.Fatalf("report: %v, %v", answer, err)
	}
}

// expectRows expects listed to contain every row of want, unchanged.
func expectRows(t *testing.T, listed, want []*logsv1.RequestLog) {
	t.Helper()
	for _, row := range want {
		if !slices.ContainsFunc(listed, func(r *logsv1.RequestLog) bool { return proto.Equal(r, row) }) {
			t.Errorf("missing in %d rows: %v", len(listed), row)
		}
	}
}

// rowOf waits until all rows are shipped and returns the status of the row of a call.
func (s *cluster) rowOf(call checked) (status int32) {
	s.t.Helper()
	awaitShipped(s.t, s.auth.ops)
	for _, row := range s.rows() {
		if row.GetId() == call.row.GetId() {
			return row.GetStatus()
		}
	}
	s.t.Errorf("no row of %v", call.row)
	return -1
}

// dump writes both schemas into a folder, as in docs/operations.md.
func (s *cluster) dump(dir string) {
	s.t.Helper()
	url, program := s.postgres.URL("postgres"), s.postgres.Program("pg_dump")
	runProgram(s.t, program, "--format=custom", "--schema=keytrail_auth", "--file="+filepath.Join(dir, "auth.dump"), url)
	runProgram(s.t, program, "--format=custom", "--schema=keytrail_logs", "--file="+filepath.Join(dir, "logs.dump"), url)
}

// destroy replaces the database with an empty one and closes all connections.
func (s *cluster) destroy() {
	s.t.Helper()
	elsewhere := s.postgres.URL("template1")
	runProgram(s.t, s.postgres.Program("dropdb"), "--force", "--maintenance-db="+elsewhere, "postgres")
	runProgram(s.t, s.postgres.Program("createdb"), "--maintenance-db="+elsewhere, "postgres")
}

// restore restores a dump into an empty database. Tomorrow's partition is missing, as in a backup of yesterday.
func (s *cluster) restore(dir string) {
	s.t.Helper()
	for _, file := range []string{"auth.dump", "logs.dump"} {
		runProgram(s.t, s.postgres.Program("pg_restore"), "--single-transaction", "--dbname="+s.postgres.URL("postgres"), filepath.Join(dir, file))
	}
	tomorrow := time.Now().UTC().AddDate(0, 0, 1).Format("20060102")
	if _, err := s.connectDatabase().Exec(s.t.Context(), `DROP TABLE keytrail_logs.request_logs_`+tomorrow); err != nil {
		s.t.Fatal(err)
	}
}

func (s *cluster) connectDatabase() *pgx.Conn {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.postgres.URL("postgres"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func TestRestoreOfAPostgresBackup(t *testing.T) {
	t.Parallel()
	s, dir := newCluster(t), t.TempDir()
	s.start()
	kept, revoked := s.createKey("kept"), s.createKey("revoked")
	open := s.call(kept.GetSecret(), "/open", "")
	s.report(s.call(kept.GetSecret(), "/reported", ""))
	s.call("", "/denied", "missing_token")
	awaitShipped(t, s.auth.ops)
	before := s.rows()
	s.dump(dir)

	later := s.createKey("later")
	s.update(revoked, &authv1.Key{Disabled: true}, "disabled")
	s.call(revoked.GetSecret(), "/lost", "disabled")
	s.call(later.GetSecret(), "/lost", "")
	awaitShipped(t, s.auth.ops)
	s.destroy()
	// Rows of checks without a database wait on the trail.
	waiting := s.call(kept.GetSecret(), "/waiting", "")
	for _, d := range []*daemon{s.auth, s.logs} {
		if err := d.down(); err != nil {
			t.Fatal(err)
		}
	}
	s.restore(dir)
	s.start()

	expectRows(t, s.rows(), before)
	if len(before) != 3 {
		t.Errorf("%d rows at the backup: %v", len(before), before)
	}
	s.report(open)
	s.call(kept.GetSecret(), "/after", "")
	// Changes of keys after the backup are undone, also in the keyring.
	s.call(revoked.GetSecret(), "/after", "")
	s.call(later.GetSecret(), "/after", "invalid_token")
	s.call(s.createKey("new").GetSecret(), "/after", "")
	for call, status := range map[checked]int32{open: 200, waiting: 0} {
		if got := s.rowOf(call); got != status {
			t.Errorf("the row of %s has status %d, want %d", call.row.GetEndpoint(), got, status)
		}
	}
	s.expectRestoredDatabase()
	s.expectCleanTrail()
}

// expectRestoredDatabase expects the partitions of today and tomorrow.
func (s *cluster) expectRestoredDatabase() {
	s.t.Helper()
	var days int
	now := time.Now().UTC()
	err := s.connectDatabase().QueryRow(s.t.Context(), `SELECT count(*) FROM pg_inherits
		WHERE inhparent = 'keytrail_logs.request_logs'::regclass AND inhrelid::regclass::text IN ($1, $2)`,
		"keytrail_logs.request_logs_"+now.Format("20060102"), "keytrail_logs.request_logs_"+now.AddDate(0, 0, 1).Format("20060102"),
	).Scan(&days)
	if err != nil || days != 2 {
		s.t.Errorf("%d partitions of today and tomorrow, %v", days, err)
	}
}
