package authsvc

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// texts has the codes, statuses, messages and fixes that the contract promises, in the order in which they are decided.
var texts = [][4]string{
	{"missing_token", "401", "No api-key header was sent on the request", "Add the header — api-key: sk_<your-secret>"},
	{"invalid_token", "401", "The header is present but the secret doesn't match any key", "Re-check the value; the key may have been deleted, or you copied a stray space"},
	{"disabled", "401", "The key has been disabled in the UI", "Toggle it back on, or use a different key"},
	{"expired", "401", "The key passed its Expires date", "Create a new key with a future expiry and switch traffic over"},
	{"scope_denied", "403", "The key doesn't have the scope for the agent type being called (Agent / Data Agent / Voice Agent)", "Edit the key and add the missing scope"},
	{"agent_denied", "403", "The key's Agent Access doesn't include the target agent", "Add the agent to the key's allowlist, or set Agent Access to All Agents"},
}

func TestMessagesAndFixesAreThoseOfTheContract(t *testing.T) {
	var got [][4]string
	for _, d := range Denials() {
		got = append(got, [4]string{string(d.Code), map[int]string{401: "401", 403: "403"}[d.HTTPStatus], d.Message, d.Fix})
	}
	if diff := cmp.Diff(texts, got); diff != "" {
		t.Errorf("the table (-want +got):\n%s", diff)
	}
}

func TestReadersAreShownTheTextsOfTheTable(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range texts {
		if line := "| `" + row[0] + "` | " + row[1] + " | " + row[2] + " | " + row[3] + " |\n"; !strings.Contains(string(text), line) {
			t.Errorf("the README does not have the line %s", line)
		}
	}
}

func TestEveryCauseHasAFixOfItsOwn(t *testing.T) {
	fixes := map[string]bool{}
	for _, d := range Denials() {
		fixes[d.Fix] = true
	}
	for why, want := range map[denied]string{
		{Expired, SecretRotated}:      "Use the key's newest secret; this one was replaced by a rotation",
		{AgentDenied, OtherWorkspace}: "Use a key of the agent's workspace",
		{AgentDenied, NoAgent}:        "Name the agent in the call, or set Agent Access to All Agents; this key is for certain agents only",
		{code: ScopeDenied}:           "Edit the key and add the missing scope: data_agent",
		{code: Disabled}:              "Toggle it back on, or use a different key",
	} {
		got := why.text("data_agent")
		if got.Fix != want || got.Code != why.code || got.Message != denialOf(why.code).Message {
			t.Errorf("%v is told %+v, want the fix %q", why, got, want)
		}
		if why.cause != "" && fixes[got.Fix] {
			t.Errorf("%v is told the fix of a code", why)
		}
	}
	if denialOf(Expired).Fix != texts[3][3] {
		t.Error("telling a cause has changed the table")
	}
}
