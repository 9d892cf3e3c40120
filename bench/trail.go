package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"
)

type trailBench struct {
	database `embed:""`
	Dir      string        `type:"existingdir" help:"Folder on the disk to measure; the default is the folder for temporary files."`
	Outage   time.Duration `default:"60s" help:"Duration of the outage of the log service."`
}

// trailFigures are the last line of the output.
type trailFigures struct {
	// Two concurrent writers, without waiting for the disk.
	AppendUs        float64 `json:"append_us"`
	AppendShippedUs float64 `json:"append_while_shipping_us"`
	WriteUs         float64 `json:"write_us"`
	AppendRatio     float64 `json:"append_ratio"`
	// 256 callers, each check synced before its response.
	DurableChecksPerS float64 `json:"durable_checks_per_s"`
	DiskSyncsPerS     float64 `json:"disk_syncs_per_s"`
	// Checks over gRPC at a steady rate.
	CheckP99Ms       float64 `json:"check_p99_ms"`
	CheckP99MsOutage float64 `json:"check_p99_ms_outage"`
	OutageRatio      float64 `json:"outage_ratio"`
	BacklogRows      int     `json:"backlog_rows"`
	BacklogRowsPerS  float64 `json:"backlog_rows_per_s"`
}

// Run measures the trail.
func (b *trailBench) Run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp(b.Dir, "keytrail-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(table, "%s\t%s\t\n", name, fmt.Sprintf(format, args...))
		table.Flush()
	}
	f := &trailFigures{}
	if err := f.appends(ctx, dir, row); err != nil {
		return err
	}
	if err := f.durable(ctx, dir, row); err != nil {
		return err
	}
	if err := f.outage(ctx, b, dir, row); err != nil {
		return err
	}
	line, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(line))
	return err
}
