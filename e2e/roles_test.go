package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/uuid7"
)

const (
	authRole = "keytrail_auth"
	logsRole = "keytrail_logs"
)

// createRoles runs the step that creates the roles of the services.
func (s *cluster) createRoles() {
	s.t.Helper()
	psql := exec.CommandContext(s.t.Context(), s.postgres.Program("psql"), "--no-psqlrc", "--quiet",
		"--file=../deploy/postgres/roles.sql", s.postgres.URL("postgres"))
	psql.Env = append(os.Environ(), "POSTGRES_AUTH_PASSWORD=it's", `POSTGRES_LOGS_PASSWORD=p@ss\w"rd`)
	if out, err := psql.CombinedOutput(); err != nil || len(out) > 0 {
		s.t.Fatalf("roles.sql: %v\n%s", err, out)
	}
}

// urlOf returns the URL of the database for a role.
func (s *cluster) urlOf(role string) string {
	return strings.Replace(s.postgres.URL("postgres"), "//postgres@", "//"+role+"@", 1)
}

// replaceFlag replaces the value of a flag of a daemon.
func (d *daemon) replaceFlag(name, value string) {
	d.command[slices.Index(d.command, name)+1] = value
}

// separate gives each service a role of its own, and the auth service a key that signs tokens of ingesters only.
func (s *cluster) separate() (ingester *access.Signer) {
	s.t.Helper()
	ingester, private := newSigner(s.t)
	public := filepath.Join(s.t.TempDir(), "ingester.pem")
	if err := ingester.SavePublic(public); err != nil {
		s.t.Fatal(err)
	}
	s.auth.replaceFlag("--database-url", s.urlOf(authRole))
	s.auth.replaceFlag("--signing-key", private)
	s.logs.replaceFlag("--database-url", s.urlOf(logsRole))
	s.logs.replaceFlag("--token-keys", s.keyFile+",ingester="+public)
	return ingester
}

// TestEachServiceNeedsItsOwnSchemaOnly runs the services with roles that own one schema each, as compose does.
func TestEachServiceNeedsItsOwnSchemaOnly(t *testing.T) {
	t.Parallel()
	for name, existing := range map[string]bool{"a new database": false, "services that were superuser before": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newCluster(t)
			if existing {
				s.start()
				s.call(s.createKey("before").GetSecret(), "/before", "")
				awaitShipped(t, s.auth.ops)
				s.stop()
			}
			s.createRoles()
			s.createRoles()
			ingester := s.separate()
			s.start()
			s.useEverything()
			s.expectRefused(ingester)
			s.expireAndSeal()
			s.expectOwners()
		})
	}
}

// stop kills the services.
func (s *cluster) stop() {
	s.t.Helper()
	for _, d := range []*daemon{s.auth, s.logs} {
		if err := d.down(); err != nil {
			s.t.Fatal(err)
		}
	}
}

