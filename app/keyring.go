package app

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/durable"
	"github.com/keytrail/keytrail/internal/fault"
)

// keyring is the keyring of an auth service. It is loaded from the store, or from its snapshot while the store cannot be
// reached, and follows the store.
type keyring struct {
	*authsvc.Keyring
	config   authConfig
	log      *slog.Logger
	tokenKey []byte
	// waiting is set if the store could not be reached at the start.
	waiting bool
	saved   authsvc.Position // of the snapshot
}

// snapshotName is the name of the snapshot in the folder of the trail; replicas that share the folder share it.
const snapshotName = "keyring.snapshot"

const (
	// After a snapshot was written, the next one waits for snapshotPause times as long as that took, so that large keyrings do
	// not keep the disk busy, within these bounds. A key that is revoked meanwhile passes again after a crash without the store.
	snapshotPause    = 100
	minSnapshotPause = 10 * time.Second
	maxSnapshotPause = 5 * time.Minute
	// The last snapshot is given up after maxLastSave, and if the disk does not respond, after stopSaving.
	maxLastSave = 1500 * time.Millisecond
	stopSaving  = 2 * time.Second
	// maxSaveStaleness is how stale a keyring may be that is saved: replicas that share the file may know more than one that
	// cannot reach the store.
	maxSaveStaleness = 5 * keyringInterval
	// Opening a store that cannot be reached is repeated after minReopen, doubled with each failure, up to maxReopen.
	minReopen = time.Second
	maxReopen = 10 * time.Second
)

// openKeyring loads the keyring.
func (s *Server) openKeyring(ctx context.Context, config authConfig) (*keyring, error) {
	k := &keyring{Keyring: authsvc.NewKeyring(config.store, config.now), config: config, log: s.log}
	s.starting("migrating the schema of the keys")
	var err error
	if k.tokenKey, err = k.openStore(ctx); err == nil {
		s.doing.Store(new(func() string { return fmt.Sprintf("loading the keys: %d so far", k.Loading()) }))
		err = k.Refresh(ctx)
	}
	if err == nil {
		return k, nil
	}
	if config.snapshotOf == "" || fault.KindOf(err) != fault.Unavailable {
		return nil, fmt.Errorf("load the keyring: %w", err)
	}
	if snapshotErr := k.restore(); snapshotErr != nil {
		s.log.Warn("no usable snapshot of the keyring to start with", "error", snapshotErr)
		return nil, fmt.Errorf("load the keyring: %w", err)
	}
	k.waiting = true
	k.warnWaiting(err)
	return k, nil
}

// openStore prepares the store and returns the key of report tokens.
func (k *keyring) openStore(ctx context.Context) ([]byte, error) {
	if k.config.migrate != nil {
		if err := k.config.migrate(ctx); err != nil {
			return nil, fmt.Errorf("open the keys: %w", err)
		}
	}
	tokenKey, err := k.config.store.TokenKey(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the key of report tokens: %w", err)
	}
	return tokenKey, nil
}

func (k *keyring) warnWaiting(err error) {
	k.log.Warn("the database cannot be reached; checks use the snapshot of the keyring",
		"staleness", k.Stats().Staleness.Round(time.Second), "error", err)
}

// follow follows the store until ctx ends.
func (k *keyring) follow(ctx context.Context) error {
	if k.waiting {
		if err := k.awaitStore(ctx); err != nil || ctx.Err() != nil {
			return err
		}
	}
	k.Follow(ctx, keyringInterval, k.config.changed, func(err error) {
		k.log.Error("keyring refresh failed; key changes are not in force", "error", err)
	})
	return nil
}

// errOtherDatabase ends the process: with a new start it loads everything from that database.
var errOtherDatabase = errors.New("the key of report tokens in the database is not that of the snapshot of the keyring: " +
	"it is another database")

// awaitStore waits until the store can be reached.
func (k *keyring) awaitStore(ctx context.Context) error {
	for wait := minReopen; ; wait = min(2*wait, maxReopen) {
		tokenKey, err := k.openStore(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			k.warnWaiting(err)
		case err != nil:
			return nil
		case subtle.ConstantTimeCompare(tokenKey, k.tokenKey) == 0:
			return errOtherDatabase
		default:
			k.log.Info("the database can be reached; the keyring follows it")
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (k *keyring) snapshotPath() string { return filepath.Join(k.config.trailDir, snapshotName) }

func (k *keyring) restore() error {
	file, err := os.Open(k.snapshotPath())
	if err != nil {
		return err
	}
	defer file.Close()
	k.tokenKey, err = k.ReadSnapshot(file, k.config.snapshotOf)
	k.saved = k.Stats().Position
	return err
}

// saveSnapshots writes the snapshot when keys have changed, and when ctx ends. Then it waits for stopSaving at most, and leaves
// behind the goroutine that waits for a disk that does not respond: nothing can end a system call, and the snapshot is not
// worth the rows that the trail still has to ship. The file is replaced whole, so the end of the process does not damage it.
func (k *keyring) saveSnapshots(ctx context.Context) {
	ended := make(chan struct{})
	go func() { defer close(ended); k.saveUntil(ctx) }()
	<-ctx.Done()
	select {
	case <-ended:
	case <-time.After(stopSaving):
		k.log.Warn("stopped without the last snapshot of the keyring: the disk does not respond")
	}
}

// saveUntil is saveSnapshots, however long the disk takes.
func (k *keyring) saveUntil(ctx context.Context) {
	ticker := time.NewTicker(keyringInterval)
	defer ticker.Stop()
	var paused time.Time
	for {
		if began := time.Now(); began.After(paused) && k.mayReplace() && k.Stats().Position != k.saved {
			k.save(ctx)
			took := time.Since(began)
			paused = began.Add(min(max(snapshotPause*took, minSnapshotPause), maxSnapshotPause))
		}
		select {
		case <-ctx.Done():
			k.saveLast(context.WithoutCancel(ctx))
			return
		case <-ticker.C:
		}
	}
}

// mayReplace reports whether the keyring is as new as the snapshot that another replica may have written.
func (k *keyring) mayReplace() bool { return k.Stats().Staleness <= maxSaveStaleness }

// saveLast writes the snapshot for its time.
func (k *keyring) saveLast(ctx context.Context) {
	if !k.mayReplace() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, maxLastSave)
	defer cancel()
	k.save(ctx)
}

func (k *keyring) save(ctx context.Context) {
	var position authsvc.Position
	err := durable.Replace(k.snapshotPath(), func(w io.Writer) (err error) {
		position, err = k.WriteSnapshot(ctx, w, k.config.snapshotOf, k.tokenKey)
		return err
	})
	if err == nil {
		k.saved = position
	} else if !errors.Is(ctx.Err(), context.Canceled) { // of the stop
		k.log.Error("the snapshot of the keyring cannot be written; without it this service does not start while the database is away",
			"error", err)
	}
}
