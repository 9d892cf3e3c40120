package cli

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// outputFlag chooses between tables for people and JSON for scripts.
type outputFlag struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"How to print the result: table or json."`
}

func (f outputFlag) json() bool { return f.Output == "json" }

// printJSON writes a message as REST writes it.
func printJSON(w io.Writer, message proto.Message) error {
	text, err := protojson.MarshalOptions{Multiline: true, EmitDefaultValues: true}.Marshal(message)
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	_, err = fmt.Fprintln(w, string(text))
	return err
}

// table is aligned columns under a header.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, header ...string) table {
	t := table{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.row(header...)
	return t
}

func (t table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = visible(cell)
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

// visible escapes what does not print, so that no row can steer the terminal or pass for another.
func visible(text string) string {
	var shown strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			shown.WriteRune(r)
			continue
		}
		shown.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return shown.String()
}

func (t table) flush() error { return t.w.Flush() }

// instant writes a time for people, in UTC; "-" where there is none.
func instant(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	return t.AsTime().Format("2006-01-02 15:04:05.000Z")
}

// orDash writes "-" for nothing.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// logFlags choose how a service logs.
type logFlags struct {
	LogFormat string     `enum:"text,json" default:"text" help:"How to write logs: text or json."`
	LogLevel  slog.Level `default:"info" help:"The least level to log: debug, info, warn or error."`
}

// setLogger makes the logger of a process; what the libraries log goes the same way.
func (f logFlags) setLogger(w io.Writer) *slog.Logger {
	log := f.logger(w)
	slog.SetDefault(log)
	return log
}

func (f logFlags) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: f.LogLevel}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// parseWhen reads a time of the command line: RFC 3339, or how long ago, e.g. 90m; empty is unset.
func parseWhen(flag, text string, now time.Time) (*timestamppb.Timestamp, error) {
	if text == "" {
		return nil, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return timestamppb.New(now.Add(-ago)), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %q is neither a time like 2026-01-31T15:04:05Z nor a duration like 90m", flag, text)
	}
	return timestamppb.New(t), nil
}
