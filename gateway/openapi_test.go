package gateway

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/keytrail/keytrail/gen"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

func TestOpenAPINeedsNoToken(t *testing.T) {
	handler, _ := newGatewayOf(t, Config{CORSOrigins: []string{console}}, accesstest.NewSigner(t))
	response := send(handler, "GET", "/openapi.json", "", "Origin", console)
	var document struct{ OpenAPI string }
	must(t, json.Unmarshal(response.Body.Bytes(), &document))
	if response.Code != 200 || !bytes.Equal(response.Body.Bytes(), gen.OpenAPI) || !strings.HasPrefix(document.OpenAPI, "3.1") {
		t.Errorf("got %d %.100s", response.Code, response.Body)
	}
	header := response.Header()
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff",
		"Access-Control-Allow-Origin": console,
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	tag := header.Get("ETag")
	for condition, want := range map[string]int{tag: 304, "W/" + tag: 304, `"other", ` + tag: 304, "*": 304, `"other"`: 200, "": 200} {
		again := send(handler, "GET", "/openapi.json", "", "If-None-Match", condition)
		if again.Code != want || (again.Body.Len() == 0) != (want == 304) || again.Header().Get("ETag") != tag {
			t.Errorf("a caller who has %s: %d %.100s", condition, again.Code, again.Body)
		}
	}
	// Conditions whose errors would have no ErrorInfo.
	for name, value := range map[string]string{"If-Match": `"other"`, "Range": "bytes=99999999-", "If-Unmodified-Since": "Mon, 02 Jan 2006 15:04:05 GMT"} {
		if response := send(handler, "GET", "/openapi.json", "", name, value); response.Code != 200 || !bytes.Equal(response.Body.Bytes(), gen.OpenAPI) {
			t.Errorf("%s: %d %.100s", name, response.Code, response.Body)
		}
	}
	if head := send(handler, "HEAD", "/openapi.json", ""); head.Code != 200 || head.Body.Len() > 0 || head.Header().Get("ETag") != header.Get("ETag") {
		t.Errorf("HEAD: %d %.100s", head.Code, head.Body)
	}
	post := send(handler, "POST", "/openapi.json", "{}")
	expectError(t, post, 405, fault.MethodUnknown, "POST")
	if got := post.Header().Get("Allow"); got != "GET, HEAD" {
		t.Errorf("allowed are %q", got)
	}
}
