package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/testing/flood"
)

// abuseBench measures the checks of one caller with a token, without and with calls of callers without a token.
type abuseBench struct {
	checkBench `embed:""`
	Callers    int           `default:"1" help:"Number of callers with a token, each of which makes one check after the other."`
	Every      time.Duration `default:"0s" help:"How often each connection without a token sends its 1,000 calls again; 0 = at once."`
}

// abuseFigures are the medians of all pairs, for calls of one kind.
type abuseFigures struct {
	Calls     string        `json:"calls"`
	Without   serverFigures `json:"without"`
	With      serverFigures `json:"with"`
	P99Ratio  float64       `json:"p99_ratio"`
	RefusedS  float64       `json:"refused_per_s"`
	GrowthMiB float64       `json:"growth_mib"`
}

// Run measures with calls of each kind.
func (b *abuseBench) Run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "keytrail-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	makeDatabase, stopDatabase, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopDatabase()) }()
	url, err := makeDatabase("abuse")
	if err != nil {
		return err
	}
	auth, err := b.startAuthService(ctx, dir, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, auth.stop()) }()
	var all []abuseFigures
	for _, kind := range []string{"plain", "gzip"} {
		figures, err := b.measure(ctx, auth, kind)
		if err != nil {
			return err
		}
		all = append(all, figures)
	}
	line, err := json.Marshal(all)
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(line))
	return err
}

func (b *abuseBench) measure(ctx context.Context, auth *measuredServer, kind string) (abuseFigures, error) {
	var without, with []serverFigures
	var refused, growth []float64
	shape := loadShape{b.Callers, 1}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "%s\tchecks/s\tp50 µs\tp99 µs\trefused/s\tgrowth MiB\t\n", kind)
	for range b.Pairs {
		alone, err := auth.measure(ctx, shape, b.Time)
		if err != nil {
			return abuseFigures{}, err
		}
		before, err := auth.residentMiB()
		if err != nil {
			return abuseFigures{}, err
		}
		stop, err := b.startAbuse(ctx, auth.addr, kind)
		if err != nil {
			return abuseFigures{}, err
		}
		abused, err := auth.measure(ctx, shape, b.Time)
		perSecond, stopErr := stop()
		if err := errors.Join(err, stopErr); err != nil {
			return abuseFigures{}, err
		}
		after, err := auth.residentMiB()
		if err != nil {
			return abuseFigures{}, err
		}
		without, with = append(without, alone), append(with, abused)
		refused, growth = append(refused, perSecond), append(growth, after-before)
		fmt.Fprintf(table, "without\t%.0f\t%.0f\t%.0f\t\t\t\n", alone.CallsPerS, alone.P50Us, alone.P99Us)
		fmt.Fprintf(table, "with\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t\n",
			abused.CallsPerS, abused.P50Us, abused.P99Us, perSecond, after-before)
	}
	f := abuseFigures{Calls: kind, Without: medians(without), With: medians(with), GrowthMiB: slices.Max(growth)}
	slices.Sort(refused)
	f.P99Ratio, f.RefusedS = round(f.With.P99Us/f.Without.P99Us), round(refused[len(refused)/2])
	fmt.Fprintf(table, "ratio\t%.2f\t%.2f\t%.2f\t\t\t\n",
		f.With.CallsPerS/f.Without.CallsPerS, f.With.P50Us/f.Without.P50Us, f.P99Ratio)
	return f, table.Flush()
}

// startAbuse sends calls without a token from a process of its own. stop returns how many were refused each second.
func (b *abuseBench) startAbuse(ctx context.Context, addr, kind string) (stop func() (float64, error), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, self, "abuse-load", "--addr", addr, "--kind", kind, "--every", b.Every.String())
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, os.Stderr
	if err := command.Start(); err != nil {
		return nil, err
	}
	return func() (float64, error) {
		if err := command.Process.Signal(os.Interrupt); err != nil {
			return 0, err
		}
		if err := command.Wait(); err != nil {
			return 0, fmt.Errorf("send calls without a token: %w", err)
		}
		return strconv.ParseFloat(string(bytes.TrimSpace(out.Bytes())), 64)
	}, nil
}

// residentMiB returns the memory of the process; see proc(5).
func (s *measuredServer) residentMiB() (float64, error) {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.command.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory (Linux only): %w", err)
	}
	var size, resident int
	_, err = fmt.Sscan(string(statm), &size, &resident)
	return float64(resident*os.Getpagesize()) / (1 << 20), err
}

// abuseLoadCommand sends calls without a token until ctx ends: 16 connections of 1,000 calls at a time, with the largest request
// up to its last byte, or a complete one that is packed. It prints the number of refused calls a second.
type abuseLoadCommand struct {
	Addr  string        `required:""`
	Kind  string        `required:""`
	Every time.Duration `required:""`
}

// abuseConnections and abuseCalls are the load of the issue.
const abuseConnections, abuseCalls = 16, 1000

// Run sends the calls.
func (c *abuseLoadCommand) Run(ctx context.Context) error {
	call, err := c.call()
	if err != nil {
		return err
	}
	began := time.Now()
	refused := make([]int, abuseConnections)
	group := errgroup.Group{}
	for i := range refused {
		group.Go(func() error {
			// The connections take turns, instead of sending all at one moment.
			next := began.Add(c.Every * time.Duration(i) / abuseConnections)
			for pause(ctx, time.Until(next)) == nil {
				next = next.Add(c.Every)
				ends, err := flood.Run(ctx, c.Addr, flood.Load{Total: abuseCalls, AtATime: abuseCalls, Next: func(int) flood.Call { return call }})
				if err != nil && ctx.Err() == nil {
					return err
				}
				for _, n := range ends[call.Method] {
					refused[i] += n
				}
			}
			return nil
		})
	}
	err = group.Wait()
	all := 0
	for _, n := range refused {
		all += n
	}
	fmt.Println(float64(all) / time.Since(began).Seconds())
	return err
}

func (c *abuseLoadCommand) call() (flood.Call, error) {
	call := flood.Call{Method: authv1.CheckService_Check_FullMethodName}
	message := make([]byte, grpcserver.AuthMessageBytes)
	if c.Kind == "gzip" {
		var packed bytes.Buffer
		writer := gzip.NewWriter(&packed)
		_, err := writer.Write(message)
		err = errors.Join(err, writer.Close())
		call.Gzip, call.Body = true, flood.Body(packed.Bytes(), true)
		return call, err
	}
	body := flood.Body(message, false)
	call.Body, call.Stall = body[:len(body)-1], true
	return call, nil
}
