package browser

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/keytrail/keytrail/internal/access"
)

// hostileTexts are what somebody could send to harm whoever reads the logs, or to spoil the page. Those of control and format
// characters are not accepted in names; endpoints show them percent-encoded.
var hostileTexts = []string{
	`<img src=x onerror="hacked=1">`,
	`"><script>hacked=1</script>`,
	`';hacked=1;//`,
	"javascript:hacked=1",
	`{{constructor.constructor("hacked=1")()}}`,
	"=HYPERLINK(\"http://elsewhere.example\")",
	"🔑🚀💥 emoji",
	"مفتاح الإنتاج",
	"מפתח <b>ייצור</b>",
	"%3Cb%3E%00%0A",
	strings.Repeat("W", 100),
	strings.Repeat("long words ", 9),
}

// formatCharacters reverse and hide text.
const formatCharacters = "/v1/\u202egpj.exe\u200b\u0007/x"

// TestHostileDataIsText opens every place that shows what callers and customers wrote.
func TestHostileDataIsText(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	endpoints := []string{formatCharacters, "/v1/" + strings.Repeat("abcdefg/", 256)}
	for _, text := range hostileTexts {
		k := a.createKey(text, object{"externalId": text, "description": text, "scopes": []string{"data_agent"}})
		endpoint := "/v1/agents/" + text
		a.check(k.secret, object{"endpoint": endpoint, "agentId": text, "method": text})
		endpoints = append(endpoints, endpoint)
	}
	k := a.createKey("plain", nil)
	for _, endpoint := range endpoints[:2] {
		a.check(k.secret, object{"endpoint": endpoint})
	}
	rows := a.awaitRows("", len(endpoints))

	p := a.signInAs(access.Admin, "request-logs")
	p.waitForRows(len(rows))
	p.expectText("[role=row] .endpoint", valuesOf(rows, "endpoint"))
	p.expectText("[role=row] .key bdi", valuesOf(rows, "keyName"))
	p.expectUnharmed("request-logs")
	p.expectFits("request-logs")
	for i, row := range rows {
		p.row(row["id"].(string)).click()
		panel := p.find("complementary", "").wait()
		if len(row["endpoint"].(string)) > 1000 {
			p.find("button", "Show all").in(panel).click()
		}
		p.wait(func() error {
			text, err := apply[string](panel, "function() { return this.textContent }")
			if err == nil && !strings.Contains(text, row["endpoint"].(string)) {
				err = fmt.Errorf("the panel of %s does not show %.100q:\n%s", row["id"], row["endpoint"], text)
			}
			return err
		})
		where := fmt.Sprintf("panel of %.40q", row["endpoint"])
		p.expectUnharmed(where)
		if i == 0 || i == len(rows)-1 {
			p.expectFits(where)
		}
	}
	p.open("/workspaces/" + a.workspace + "/api-keys")
	p.waitForText("plain")
	for _, text := range hostileTexts {
		p.waitForText(strings.TrimSpace(text))
	}
	p.expectUnharmed("api-keys")
	p.expectFits("api-keys")
}

// valuesOf returns a field of all rows.
func valuesOf(rows []object, field string) (values []string) {
	for _, row := range rows {
		values = append(values, row[field].(string))
	}
	return values
}

// expectText checks that the elements of a selector show exactly these texts, in any order.
func (p *page) expectText(selector string, want []string) {
	p.t.Helper()
	shown := eval[[]string](p, "[...document.querySelectorAll('"+selector+"')].map(e => e.textContent)")
	for _, text := range want {
		if !slices.Contains(shown, text) {
			p.t.Errorf("no element %s shows %q; there are %q", selector, text, shown)
		}
	}
}

// harm is what hostile data has become, in JavaScript; empty if it is text.
const harm = `"hacked" in window ? "a script"
  : document.querySelector("#app img[src=x], #app script, #app bdi b")?.outerHTML ?? ""`

// expectUnharmed checks that no text has become markup or run. Scripts that the policy blocks are problems of the page.
func (p *page) expectUnharmed(where string) {
	p.t.Helper()
	if found := eval[string](p, harm); found != "" {
		p.t.Errorf("%s: the data has become %s", where, found)
	}
}