// useEverything changes keys, and records, lists and purges rows.
func (s *cluster) useEverything() {
	s.t.Helper()
	kept, gone := s.createKey("kept"), s.createKey("gone")
	s.report(s.call(kept.GetSecret(), "/allowed", ""))
	s.update(gone, &authv1.Key{Disabled: true}, "disabled")
	s.call(gone.GetSecret(), "/disabled", "disabled")
	_, err := s.keys.DeleteKey(s.t.Context(), &authv1.DeleteKeyRequest{WorkspaceId: "acme", KeyId: gone.GetKey().GetId()})
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = s.keys.RotateKey(s.t.Context(), &authv1.RotateKeyRequest{WorkspaceId: "acme", KeyId: kept.GetKey().GetId()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.call(gone.GetSecret(), "/deleted", "invalid_token")
	awaitShipped(s.t, s.auth.ops)
	endpoints := map[string]bool{}
	for _, row := range s.rows() {
		endpoints[row.GetEndpoint()] = true
	}
	if !endpoints["/allowed"] || !endpoints["/disabled"] || !endpoints["/deleted"] {
		s.t.Errorf("the rows are of %v", endpoints)
	}
	for complete := false; !complete; {
		answer, err := s.list.PurgeRequestLogs(s.t.Context(), &logsv1.PurgeRequestLogsRequest{WorkspaceId: "acme"})
		if err != nil {
			s.t.Fatal(err)
		}
		complete = answer.GetComplete()
	}
	if rows := s.rows(); len(rows) > 0 {
		s.t.Errorf("after the purge: %v", rows)
	}
}

// expireAndSeal has the log service seal a day that has ended, and expire another one.
func (s *cluster) expireAndSeal() {
	s.t.Helper()
	days := map[string]time.Time{"seal": time.Now().AddDate(0, 0, -2), "expire": time.Now().AddDate(0, 0, -5)}
	for name, day := range days {
		row := &logsv1.RequestLog{
			Id: uuid7.New(day).String(), Time: timestamppb.New(day.Truncate(time.Millisecond)),
			WorkspaceId: "acme", Endpoint: "/" + name, Status: 401, ErrorCode: "missing_token", CallCount: 1,
		}
		request := &logsv1.RecordRequestLogsRequest{Records: []*logsv1.RequestLogRecord{{RequestLog: row}}}
		if answer, err := s.list.RecordRequestLogs(s.t.Context(), request); err != nil || len(answer.GetRefused()) > 0 {
			s.t.Fatalf("record a row of %s: %v, %v", name, answer, err)
		}
	}
	s.stop()
	s.logs.command = append(s.logs.command, "--retention", "96h")
	s.start() // it seals and expires at its start
	admin := s.connectDatabase()
	for what, query := range map[string]string{
		"sealed":  `SELECT EXISTS (SELECT FROM keytrail_logs.request_log_blocks)`,
		"expired": `SELECT to_regclass('keytrail_logs.request_logs_` + days["expire"].UTC().Format("20060102") + `') IS NULL`,
	} {
		done := false
		await(s.t, waitTimeout, func() bool {
			if err := admin.QueryRow(s.t.Context(), query).Scan(&done); err != nil {
				s.t.Fatal(err)
			}
			return done
		}, func() any { return "no day was " + what + "\n" + s.logs.printed.String() })
	}
	if rows := s.rows(); len(rows) != 1 || rows[0].GetEndpoint() != "/seal" {
		s.t.Errorf("rows after sealing and expiry: %v", rows)
	}
}

// expectRefused tries what neither service may do, and what the key of the auth service must not sign.
func (s *cluster) expectRefused(ingester *access.Signer) {
	s.t.Helper()
	all := []string{`CREATE SCHEMA x`, `CREATE ROLE x`, `CREATE TABLE public.x (n int)`, `SET ROLE postgres`,
		`COPY (SELECT 1) TO PROGRAM 'true'`, `SELECT pg_read_file('PG_VERSION')`}
	others := map[string][]string{
		authRole: {`SELECT FROM keytrail_logs.request_logs`, `DELETE FROM keytrail_logs.request_logs`,
			`CREATE TABLE keytrail_logs.x (n int)`, `SET ROLE keytrail_logs`},
		logsRole: {`SELECT FROM keytrail_auth.token_key`, `SELECT FROM keytrail_auth.keys`,
			`DROP TABLE keytrail_auth.keys`, `SET ROLE keytrail_auth`},
	}
	for role, statements := range others {
		conn, err := pgx.Connect(s.t.Context(), s.urlOf(role))
		if err != nil {
			s.t.Fatal(err)
		}
		defer conn.Close(context.Background())
		for _, statement := range append(statements, all...) {
			_, err := conn.Exec(s.t.Context(), statement)
			if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "42501" { // insufficient_privilege
				s.t.Errorf("%s as %s: %v", statement, role, err)
			}
		}
	}
	unsigned := logsv1.NewLogServiceClient(dial(s.t, s.logsAddr, grpc.EmptyDialOption{}))
	forged := metadata.AppendToOutgoingContext(s.t.Context(),
		"authorization", "Bearer "+token(s.t, ingester, access.Admin, access.AllWorkspaces))
	_, err := unsigned.ListRequestLogs(forged, &logsv1.ListRequestLogsRequest{WorkspaceId: "acme"})
	if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), `the role "admin"`) {
		s.t.Errorf("a token of an admin that the key of the auth service has signed: %v", err)
	}
}

// expectOwners expects everything in a schema to belong to its role, which has no other right.
func (s *cluster) expectOwners() {
	s.t.Helper()
	for query, want := range map[string]string{
		`SELECT count(*)::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
			WHERE n.nspname LIKE 'keytrail%' AND pg_get_userbyid(relowner) <> n.nspname`: "0",
		`SELECT string_agg(nspname || ' of ' || pg_get_userbyid(nspowner), ', ' ORDER BY nspname)
			FROM pg_namespace WHERE nspname LIKE 'keytrail%'`: "keytrail_auth of keytrail_auth, keytrail_logs of keytrail_logs",
		`SELECT count(*)::text FROM pg_roles WHERE rolname LIKE 'keytrail%'
			AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)`: "0",
	} {
		var got *string
		if err := s.connectDatabase().QueryRow(s.t.Context(), query).Scan(&got); err != nil || got == nil || *got != want {
			s.t.Errorf("%s: %v, %v; want %q", query, got, err, want)
		}
	}
}
