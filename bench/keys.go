package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/postgres"
)

const (
	// changes is the number of keys that are disabled.
	changes = 200
	// pollEvery is the poll interval of a keyring.
	pollEvery = time.Second
)

type keysBench struct {
	database `embed:""`
	Keys     int `default:"1000000" help:"Number of keys in the keyring."`
}

// keysFigures is the last line of the output.
type keysFigures struct {
	Keys                     int     `json:"keys"`
	LoadS                    float64 `json:"load_s"`
	BytesPerKey              float64 `json:"bytes_per_key"`
	RevokeP99Ms              float64 `json:"revoke_p99_ms"`
	RevokeP99MsWithoutListen float64 `json:"revoke_p99_ms_without_listen"`
	loadMemory
}

// Run measures how a replica loads keys and follows changes to them.
func (b *keysBench) Run(ctx context.Context) (err error) {
	makeDatabase, stop, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	url, err := makeDatabase("keys")
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	f := keysFigures{Keys: b.Keys}
	if err := f.measure(ctx, url, b.Keys); err != nil {
		return err
	}
	if url, err = makeDatabase("lists"); err != nil {
		return err
	}
	if err := f.loadMemory.measure(ctx, url, b.Keys); err != nil {
		return err
	}
	fmt.Fprintf(table, "keys\t%d\t\nload\t%.2f s\t\nheap\t%.0f B/key\t\nrevocation, p99\t%.1f ms\t\nwithout LISTEN, p99\t%.1f ms\t\n",
		f.Keys, f.LoadS, f.BytesPerKey, f.RevokeP99Ms, f.RevokeP99MsWithoutListen)
	fmt.Fprintf(table, "with distinct allowlists:\t\t\nload\t%.2f s\t\nheap\t%.0f B/key\t\n"+
		"peak of the load ÷ what stays\t%.2f (goal ≤ 1.3)\t\nsnapshot\t%.0f B/key, written in %.2f s, read in %.2f s\t\n",
		f.ListsLoadS, f.ListsBytesPerKey, f.PeakToStays, f.SnapshotBytesPerKey, f.SnapshotWriteS, f.SnapshotReadS)
	table.Flush()
	line, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(line))
	return err
}

func (f *keysFigures) measure(ctx context.Context, url string, keys int) error {
	here, err := postgres.Open(ctx, url)
	if err != nil {
		return err
	}
	defer here.Close()
	if err := fillKeys(ctx, url, keys, 10); err != nil {
		return err
	}
	there, err := postgres.Open(ctx, url)
	if err != nil {
		return err
	}
	defer there.Close()
	ring := authsvc.NewKeyring(there, time.Now)
	before, began := heap(), time.Now()
	if err := ring.Refresh(ctx); err != nil {
		return err
	}
	f.LoadS = round(time.Since(began).Seconds())
	f.BytesPerKey = round(float64(heap()-before) / float64(keys))
	own := authsvc.NewKeyring(here, time.Now)
	if err := own.Refresh(ctx); err != nil {
		return err
	}
	manager := authsvc.NewKeys(here, own, authsvc.DefaultAgentTypes, authsvc.Quota{}, time.Now)
	took, err := revoke(ctx, manager, there, ring, true)
	if err != nil {
		return err
	}
	f.RevokeP99Ms = round(ms(quantile(took, 0.99)))
	took, err = revoke(ctx, manager, there, ring, false)
	f.RevokeP99MsWithoutListen = round(ms(quantile(took, 0.99)))
	return err
}

// heap returns the bytes of live objects.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // the first one leaves what pools keep
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// discardTrail discards rows.
type discardTrail struct{}

// Append implements authsvc.Trail.
func (discardTrail) Append(context.Context, ...authsvc.Entry) error { return nil }

// revoke disables keys on one replica. It returns how long another replica still allowed each key.
func revoke(ctx context.Context, manager *authsvc.Keys, store *postgres.Store, ring *authsvc.Keyring, listen bool) ([]time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	failed := func(err error) { fmt.Fprintln(os.Stderr, "bench:", err) }
	var wake <-chan struct{}
	if listen {
		wake = store.Wake()
		group.Go(func() error { store.Listen(ctx, failed); return nil })
	}
	group.Go(func() error { ring.Follow(ctx, pollEvery, wake, failed); return nil })
	checker, err := authsvc.NewChecker(authsvc.CheckerConfig{
		Keyring: ring, Trail: discardTrail{}, TokenKey: make([]byte, 32), AgentTypes: authsvc.DefaultAgentTypes, Now: time.Now,
	})
	if err != nil {
		return nil, err
	}
	took := make([]time.Duration, changes)
	group.Go(func() error {
		defer cancel()
		for i := range changes {
			var err error
			if took[i], err = revokeOne(ctx, manager, checker); err != nil {
				return err
			}
			if err := pause(ctx, 17*time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	})
	err = group.Wait()
	return took, err
}

func revokeOne(ctx context.Context, manager *authsvc.Keys, checker *authsvc.Checker) (time.Duration, error) {
	key, secret, err := manager.Create(ctx, authsvc.Key{
		WorkspaceID: "revoked", Name: "k", Scopes: []string{"agent"}, AllAgents: true,
	}, uuid.Nil)
	if err != nil {
		return 0, err
	}
	if err := until(ctx, checker, secret, ""); err != nil {
		return 0, err
	}
	_, err = manager.Update(ctx, "revoked", key.ID, "", func(k *authsvc.Key) error {
		k.Disabled = true
		return nil
	})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	err = until(ctx, checker, secret, authsvc.Disabled)
	return time.Since(began), err
}

// until checks a secret until the result has this code.
func until(ctx context.Context, checker *authsvc.Checker, secret authsvc.PlainSecret, code authsvc.ErrorCode) error {
	for {
		decision, err := checker.Check(ctx, secret.Reveal(), authsvc.Call{AgentType: "agent"})
		if err != nil || decision.Entry.ErrorCode == code {
			return err
		}
		if err := pause(ctx, 200*time.Microsecond); err != nil {
			return err
		}
	}
}
