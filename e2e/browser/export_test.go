package browser

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keytrail/keytrail/internal/access"
)

// TestExportsHoldWhatTheAPIHas saves the rows of a filter in both formats.
func TestExportsHoldWhatTheAPIHas(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.demo(time.Now())
	want := idsOf(a.rows("status_class=4xx"))
	p := a.signInAs(access.Viewer, "request-logs?status=4xx")
	p.waitForRows(10)
	for format, ids := range map[string]func([]byte) ([]string, error){"NDJSON": idsOfNDJSON, "CSV": idsOfCSV} {
		name, content := p.download(func() {
			p.find("button", "Export").click()
			p.findLike("menuitem", "^"+format).click()
		})
		if !strings.HasSuffix(name, "."+strings.ToLower(format)) || !strings.Contains(name, a.workspace) {
			t.Errorf("the file is %q", name)
		}
		if got, err := ids(content); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s has %d rows, %v; want the %d of the API", name, len(got), err, len(want))
		}
		p.find("button", "Export").wait()
	}
}

// idsOfNDJSON reads one row a line and a last line with their number.
func idsOfNDJSON(content []byte) (ids []string, err error) {
	lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
	var last struct {
		RowCount int  `json:"row_count"`
		Complete bool `json:"complete"`
	}
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil || !last.Complete || last.RowCount != len(lines)-1 {
		return nil, fmt.Errorf("the last line is %q", lines[len(lines)-1])
	}
	for _, line := range lines[:len(lines)-1] {
		var row struct{ ID string }
		if err := json.Unmarshal(line, &row); err != nil {
			return nil, err
		}
		ids = append(ids, row.ID)
	}
	return ids, nil
}

// idsOfCSV reads a header, one row a line and a last line with their number.
func idsOfCSV(content []byte) (ids []string, err error) {
	body, last, _ := bytes.Cut(content, []byte("# rows="))
	records, err := csv.NewReader(bytes.NewReader(body)).ReadAll()
	if err != nil {
		return nil, err
	}
	column := slices.Index(records[0], "id")
	if column < 0 || strings.TrimSpace(string(last)) != fmt.Sprint(len(records)-1) {
		return nil, fmt.Errorf("the header is %q, the last line %q", records[0], last)
	}
	for _, record := range records[1:] {
		ids = append(ids, record[column])
	}
	return ids, nil
}
