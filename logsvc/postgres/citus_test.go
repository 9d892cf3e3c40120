package postgres_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/postgres"
	"github.com/keytrail/keytrail/logsvc/storetest"
)

// citusVariable is the environment variable with the URL of a database on the coordinator of a Citus cluster. Its user must be
// allowed to create databases on all nodes, with the same password.
const citusVariable = "KEYTRAIL_TEST_CITUS_URL"

// citusNode is a server of a cluster.
type citusNode struct {
	Host string
	Port int
}

func (n citusNode) connect(t *testing.T, config *pgx.ConnConfig, database string) *pgx.Conn {
	t.Helper()
	config = config.Copy()
	config.Host, config.Port, config.Database, config.Fallbacks = n.Host, uint16(n.Port), database, nil
	conn, err := pgx.ConnectConfig(t.Context(), config)
	must(t, err)
	return conn
}

// newCitusDatabase creates a database on all nodes of the cluster, which is dropped at the end of the test, and returns its
// URL on the coordinator.
func newCitusDatabase(t *testing.T) string {
	t.Helper()
	url := os.Getenv(citusVariable)
	if url == "" {
		t.Skip(citusVariable + " is not set: nothing was checked on Citus")
	}
	config, err := pgx.ParseConfig(url)
	must(t, err)
	coordinator := citusNode{Host: config.Host, Port: int(config.Port)}
	admin := coordinator.connect(t, config, config.Database)
	defer admin.Close(t.Context())
	rows, err := admin.Query(t.Context(), `SELECT nodename, nodeport FROM pg_dist_node WHERE isactive AND groupid > 0`)
	must(t, err)
	workers, err := pgx.CollectRows(rows, pgx.RowToStructByPos[citusNode])
	must(t, err)
	name := fmt.Sprintf("keytrail_test_%d", time.Now().UnixNano())
	for _, node := range append(workers, coordinator) {
		conn := node.connect(t, config, config.Database)
		_, err := conn.Exec(t.Context(), "CREATE DATABASE "+name)
		must(t, err)
		t.Cleanup(func() {
			ctx := context.WithoutCancel(t.Context())
			_, err := conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
			must(t, err)
			must(t, conn.Close(ctx))
		})
		inside := node.connect(t, config, name)
		_, err = inside.Exec(t.Context(), "CREATE EXTENSION citus")
		must(t, err)
		must(t, inside.Close(t.Context()))
	}
	conn := coordinator.connect(t, config, name)
	_, err = conn.Exec(t.Context(), "SELECT citus_set_coordinator_host($1, $2)", coordinator.Host, coordinator.Port)
	must(t, err)
	for _, w := range workers {
		_, err := conn.Exec(t.Context(), "SELECT citus_add_node($1, $2)", w.Host, w.Port)
		must(t, err)
	}
	must(t, conn.Close(t.Context()))
	at := net.JoinHostPort(config.Host, strconv.Itoa(coordinator.Port))
	return strings.Replace(url, at+"/"+config.Database, at+"/"+name, 1)
}

// TestCitus runs the conformance suite on distributed tables. To create a database takes seconds, so the sentences share a few.
// It takes 3 to 4 minutes on two processors. The slowest statements attach the partitions of days, on each shard.
func TestCitus(t *testing.T) {
	free := make(chan string, 2)
	for range cap(free) {
		url := newCitusDatabase(t)
		store, err := postgres.Open(t.Context(), url)
		must(t, err)
		must(t, store.Distribute(t.Context()))
		must(t, store.Close())
		free <- url
	}
	storetest.Test(t, func(t *testing.T) logsvc.Store {
		url := <-free
		t.Cleanup(func() { free <- url })
		conn := connect(t, url)
		for _, table := range []string{"request_logs", "request_log_blocks"} {
			_, err := conn.Exec(t.Context(), "DELETE FROM keytrail_logs."+table)
			must(t, err)
		}
		return storetest.Replicas(open(t, url), open(t, url))
	})
}

// TestCitusKeepsRowsThatAreDistributed distributes while another replica records.
func TestCitusKeepsRowsThatAreDistributed(t *testing.T) {
	url := newCitusDatabase(t)
	store, other := open(t, url), open(t, url)
	var want []logsvc.Entry
	for i := range 20 {
		batch := rows("acme", time.Now().Add(-time.Duration(20-i)*time.Hour), 10)
		must(t, other.Record(t.Context(), batch))
		want = append(want, batch...)
		if i >= 10 {
			must(t, store.Distribute(t.Context()))
		}
	}
	for _, s := range []*postgres.Store{store, other} {
		if found := all(t, s, "acme"); len(found) != len(want) {
			t.Errorf("%d rows, want %d", len(found), len(want))
		}
	}
	var local, shards int
	conn := connect(t, url)
	must(t, conn.QueryRow(t.Context(), `SELECT pg_relation_size('keytrail_logs.request_logs_`+
		time.Now().UTC().Format("20060102")+`'), (SELECT count(*) FROM pg_dist_shard
		WHERE logicalrelid IN ('keytrail_logs.request_logs'::regclass, 'keytrail_logs.request_log_blocks'::regclass))`,
	).Scan(&local, &shards))
	if local > 0 || shards == 0 {
		t.Errorf("%d bytes are left on the coordinator, and there are %d shards", local, shards)
	}
}

func TestDistributeNeedsTheExtension(t *testing.T) {
	t.Parallel()
	err := open(t, pgtest.Database(t, migrate)).Distribute(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no extension citus") {
		t.Errorf("Distribute on plain Postgres returned %v", err)
	}
}
