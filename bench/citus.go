package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"
)

// citus compares the log service on Citus with the one on Postgres. Both take the same rows.
func (r *logsRun) citus(ctx context.Context, g *generator, url string) (err error) {
	single, err := r.startEmpty(ctx, "single")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, single.stop()) }()
	if err := dropSchema(ctx, url); err != nil {
		return err
	}
	distributed, err := startLogs(ctx, url, newClock(g.start))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, distributed.stop()) }()
	if err := distributed.store.Distribute(ctx); err != nil {
		return err
	}
	onSingle, err := single.fill(ctx, g, nil)
	if err != nil {
		return err
	}
	onCitus, err := distributed.fill(ctx, g, nil)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("Citus, %d rows: ingest ÷ Postgres", g.rows)
	r.add("citus_ingest_ratio", name, "%.2f", onSingle.recording.Seconds()/onCitus.recording.Seconds(), "≥ 0.5")
	for _, s := range firstPages(g, rand.New(rand.NewPCG(3, 4))) {
		ratio, err := compare(ctx, distributed, single, s.next)
		if err != nil {
			return err
		}
		r.add("citus_"+s.key+"_ratio", "Citus: "+s.name+" ÷ Postgres", "%.2f", ratio, "≤ 3")
	}
	return nil
}

func dropSchema(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `DROP SCHEMA IF EXISTS keytrail_logs CASCADE`)
	return err
}
