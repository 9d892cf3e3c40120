package e2e

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/testing/pgserver"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/logsvc"
)

const (
	// recordsPerRound make a pass of sealing last some tenths of a second, and longer once there are many rows.
	recordsPerRound = 8000
	// Few records in a batch, and a pause after each, spread the batches over the time in which processes are killed.
	recordsPerBatch = 250
	batchPause      = 100 * time.Millisecond
	batchSenders    = 4
	// maxKillDelay is the longest time between the start of a log service and the next kill.
	maxKillDelay = 1500 * time.Millisecond
	// roundsPerCheck is how many rounds lie between two comparisons of everything.
	roundsPerCheck = 10
)

// sealers are two log services on one Postgres. Each seals all days that have ended when it starts, and the next ones a
// day later.
type sealers struct {
	t        *testing.T
	postgres *pgserver.Server
	services [2]*daemon
	logs     logsv1.LogServiceClient
	model    *rowModel
	killer   killer
	// resent counts how often a request was sent again.
	resent atomic.Int64
	// rounds counts rounds, interrupted those whose kill came between the first and the last block of a pass.
	rounds, interrupted int
}

// newSealers returns log services that are down. The database has recent rows.
func newSealers(t *testing.T, seed uint64) *sealers {
	t.Helper()
	today := time.Now().Add(-logsvc.DefaultGrace).UTC().Truncate(24 * time.Hour)
	s := &sealers{
		t: t, postgres: pgtest.Private(t), model: newRowModel(rand.New(rand.NewPCG(seed, 1)), today),
		killer: killer{random: rand.New(rand.NewPCG(seed, 2)), killed: map[string]int{}},
	}
	signer, keyFile := newSigner(t)
	var addrs []string
	for i := range s.services {
		addrs = append(addrs, stableAddr(t))
		s.services[i] = newDaemon(t, "logsvc", stableAddr(t),
			"--database-url", s.postgres.URL("postgres"), "--logs-addr", addrs[i], "--token-keys", keyFile)
	}
	s.logs = logsv1.NewLogServiceClient(dialAll(t, addrs, credentialsFrom(t, signer), grpc.WithUnaryInterceptor(s.retry)))
	s.fill()
	return s
}

// fill stores rows that are not sealed, and kills the services.
func (s *sealers) fill() {
	s.t.Helper()
	s.restart()
	s.mustEnd(s.send())
	s.down()
}

// down kills the services.
func (s *sealers) down() {
	s.t.Helper()
	for _, d := range s.services {
		if err := d.down(); err != nil {
			s.t.Fatal(err)
		}
	}
}

