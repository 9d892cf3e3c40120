package pgdb_test

import (
	"strings"
	"testing"

	"github.com/keytrail/keytrail/internal/pgdb"
)

func TestPlaintextOffThisMachineIsFound(t *testing.T) {
	for _, name := range []string{"PGHOST", "PGSSLMODE", "PGSERVICE", "PGSERVICEFILE"} {
		t.Setenv(name, "")
	}
	for url, host := range map[string]string{
		"postgres://keytrail@db:5432/keytrail":                                      "db",
		"postgres://keytrail@db:5432/keytrail?sslmode=prefer":                       "db",
		"postgres://keytrail@db:5432/keytrail?sslmode=allow":                        "db",
		"postgres://keytrail@db:5432/keytrail?sslmode=disable":                      "db",
		"postgres://keytrail@db:5432/keytrail?sslmode=require":                      "",
		"postgres://keytrail@db:5432/keytrail?sslmode=verify-full":                  "",
		"postgres://keytrail@127.0.0.1:5432,db:5432/keytrail":                       "db",
		"postgres://keytrail@127.0.0.1/keytrail":                                    "",
		"postgres://keytrail@localhost/keytrail?sslmode=disable":                    "",
		"postgres://keytrail@[::1]/keytrail":                                        "",
		"postgres:///keytrail?host=/run/postgresql&sslmode=disable":                 "",
		"host=10.0.0.5 user=keytrail":                                               "10.0.0.5",
		"postgres://keytrail@localhost.example.com/keytrail?sslmode=disable":        "localhost.example.com",
		"postgres://keytrail@127.0.0.1/keytrail?host=192.0.2.1&sslmode=disable":     "192.0.2.1",
		"postgres://keytrail@db:5432/keytrail?sslmode=require&host=/run/postgresql": "",
	} {
		if got, err := pgdb.Exposed(url); err != nil || got != host {
			t.Errorf("%s: %q, %v; want %q", url, got, err, host)
		}
	}
	if _, err := pgdb.Exposed("postgres://keytrail:hunter2@db:port/keytrail"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error of a bad URL is %q", err)
	}
}
