package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/disktest"
	"github.com/keytrail/keytrail/internal/testing/pgserver"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

// faultySystem is a deployment for random faults: two auth services and two log services on one Postgres. Each auth service
// sends its rows to the log service with the same index. The services of index 0 are the command, and the trail is on a disk
// that can be frozen; the clocks of those of index 1 can be moved. Each connection but those of the test's own comparison
// passes a proxy that can cut it.
type faultySystem struct {
	t        *testing.T
	postgres *pgserver.Server
	clusters [2]*cluster
	links    []link
	clocks   struct{ auth, logs clock }
	// disk has the trail of auth service 0; nil where none can be mounted.
	disk    *disktest.Disk
	load    *load
	changes *keyChanger
	// calls are those of all rounds.
	calls history
}

// link is the way from callers to a server.
type link struct {
	*cuttingProxy
	name string
}

func (s *faultySystem) processes() (all []*daemon) {
	for _, c := range s.clusters {
		all = append(all, c.auth, c.logs)
	}
	return all
}

// link adds a proxy to a server, and returns its address.
func (s *faultySystem) link(name, network, upstream string) string {
	s.t.Helper()
	l := link{newCuttingProxy(s.t, network, upstream), name}
	s.links = append(s.links, l)
	return l.addr()
}

// resets returns how many connections were cut.
func (s *faultySystem) resets() (n int) {
	for _, l := range s.links {
		n += l.resets
	}
	return n
}

// newFaultySystem returns a system that is not started, except for Postgres.
func newFaultySystem(t *testing.T, seed uint64) *faultySystem {
	t.Helper()
	s := &faultySystem{t: t, postgres: pgtest.Private(t)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of the log of postgres:\n%s", s.postgres.LogTail())
		}
	})
	s.clocks.auth, s.clocks.logs = newClock(t), newClock(t)
	if os.Geteuid() == 0 || os.Getenv("CI") != "" {
		s.disk = disktest.Freezable(t, 128<<20)
	} else {
		t.Log("no disk is frozen: only root can mount one")
	}
	signer, keyFile := newSigner(t)
	database := func(name string) string {
		return "postgres://postgres@" + s.link(name+" to postgres", "unix", s.postgres.Socket()) + "/postgres?sslmode=disable"
	}
	authDatabase, logsDatabase := database("authsvc"), database("logsvc")
	// A service with a wrong clock must see the rows, and not refuse the token.
	month := 31 * 24 * time.Hour
	grant := access.Grant{Role: access.Ingester, Workspaces: []string{access.AllWorkspaces}, From: time.Now().Add(-2 * month), TTL: 4 * month}
	text, err := signer.Token(grant)
	if err != nil {
		t.Fatal(err)
	}
	ingester := tokenFile(t, text)
	for i := range s.clusters {
		logsAddr := stableAddr(t)
		c := &cluster{t: t, postgres: s.postgres, authAddr: stableAddr(t), trailDir: filepath.Join(t.TempDir(), "trail"), keyFile: keyFile}
		logs, auth := newDaemon, newDaemon
		if i == 1 {
			logs, auth = s.clocks.logs.newDaemon, s.clocks.auth.newDaemon
		} else if s.disk != nil {
			c.trailDir = filepath.Join(s.disk.Dir, "trail")
		}
		c.logs = logs(t, "logsvc", stableAddr(t), "--database-url", logsDatabase, "--logs-addr", logsAddr, "--token-keys", keyFile)
		c.auth = auth(t, "authsvc", stableAddr(t), "--database-url", authDatabase, "--auth-addr", c.authAddr,
			"--logs-addr", s.link(fmt.Sprintf("authsvc %d to logsvc %d", i, i), "tcp", logsAddr), "--trail-dir", c.trailDir, "--trail-full=refuse",
			"--token-keys", keyFile, "--logs-token-file", ingester)
		c.auth.name, c.logs.name = fmt.Sprint("authsvc ", i), fmt.Sprint("logsvc ", i)
		c.connect(signer, logsAddr)
		s.clusters[i] = c
	}
	s.connect(signer, seed)
	return s
}

// connect creates the clients of the load and of the key changes.
func (s *faultySystem) connect(signer *access.Signer, seed uint64) {
	s.t.Helper()
	credentials := credentialsFrom(s.t, signer)
	s.changes = &keyChanger{random: rand.New(rand.NewPCG(seed, 1<<33))}
	var addrs []string
	for i, c := range s.clusters {
		addr := s.link(fmt.Sprint("clients to authsvc ", i), "tcp", c.authAddr)
		conn := dial(s.t, addr, credentials)
		addrs = append(addrs, addr)
		s.changes.replicas = append(s.changes.replicas, replicaClient{c.auth, authv1.NewCheckServiceClient(conn), authv1.NewKeyServiceClient(conn)})
	}
	s.load = &load{
		checks:  authv1.NewCheckServiceClient(dialAll(s.t, addrs, credentials)),
		clients: 6, every: 20 * time.Millisecond, seed: seed, reports: true, same: true, retries: true,
	}
}

// start starts all processes and creates the keys of the load.
func (s *faultySystem) start() {
	s.t.Helper()
	for _, c := range s.clusters {
		c.start()
	}
	s.load.kinds = append(s.clusters[0].kinds(), unprovedKinds()...)
	for _, c := range s.clusters {
		// A service that starts while Postgres is away knows the keys that it knew at its latest orderly stop.
		c.auth.restart()
		c.awaitKinds(s.load.kinds)
	}
}
