package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/postgres"
	"github.com/keytrail/keytrail/authsvc/sqlite"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// quotaBench describes a workspace; by default one that has used up the default quotas.
type quotaBench struct {
	database   `embed:""`
	Keys       int `default:"9800" help:"Number of keys of the workspace."`
	Secrets    int `default:"10" help:"Number of secrets of each key."`
	Agents     int `default:"48" help:"Number of agents in each allowlist."`
	Characters int `default:"36" help:"Length of the id of an agent."`
	Creates    int `default:"300" help:"Number of keys to create with a quota, and without."`
}

// quotaFigures are those of one store. The last line of the output has both.
type quotaFigures struct {
	Store              string  `json:"store"`
	WorkspaceMB        float64 `json:"workspace_mb"`
	KeyringMB          float64 `json:"keyring_mb"`
	CreateMs           float64 `json:"create_ms"`
	CreateMsWithQuota  float64 `json:"create_ms_with_quota"`
	ListMs             float64 `json:"list_ms"`
	ListAllocatedMB    float64 `json:"list_allocated_mb"`
	ListAllocatedMBAll float64 `json:"list_allocated_mb_without_limit"`
}

// Run measures what a workspace costs that has used up its quota: a new key, a list of keys, and the keyring.
func (b *quotaBench) Run(ctx context.Context) (err error) {
	makeDatabase, stop, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	url, err := makeDatabase("quota")
	if err != nil {
		return err
	}
	shared, err := postgres.Open(ctx, url)
	if err != nil {
		return err
	}
	defer shared.Close()
	dir, err := os.MkdirTemp("", "keytrail-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	embedded, err := sqlite.Open(ctx, filepath.Join(dir, "auth.db"))
	if err != nil {
		return err
	}
	defer embedded.Close()
	var both [2]quotaFigures
	if both[0], err = b.measure(ctx, "postgres", shared); err != nil {
		return err
	}
	if both[1], err = b.measure(ctx, "sqlite", embedded); err != nil {
		return err
	}
	return printQuota(os.Stdout, both[:])
}

func printQuota(to io.Writer, figures []quotaFigures) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "store\tworkspace\tin the keyring\tcreate, p50\twith a quota\tlist\tallocated\twithout a limit\t")
	for _, f := range figures {
		fmt.Fprintf(table, "%s\t%.1f MB\t%.1f MB\t%.2f ms\t%.2f ms\t%.1f ms\t%.1f MB\t%.1f MB\t\n", f.Store, f.WorkspaceMB, f.KeyringMB,
			f.CreateMs, f.CreateMsWithQuota, f.ListMs, f.ListAllocatedMB, f.ListAllocatedMBAll)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	line, err := json.Marshal(figures)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(to, string(line))
	return err
}

func (b *quotaBench) measure(ctx context.Context, name string, store authsvc.Store) (quotaFigures, error) {
	f := quotaFigures{Store: name}
	var size int64
	for n := range b.Keys {
		key := b.newKey(n)
		size += key.Size()
		if err := store.Create(ctx, key, authsvc.Request{}); err != nil {
			return f, err
		}
	}
	f.WorkspaceMB = round(float64(size) / 1e6)
	ring, before := authsvc.NewKeyring(store, time.Now), heap()
	if err := ring.Refresh(ctx); err != nil {
		return f, err
	}
	f.KeyringMB = round(float64(heap()-before) / 1e6)
	runtime.KeepAlive(ring)
	if err := f.create(ctx, b, store); err != nil {
		return f, err
	}
	return f, f.list(ctx, store)
}

// create creates keys with a quota and without in turn, and deletes them.
func (f *quotaFigures) create(ctx context.Context, b *quotaBench, store authsvc.Store) error {
	var took [2][]time.Duration
	for n := range 2 * b.Creates {
		key, request := b.newKey(b.Keys+n), authsvc.Request{}
		if n%2 == 1 {
			request.Quota = authsvc.Quota{Keys: 2 * b.Keys, Bytes: 1 << 40}
		}
		began := time.Now()
		if err := store.Create(ctx, key, request); err != nil {
			return err
		}
		took[n%2] = append(took[n%2], time.Since(began))
		if err := store.Delete(ctx, key.WorkspaceID, key.ID, func(*authsvc.Key) error { return nil }); err != nil {
			return err
		}
	}
	f.CreateMs, f.CreateMsWithQuota = round(ms(quantile(took[0], 0.5))), round(ms(quantile(took[1], 0.5)))
	return nil
}

// list lists a page of 1,000 keys that ends at 1 MiB, and one that does not.
func (f *quotaFigures) list(ctx context.Context, store authsvc.Store) error {
	allocated := func(query authsvc.KeyQuery) (megabytes float64, err error) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err = store.List(ctx, query)
		runtime.ReadMemStats(&after)
		return round(float64(after.TotalAlloc-before.TotalAlloc) / 1e6), err
	}
	query := authsvc.KeyQuery{WorkspaceID: "full", Limit: 1000, Bytes: 1 << 20}
	var err error
	began := time.Now()
	if f.ListAllocatedMB, err = allocated(query); err != nil {
		return err
	}
	f.ListMs = round(ms(time.Since(began)))
	query.Bytes = 0
	f.ListAllocatedMBAll, err = allocated(query)
	return err
}

// newKey returns the nth key, with agents of its own.
func (b *quotaBench) newKey(n int) authsvc.Key {
	now := time.Now()
	key := authsvc.Key{
		ID: uuid7.New(now), WorkspaceID: "full", Name: fmt.Sprint("key ", n), Scopes: []string{"agent"}, CreateTime: now, UpdateTime: now,
	}
	for i := range b.Agents {
		key.AgentIDs = append(key.AgentIDs, fmt.Sprintf("%0*d", b.Characters, n*b.Agents+i))
	}
	for range b.Secrets {
		secret := authsvc.NewSecret()
		key.Secrets = append(key.Secrets, authsvc.Secret{Digest: secret.Digest(), Last4: secret.Last4(), CreateTime: now})
	}
	return key
}