// restart kills the services and starts them again, so that they seal.
func (s *sealers) restart() {
	s.t.Helper()
	s.down()
	for _, d := range s.services {
		if err := d.up(); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, d := range s.services {
		d.awaitReady()
	}
}

// send sends the batches of a round. The group ends when all of them are stored.
func (s *sealers) send() *errgroup.Group {
	group, ctx := errgroup.WithContext(s.t.Context())
	for _, batches := range s.model.batches(recordsPerRound, recordsPerBatch, batchSenders) {
		group.Go(func() error {
			for _, batch := range batches {
				if err := s.record(ctx, batch); err != nil {
					return err
				}
				pause(ctx, batchPause)
			}
			return nil
		})
	}
	return group
}

func (s *sealers) record(ctx context.Context, batch *logsv1.RecordRequestLogsRequest) error {
	ctx, cancel := context.WithTimeout(ctx, 2*waitTimeout)
	defer cancel()
	answer, err := s.logs.RecordRequestLogs(ctx, batch)
	if err == nil && len(answer.GetRefused()) > 0 {
		err = fmt.Errorf("refused %v", answer.GetRefused())
	}
	return err
}

// retry is a client interceptor that sends a request again while the services or Postgres are down.
func (s *sealers) retry(ctx context.Context, method string, request, answer any, conn *grpc.ClientConn,
	send grpc.UnaryInvoker, options ...grpc.CallOption) error {
	for {
		err := send(ctx, method, request, answer, conn, append(options, grpc.WaitForReady(true))...)
		if status.Code(err) != codes.Unavailable {
			return err
		}
		s.resent.Add(1)
		pause(ctx, 10*time.Millisecond)
	}
}

func (s *sealers) mustEnd(group *errgroup.Group) {
	s.t.Helper()
	if err := group.Wait(); err != nil {
		s.t.Fatal(err)
	}
}

// round starts one or two services, which seal what earlier rounds have left, and kills and restarts some processes while
// they do and while batches arrive. It returns when these are stored. Services may still be sealing then.
func (s *sealers) round() {
	s.t.Helper()
	s.rounds++
	if len(s.unsealed()) == 0 {
		s.fill()
	}
	p := s.newPass()
	s.killer.targets = []target{{"postgres",
		func() error { return s.postgres.Down(pgserver.Immediate) },
		func() error { return s.postgres.Up(s.t.Context()) },
	}}
	for _, i := range s.killer.random.Perm(len(s.services))[:1+s.killer.random.IntN(len(s.services))] {
		if err := s.services[i].up(); err != nil {
			s.t.Fatal(err)
		}
		s.killer.targets = append(s.killer.targets, target{s.services[i].name, s.services[i].down, s.services[i].up})
	}
	sending := s.send()
	s.awaitKillTime(p)
	begun := p.sealedDays() > 0
	if err := s.killer.killAndRestart(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	if begun && p.sealedDays() < len(p.unsealed) {
		s.interrupted++
	}
	s.mustEnd(sending)
}

// awaitKillTime waits for the next kill. Half of them may come at any time, the others come soon after the first block.
func (s *sealers) awaitKillTime(p *pass) {
	s.t.Helper()
	anyTime := s.killer.random.IntN(2) == 0
	delay := time.Duration(s.killer.random.Int64N(int64(maxKillDelay)))
	if !anyTime {
		await(s.t, waitTimeout, func() bool { return p.sealedDays() > 0 }, func() any { return p.unsealed })
		delay /= 30
	}
	pause(s.t.Context(), delay)
}

// pass is what there is to seal while no service runs.
type pass struct {
	*sealers
	// unsealed are the workspaces and days that have recent rows, with their number, and blocks are the blocks of all.
	unsealed, blocks map[string]string
}

func (s *sealers) newPass() *pass {
	s.t.Helper()
	return &pass{s, s.unsealed(), s.blocks()}
}

// sealedDays returns how many of the unsealed days have had blocks stored since.
func (p *pass) sealedDays() (n int) {
	p.t.Helper()
	now := p.sealers.blocks()
	for day := range p.unsealed {
		if now[day] != p.blocks[day] {
			n++
		}
	}
	return n
}

// unsealed returns how many recent rows each workspace and day has.
func (s *sealers) unsealed() map[string]string {
	s.t.Helper()
	return s.query(`SELECT workspace_id || right(tableoid::regclass::text, 9) AS day, count(*)::text
		FROM keytrail_logs.request_logs GROUP BY day`)
}

// blocks returns the ids of the blocks of each workspace and day.
func (s *sealers) blocks() map[string]string {
	s.t.Helper()
	return s.query(`SELECT workspace_id || right(tableoid::regclass::text, 9) AS day,
		string_agg(block_id::text, ' ' ORDER BY block_id) FROM keytrail_logs.request_log_blocks GROUP BY day`)
}

// query returns the rows of a query as keys and values. It has a connection of its own, because Postgres is killed.
func (s *sealers) query(sql string) map[string]string {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.postgres.URL("postgres"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(s.t.Context())
	values := map[string]string{}
	var key, value string
	rows, _ := conn.Query(s.t.Context(), sql) // an error is returned by ForEachRow too
	_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() error {
		values[key] = value
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return values
}

// expectRows lists all rows, and expects those of the model.
func (s *sealers) expectRows() {
	s.t.Helper()
	var rows []*logsv1.RequestLog
	for _, workspace := range modelWorkspaces[1:] {
		rows = append(rows, walk(s.t, s.logs, &logsv1.ListRequestLogsRequest{WorkspaceId: workspace})...)
	}
	report, found := s.t.Logf, s.model.compare(rows)
	if !found.none() {
		report = s.t.Errorf
	}
	report("after %d kills: %v", sum(s.killer.killed), found)
}

// verify expects that no block is damaged. It returns how many rows the blocks have.
func (s *sealers) verify() (rows int) {
	s.t.Helper()
	command := exec.CommandContext(s.t.Context(), binary(s.t), "logs", "verify", "--database-url", s.postgres.URL("postgres"))
	out, err := command.CombinedOutput()
	if err != nil {
		s.t.Errorf("logs verify: %v\n%s", err, out)
	}
	var blocks, damaged int
	_, err = fmt.Sscanf(string(out), "%d blocks with %d rows, %d of them damaged", &blocks, &rows, &damaged)
	if err != nil || damaged > 0 {
		s.t.Errorf("logs verify printed %q", out)
	}
	return rows
}

// expectSealed lets the services seal everything, and expects the rows of the model in blocks.
func (s *sealers) expectSealed() {
	s.t.Helper()
	s.restart()
	await(s.t, 2*waitTimeout, func() bool { return len(s.unsealed()) == 0 }, func() any { return s.unsealed() })
	s.expectRows()
	if rows := s.verify(); rows != len(s.model.want) {
		s.t.Errorf("the blocks have %d rows, want %d", rows, len(s.model.want))
	}
	s.down()
}

// expectHalfSealed expects the rows of the model while some are recent and some are in blocks. It reports false if there
// are not both.
func (s *sealers) expectHalfSealed() bool {
	s.t.Helper()
	if len(s.unsealed()) == 0 || len(s.blocks()) == 0 {
		return false
	}
	s.expectRows()
	s.verify()
	return true
}

func TestNothingIsLostOrDuplicatedWhenSealersAreKilled(t *testing.T) {
	t.Parallel()
	seed := newSeed(t)
	s, began := newSealers(t, seed), time.Now()
	wanted, half := cmp.Or(*kills, 6), false
	for killed := 0; killed < wanted || killed < 10*wanted && (!half || s.interrupted == 0); killed = sum(s.killer.killed) {
		s.round()
		check := s.rounds%roundsPerCheck == 0
		if check || !half && sum(s.killer.killed) >= wanted/2 {
			half = s.expectHalfSealed() || half
		}
		s.down()
		if check {
			s.expectSealed()
		}
	}
	s.expectSealed()
	if !half || s.interrupted == 0 {
		t.Errorf("-seed %d: half sealed rows compared: %v; rounds with a kill in the middle of sealing: %d", seed, half, s.interrupted)
	}
	t.Logf("killed %v in %d rounds, in %d of them in the middle of sealing, in %v; requests were sent again %d times; "+
		"%d records of %d rows", s.killer.killed, s.rounds, s.interrupted, time.Since(began).Round(time.Second/10),
		s.resent.Load(), s.model.records(), len(s.model.want))
}
