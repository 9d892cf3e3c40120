package browser

import (
	"fmt"
	"strconv"
)

// allRows are the elements of calls, in JavaScript.
const allRows = `[...document.querySelectorAll("[role=row][id^=row-]")]`

// row finds the row of a call in the table of request logs.
func (p *page) row(id string) finder { return p.findCSS("#row-" + id) }

// rowIDs returns the ids of the rows that the table has now, from top to bottom.
func (p *page) rowIDs() []string {
	p.t.Helper()
	return eval[[]string](p, allRows+`
  .sort((a, b) => a.getBoundingClientRect().y - b.getBoundingClientRect().y).map(row => row.id.slice("row-".length))`)
}

// waitForRows waits until the table has at least this many rows.
func (p *page) waitForRows(count int) {
	p.t.Helper()
	p.waitFor(allRows + ".length >= " + strconv.Itoa(count))
}

// waitForExactly waits until the table has these rows and no other, from top to bottom.
func (p *page) waitForExactly(ids []string) {
	p.t.Helper()
	p.wait(func() error {
		if shown := p.rowIDs(); fmt.Sprint(shown) != fmt.Sprint(ids) {
			return fmt.Errorf("the table has the rows %v, want %v", shown, ids)
		}
		return nil
	})
}

// idsOf returns the ids of rows.
func idsOf(rows []object) (ids []string) {
	for _, row := range rows {
		ids = append(ids, row["id"].(string))
	}
	return ids
}
