package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protojson"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// jsonList prints the pages of a list as one response in JSON, which is never in memory as a whole.
type jsonList struct {
	to   io.Writer
	rows int
}

// rowIndent is the indentation of a row in a response.
const rowIndent = "\n    "

// page prints the rows of a page.
func (j *jsonList) page(rows []*logsv1.RequestLog) error {
	var text bytes.Buffer
	for _, row := range rows {
		raw, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(row)
		if err != nil {
			return fmt.Errorf("write JSON: %w", err)
		}
		text.WriteString(j.separator())
		if err := json.Indent(&text, raw, rowIndent[1:], "  "); err != nil {
			return fmt.Errorf("write JSON: %w", err)
		}
		j.rows++
	}
	_, err := j.to.Write(text.Bytes())
	return err
}

// separator returns what is printed before the next row.
func (j *jsonList) separator() string {
	if j.rows == 0 {
		return `{
  "requestLogs": [` + rowIndent
	}
	return "," + rowIndent
}

// end prints the other fields of the response.
func (j *jsonList) end(rest *logsv1.ListRequestLogsResponse) error {
	raw, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(rest)
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, raw, "", "  "); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	fields := text.Bytes()
	if j.rows > 0 {
		// The rows, which rest does not have, are its first field.
		fields = append([]byte("\n  ]"), bytes.TrimPrefix(fields, []byte("{\n  \"requestLogs\": []"))...)
	}
	_, err = j.to.Write(append(fields, '\n'))
	return err
}
