package trail

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/keytrail/keytrail/trail/wal"
)

const (
	// maxReplicas is how many trails a shared directory can hold.
	maxReplicas = 100
	// adoptInterval is how often a replica looks for trails that other replicas have abandoned.
	adoptInterval = 10 * time.Second
	// adoptTimeout is how long it keeps an abandoned trail that does not become empty.
	adoptTimeout = 2 * time.Minute
)

// OpenShared opens one of the trails in a directory that several processes of one machine share: config.Dir/0, 1 and so
// on. It takes one that no process has open, and prefers one with a backlog, so that a replica ships what an earlier
// replica left.
func OpenShared(config Config) (*Trail, error) {
	backlogged, empty, err := listTrails(config.Dir)
	if err != nil {
		return nil, err
	}
	for _, dir := range append(backlogged, empty...) {
		own := config
		own.Dir = dir
		t, err := Open(own)
		if errors.Is(err, wal.ErrInUse) {
			continue
		}
		if err == nil {
			t.shared = config
		}
		return t, err
	}
	return nil, fmt.Errorf("all of the %d trails in the folder are in use", maxReplicas)
}

// adoptAbandoned ships, until ctx ends, what replicas that have ended left on their trails in the shared directory.
func (t *Trail) adoptAbandoned(ctx context.Context) {
	for t.shared.Dir != "" && ctx.Err() == nil {
		sleep(ctx, adoptInterval)
		backlogged, _, err := listTrails(t.shared.Dir)
		if err != nil {
			t.retrying(err)
			continue
		}
		for _, dir := range backlogged {
			if ctx.Err() != nil {
				return
			}
			if err := t.adopt(ctx, dir); err != nil && !errors.Is(err, wal.ErrInUse) {
				t.retrying(err)
			}
		}
	}
}

// adopt opens a trail that no process has open, ships its rows and closes it, within adoptTimeout, or drainTimeout after
// ctx has ended. Rows that remain are shipped the next time.
func (t *Trail) adopt(ctx context.Context, dir string) error {
	config := t.shared
	config.Dir = dir
	abandoned, err := open(config, t.metrics)
	if err != nil {
		return err
	}
	t.log.Info("shipping request logs of a trail that another replica left", "trail", dir)
	graceful, cancel := withGracePeriod(ctx, drainTimeout)
	defer cancel()
	sending, cancelSending := context.WithTimeout(graceful, adoptTimeout)
	defer cancelSending()
	// Nothing is appended to it, so there is nothing to wait for.
	draining := make(chan struct{})
	close(draining)
	return errors.Join(abandoned.newShipper(draining).drain(sending), abandoned.Close())
}

// listTrails returns the directories of the trails in a shared directory, separated by whether they have a backlog.
func listTrails(dir string) (backlogged, empty []string, err error) {
	for i := range maxReplicas {
		trail := filepath.Join(dir, strconv.Itoa(i))
		found, err := wal.HasBacklog(trail)
		if err != nil {
			return nil, nil, fmt.Errorf("look for trails: %w", err)
		}
		if found {
			backlogged = append(backlogged, trail)
		} else {
			empty = append(empty, trail)
		}
	}
	return backlogged, empty, nil
}
