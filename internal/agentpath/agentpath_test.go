package agentpath

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestMatch reads the cases that the TypeScript client is tested with, too.
func TestMatch(t *testing.T) {
	text, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Templates   []string
		Path        string
		Matches     bool
		WorkspaceID string `json:"workspaceId"`
		AgentType   string
		AgentID     string `json:"agentId"`
	}
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) < 20 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		templates, err := Parse(c.Templates)
		if err != nil {
			t.Errorf("%v: %v", c.Templates, err)
			continue
		}
		got, ok := templates.Match(c.Path)
		if !ok {
			got = Call{}
		}
		if want := (Call{c.WorkspaceID, c.AgentType, c.AgentID}); ok != c.Matches || got != want {
			t.Errorf("%v, %q: %v %+v, want %v %+v", c.Templates, c.Path, ok, got, c.Matches, want)
		}
	}
}

func TestErrorsNameTheTemplate(t *testing.T) {
	for text, reason := range map[string]string{
		"":                                     "must begin with /",
		"v1/{agent_type}s/{agent_id}":          "must begin with /",
		"/v1/bots/{agent_id}":                  "begin with the type",
		"agent=/v1/{agent_type}s/{agent_id}":   "begin with the type",
		"/v1/{agent_type}s/{agent_id}/{agent}": "must have one of",
		"/v1/{agent_type}s/{agent_id":          "must have one of",
		"/v1/{agent_type}{agent_id}":           "must have one of",
		"/{agent_type}/{agent_id}/{agent_id}":  "twice",
		"agent=/v1//{agent_id}":                "empty",
		"agent=/v1/x}":                         "without {",
	} {
		if _, err := Parse([]string{"agent=/", text}); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v, want %q", text, err, reason)
		}
	}
}
