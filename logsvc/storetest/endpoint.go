package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/keytrail/keytrail/logsvc"
)

// endpointCases name what a needle finds and what it does not, with no help from the model.
var endpointCases = []struct {
	needle       string
	finds, skips []string
}{
	{"/v1/agents", []string{"/v1/agents", "/V1/Agents", "/api/V1/AGENTS/7"}, []string{"/v1/agent", "/v2/agents", ""}},
	{"/V1/Agents", []string{"/v1/agents", "/V1/Agents"}, []string{"/v1agents"}},
	{"7", []string{"7", "/7", "/a7b"}, []string{"/8"}},
	{"%", []string{"/100%", "/%20"}, []string{"/100", "/_", "/\\"}},
	{"a%c", []string{"/A%c"}, []string{"/abc", "/ac", "/a\\%c"}},
	{"_", []string{"/data_agent"}, []string{"/data-agent", "/x"}},
	{"\\", []string{"/a\\b"}, []string{"/a/b", "/ab"}},
	{"\\%", []string{"/\\%"}, []string{"/%", "/\\"}},
	{"\\_", []string{"/\\_"}, []string{"/_"}},
	{"'", []string{"/o'neil"}, []string{"/oneil", "/o\""}},
	{"' OR '1'='1", []string{"/' or '1'='1"}, []string{"/a"}},
	{"*", []string{"/*"}, []string{"/a"}},
	{".", []string{"/a.b"}, []string{"/ab"}},
	{"[a]", []string{"/[A]"}, []string{"/a"}},
	{"(", []string{"/("}, []string{"/)"}},
	{"\"", []string{"/\""}, []string{"/'"}},
	{" ", []string{"/a b"}, []string{"/ab"}},
	{"é", []string{"/café", "/CAFé"}, []string{"/cafe", "/cafÉ", "/cafe\u0301"}},
	{"É", []string{"/CAFÉ", "/cafÉ"}, []string{"/café"}},
	{"k", []string{"/k", "/K"}, []string{"/\u212a"}}, // the Kelvin sign, whose lower case is k
	{"\u212a", []string{"/\u212a"}, []string{"/k", "/K"}},
	{"ı", []string{"/ı"}, []string{"/i", "/I"}},
	{"i", []string{"/i", "/I"}, []string{"/ı", "/İ"}},
	{"ſ", []string{"/ſ"}, []string{"/s", "/S"}},
	{"日本", []string{"/日本語"}, []string{"/日", "/本日"}},
	{"🙂", []string{"/🙂"}, []string{"/🙃"}},
	{strings.Repeat("x", 2000), []string{strings.Repeat("X", 2048)}, []string{strings.Repeat("x", 1999)}},
}

func endpoint(f *fixture) {
	var all []logsvc.Entry
	found := make([][]logsvc.Entry, len(endpointCases))
	for i, c := range endpointCases {
		var skipped []logsvc.Entry
		for _, path := range c.finds {
			found[i] = append(found[i], f.at(workspaceOf(i), path, len(found[i])))
		}
		for _, path := range c.skips {
			skipped = append(skipped, f.at(workspaceOf(i), path, len(found[i])+len(skipped)))
		}
		all = append(append(all, skipped...), found[i]...)
		f.agrees(c.needle, found[i], skipped)
	}
	f.record(all...)
	for i, c := range endpointCases {
		f.same(f.all(workspaceOf(i), logsvc.Filter{Endpoint: c.needle}), found[i])
	}
}

func workspaceOf(i int) string { return fmt.Sprintf("case-%d", i) }

// agrees fails unless the model selects the same.
func (f *fixture) agrees(needle string, found, skipped []logsvc.Entry) {
	f.Helper()
	for i, e := range append(found, skipped...) {
		if Match(logsvc.Filter{Endpoint: needle}, e) != (i < len(found)) {
			f.Errorf("the model is wrong about %q in %q", needle, e.Endpoint)
		}
	}
}

func (f *fixture) at(workspaceID, path string, seconds int) logsvc.Entry {
	e := in(workspaceID, f.call(time.Duration(seconds)*time.Second))
	e.Endpoint = path
	return e
}
