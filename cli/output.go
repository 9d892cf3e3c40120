package cli

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// outputFlag selects tables for people or JSON for scripts.
type outputFlag struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"Output format: table or json."`
}

// print prints a message as JSON, in the format of REST, or calls table.
func (f outputFlag) print(to console, message proto.Message, table func() error) error {
	if f.Output != "json" {
		return table()
	}
	text, err := protojson.MarshalOptions{Multiline: true, EmitDefaultValues: true}.Marshal(message)
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	_, err = fmt.Fprintln(to.out, string(text))
	return err
}

// table aligns columns under a header. A tabwriter forgets the widths when it is flushed, and a long table is flushed part by
// part.
type table struct {
	to     io.Writer
	rows   [][]string
	widths []int
}

func newTable(w io.Writer, header ...string) *table {
	t := &table{to: w, widths: make([]int, len(header))}
	t.row(header...)
	return t
}

// row adds a row with a cell for each column.
func (t *table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = escapeControl(cell)
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cells[i]))
	}
	t.rows = append(t.rows, cells)
}

// Flush prints the rows since the last call. A column is as wide as its widest cell so far.
func (t *table) Flush() error {
	var text strings.Builder
	for _, cells := range t.rows {
		last := len(cells) - 1
		for i, cell := range cells[:last] {
			fmt.Fprintf(&text, "%-*s  ", t.widths[i], cell)
		}
		text.WriteString(cells[last] + "\n")
	}
	t.rows = nil
	_, err := io.WriteString(t.to, text.String())
	return err
}

// escapeControl escapes unprintable characters, so that no value can control the terminal or imitate another row.
func escapeControl(text string) string {
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

// formatTime returns a time in UTC; "-" if it is unset.
func formatTime(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	return t.AsTime().Format("2006-01-02 15:04:05.000Z")
}

// logFlags configure the log of a service.
type logFlags struct {
	LogFormat string     `enum:"text,json" default:"text" help:"Log format: text or json."`
	LogLevel  slog.Level `default:"info" help:"Minimum log level: debug, info, warn or error."`
}

// setLogger returns the logger of the process and makes it the default, which libraries use.
func (f logFlags) setLogger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: f.LogLevel}
	var handler slog.Handler = slog.NewTextHandler(w, options)
	if f.LogFormat == "json" {
		handler = slog.NewJSONHandler(w, options)
	}
	log := slog.New(handler)
	slog.SetDefault(log)
	return log
}

// parseTime parses RFC 3339, or a duration before now such as 90m. Empty text is no time.
func parseTime(flag, text string, now time.Time) (*timestamppb.Timestamp, error) {
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
