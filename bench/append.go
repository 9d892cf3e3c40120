package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/keytrail/keytrail/authsvc"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/trail"
)

const (
	writers = 2
	// appendsEach is the number of rows of each writer.
	appendsEach = 300_000
	// frameBytes is the approximate size of a row on the trail.
	frameBytes = 200
	trailLimit = 4 << 30
)

// discardLogService is a log service that discards rows, so that only the trail is measured.
type discardLogService struct{ logsv1.LogServiceClient }

// RecordRequestLogs implements logsv1.LogServiceClient.
func (discardLogService) RecordRequestLogs(context.Context, *logsv1.RecordRequestLogsRequest, ...grpc.CallOption) (*logsv1.RecordRequestLogsResponse, error) {
	return &logsv1.RecordRequestLogsResponse{}, nil
}

// openTrail opens an empty trail.
func openTrail(dir string, fsync time.Duration, client logsv1.LogServiceClient) (*trail.Trail, error) {
	dir, err := os.MkdirTemp(dir, "trail-")
	if err != nil {
		return nil, err
	}
	return trail.Open(trail.Config{
		Dir: dir, MaxBytes: trailLimit, Fsync: fsync, Client: client,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Metrics: prometheus.NewRegistry(),
	})
}

// appends measures the cost of an append with two writers, and of plain writes of as many bytes.
func (f *trailFigures) appends(ctx context.Context, dir string, row func(string, string, ...any)) error {
	for _, side := range []struct {
		name string
		each func() (cost float64, err error)
		cost *float64
	}{
		{"plain write", func() (float64, error) { return writeCost(ctx, dir) }, &f.WriteUs},
		{"append", func() (float64, error) { return appendCost(ctx, dir, false) }, &f.AppendUs},
		{"append while shipping", func() (float64, error) { return appendCost(ctx, dir, true) }, &f.AppendShippedUs},
	} {
		cost, err := side.each()
		if err != nil {
			return fmt.Errorf("%s: %w", side.name, err)
		}
		*side.cost = round(cost)
		row(side.name, "%.2f µs", cost)
	}
	f.AppendRatio = round(f.AppendUs / f.WriteUs)
	return nil
}

// concurrently runs do in all writers and returns the elapsed µs per run.
func concurrently(ctx context.Context, do func() error) (float64, error) {
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range writers {
		group.Go(func() error {
			for range appendsEach {
				if err := do(); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	err := group.Wait()
	return float64(time.Since(began).Nanoseconds()) / 1000 / (writers * appendsEach), err
}

func appendCost(ctx context.Context, dir string, ship bool) (cost float64, err error) {
	t, err := openTrail(dir, 100*time.Millisecond, discardLogService{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	group, running := errgroup.WithContext(ctx)
	running, stop := context.WithCancel(running)
	if ship {
		group.Go(func() error { return t.Run(running) })
	}
	row := typicalRow()
	cost, err = concurrently(ctx, func() error { return t.Append(ctx, row) })
	stop()
	return cost, errors.Join(err, group.Wait())
}

// typicalRow returns the row of an allowed call.
func typicalRow() authsvc.Entry {
	now := time.Now()
	return authsvc.Entry{
		ID: uuid7.New(now), WorkspaceID: "acme", KeyID: uuid7.First(now), KeyName: "production backend", KeyLast4: "a1B2",
		AgentType: "data_agent", AgentID: "agent-4711", Method: "POST", Endpoint: "/v1/agents/agent-4711/messages", CallCount: 1,
	}
}

// writeCost measures the baseline: the same bytes, written to one file under a mutex.
func writeCost(ctx context.Context, dir string) (cost float64, err error) {
	f, err := os.Create(filepath.Join(dir, "baseline"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	var mu sync.Mutex
	frame := make([]byte, frameBytes)
	return concurrently(ctx, func() error {
		mu.Lock()
		defer mu.Unlock()
		_, err := f.Write(frame)
		return err
	})
}
