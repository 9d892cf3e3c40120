package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/sqlite"
)

const (
	callers     = 256
	durableTime = 5 * time.Second
	syncTime    = 2 * time.Second
)

// durable measures the rate of checks that are synced before their response, and the sync rate of the disk.
func (f *trailFigures) durable(ctx context.Context, dir string, row func(string, string, ...any)) error {
	syncs, err := syncRate(dir)
	if err != nil {
		return fmt.Errorf("measure the disk: %w", err)
	}
	f.DiskSyncsPerS = round(syncs)
	row("disk syncs", "%.0f /s", syncs)
	t, err := openTrail(dir, 0, discardLogService{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	checks, err := checkRate(ctx, dir, t)
	f.DurableChecksPerS = round(checks)
	row("durable checks, 256 callers", "%.0f /s", checks)
	return err
}

// syncRate returns how many written blocks per second the disk can sync.
func syncRate(dir string) (rate float64, err error) {
	f, err := os.Create(filepath.Join(dir, "synced"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	began, n := time.Now(), 0
	for ; time.Since(began) < syncTime; n++ {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

func checkRate(ctx context.Context, dir string, t authsvc.Trail) (float64, error) {
	checker, secret, closeStore, err := newChecker(ctx, dir, t)
	if err != nil {
		return 0, err
	}
	group, running := errgroup.WithContext(ctx)
	var checks atomic.Int64
	began := time.Now()
	for range callers {
		group.Go(func() error {
			for time.Since(began) < durableTime {
				if _, err := checker.Check(running, secret, call); err != nil {
					return err
				}
				checks.Add(1)
			}
			return nil
		})
	}
	err = group.Wait()
	return float64(checks.Load()) / time.Since(began).Seconds(), errors.Join(err, closeStore())
}

// call is the checked call.
var call = authsvc.Call{AgentType: "agent", AgentID: "agent-4711", Method: "POST", Endpoint: "/v1/agents/agent-4711/messages"}

// newChecker returns a checker with one key, and the secret of the key.
func newChecker(ctx context.Context, dir string, t authsvc.Trail) (_ *authsvc.Checker, secret string, stop func() error, err error) {
	store, err := sqlite.Open(ctx, filepath.Join(dir, fmt.Sprintf("auth-%d.db", time.Now().UnixNano())))
	if err != nil {
		return nil, "", nil, err
	}
	ring := authsvc.NewKeyring(store, time.Now)
	_, plain, err := authsvc.NewKeys(store, ring, authsvc.DefaultAgentTypes, authsvc.Quota{}, time.Now).Create(ctx, authsvc.Key{
		WorkspaceID: "acme", Name: "production backend", Scopes: []string{"agent"}, AllAgents: true,
	}, uuid.Nil)
	if err == nil {
		err = ring.Refresh(ctx)
	}
	if err != nil {
		return nil, "", nil, errors.Join(err, store.Close())
	}
	checker, err := authsvc.NewChecker(authsvc.CheckerConfig{
		Keyring: ring, Trail: t, TokenKey: make([]byte, 32), AgentTypes: authsvc.DefaultAgentTypes, Now: time.Now,
	})
	if err != nil {
		return nil, "", nil, errors.Join(err, store.Close())
	}
	return checker, plain.Reveal(), store.Close, nil
}
