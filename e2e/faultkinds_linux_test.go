package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/internal/testing/pgserver"
)

// randomFault is one fault of the system at one place.
type randomFault struct {
	name string
	// place is what is at fault. No place has two faults at once.
	place string
	// begin makes the fault, and heal ends it. What they choose at random, they draw from the same source.
	begin beginFault
}

type (
	beginFault func(ctx context.Context, random *rand.Rand) (heal healFault, err error)
	healFault  func() error
)

// faultKind is a kind of fault with all its places.
type faultKind struct {
	name   string
	faults []randomFault
	// least and most limit how long a fault lasts.
	least, most time.Duration
}

// The places that are no service.
const (
	placePostgres    = "postgres"
	placeConnections = "connections"
)

// faultKinds returns what can happen to the system. The order is fixed, so that a seed determines what happens.
func (s *faultySystem) faultKinds() []faultKind {
	const least, most = 100 * time.Millisecond, 3 * time.Second
	kinds := []faultKind{
		{"kill", s.kills(), least, most},
		{"pause", append(s.pauses(), s.pausesOfPostgres()...), least, most},
		{"cut", s.cuts(), least, most},
		{"restart", s.restartsOfPostgres(), least, most},
		{"clock", s.moves(), time.Second, most}, // a service starts, and rows arrive
	}
	if s.disk != nil {
		kinds = append(kinds, faultKind{"freeze", s.freezes(), time.Second, 4 * time.Second})
	}
	return slices.DeleteFunc(kinds, func(k faultKind) bool {
		return *onlyFaults != "" && !slices.Contains(strings.Split(*onlyFaults, ","), k.name)
	})
}

// fixed returns a fault that draws nothing at random.
func fixed(begin func() error, heal healFault) beginFault {
	return func(context.Context, *rand.Rand) (healFault, error) { return heal, begin() }
}

func (s *faultySystem) kills() (faults []randomFault) {
	for _, d := range s.processes() {
		faults = append(faults, randomFault{"kill " + d.name, d.name, fixed(d.down, d.up)})
	}
	return faults
}

func (s *faultySystem) pauses() (faults []randomFault) {
	for _, d := range s.processes() {
		faults = append(faults, randomFault{"pause " + d.name, d.name, fixed(
			func() error { return d.signal(syscall.SIGSTOP) }, func() error { return d.signal(syscall.SIGCONT) },
		)})
	}
	return faults
}

// pausesOfPostgres stop its first process, so that no session begins, or the process of one session.
func (s *faultySystem) pausesOfPostgres() []randomFault {
	return []randomFault{
		{"pause postgres", placePostgres, fixed(
			func() error { return s.postgres.Signal(syscall.SIGSTOP) }, func() error { return s.postgres.Signal(syscall.SIGCONT) },
		)},
		{"pause a session of postgres", placePostgres, s.pauseSession},
	}
}

func (s *faultySystem) pauseSession(ctx context.Context, random *rand.Rand) (healFault, error) {
	conn, err := pgx.Connect(ctx, s.postgres.URL("postgres"))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT pid FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY pid`)
	if err != nil {
		return nil, err
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return nil, err
	}
	if len(pids) == 0 {
		return nil, errors.New("no service has a session")
	}
	pid := pids[random.IntN(len(pids))]
	return func() error { return signalSession(pid, syscall.SIGCONT) }, signalSession(pid, syscall.SIGSTOP)
}

// signalSession signals the process of a session, which may have ended.
func signalSession(pid int, signal syscall.Signal) error {
	if err := syscall.Kill(pid, signal); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("send %v to a session: %w", signal, err)
	}
	return nil
}

// restartsOfPostgres use its three ways to stop. A smart one refuses new sessions and waits until the others have ended. The
// services keep theirs, so a fast one must follow.
func (s *faultySystem) restartsOfPostgres() []randomFault {
	up := func() error { return s.postgres.Up(s.t.Context()) }
	return []randomFault{
		{"restart postgres (smart)", placePostgres, fixed(
			func() error { return s.postgres.Signal(syscall.SIGTERM) },
			func() error { return s.postgres.Restart(s.t.Context(), pgserver.Fast) },
		)},
		{"restart postgres (fast)", placePostgres, fixed(func() error { return s.postgres.Down(pgserver.Fast) }, up)},
		{"restart postgres (immediate)", placePostgres, fixed(func() error { return s.postgres.Down(pgserver.Immediate) }, up)},
	}
}

func (s *faultySystem) cuts() (faults []randomFault) {
	for _, l := range s.links {
		faults = append(faults, randomFault{"cut " + l.name, placeConnections, func(_ context.Context, random *rand.Rand) (healFault, error) {
			l.cut(random)
			return func() error {
				l.pass()
				return nil
			}, nil
		}})
	}
	return faults
}

// moves move one clock. That of an auth service moves little: it is in the ids of the calls, and a row of another day may be
// refused.
func (s *faultySystem) moves() (faults []randomFault) {
	const day = 24 * time.Hour
	for _, offset := range []time.Duration{5 * time.Minute, -5 * time.Minute, 25 * time.Hour, -25 * time.Hour, 31 * day, -31 * day} {
		faults = append(faults, s.move(s.clusters[1].logs, s.clocks.logs, offset)...)
	}
	for _, offset := range []time.Duration{30 * time.Second, -30 * time.Second} {
		faults = append(faults, s.move(s.clusters[1].auth, s.clocks.auth, offset)...)
	}
	return faults
}

// move moves the clock of a running service, or before it starts.
func (s *faultySystem) move(d *daemon, c clock, offset time.Duration) []randomFault {
	begin := func() error { return c.move(offset) }
	heal := func() error { return c.move(0) }
	name := fmt.Sprintf("clock of %s by %v", d.name, offset)
	return []randomFault{
		{name, d.name, fixed(begin, heal)},
		{name + " at its start", d.name, fixed(func() error { return errors.Join(d.down(), begin(), d.up()) }, heal)},
	}
}

// freezes stop all writes to the disk of a trail.
func (s *faultySystem) freezes() []randomFault {
	d := s.clusters[0].auth
	return []randomFault{
		{"freeze the disk of " + d.name, d.name, s.freeze},
		{"freeze the disk of " + d.name + " until it is killed", d.name, fixed(s.disk.Freeze, func() error {
			return errors.Join(d.signal(syscall.SIGKILL), s.disk.Thaw(), d.down(), d.up())
		})},
	}
}

// freeze expects that a check ends while the disk is frozen.
func (s *faultySystem) freeze(ctx context.Context, _ *rand.Rand) (healFault, error) {
	if err := s.disk.Freeze(); err != nil {
		return nil, err
	}
	probe := &call{number: int(s.load.sent.Add(1)), kind: s.load.kinds[0]}
	s.calls = append(s.calls, probe)
	ended := make(chan error, 1)
	go func() { ended <- (&load{checks: s.clusters[0].checks}).check(ctx, probe) }()
	return func() error {
		select {
		case err := <-ended:
			return errors.Join(err, s.disk.Thaw())
		case <-time.After(readyTimeout):
		}
		return errors.Join(errors.New("a check waits for a frozen disk"), s.disk.Thaw(), <-ended)
	}, nil
}
