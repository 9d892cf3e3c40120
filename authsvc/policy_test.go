package authsvc

import (
	"testing"
	"time"
)

// noon is the time of the calls in these tests.
var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func TestPolicyDecidesInItsOrder(t *testing.T) {
	// Each case breaks what its name says on a key that may call everything; later causes are broken as well, so
	// that only the order distinguishes them.
	past, ahead := noon.Add(-time.Millisecond), noon.Add(time.Hour)
	tests := map[string]struct {
		change func(*Key, *Secret, *Call)
		want   any
	}{
		"a key with everything": {func(*Key, *Secret, *Call) {}, ""},
		"disabled goes before all else": {func(k *Key, s *Secret, c *Call) {
			k.Disabled, k.ExpireTime, s.ExpireTime, c.AgentType, c.WorkspaceID = true, past, past, "voice_agent", "globex"
		}, Disabled},
		"an expired key goes before its scopes": {func(k *Key, s *Secret, c *Call) {
			k.ExpireTime, c.AgentType, c.WorkspaceID = past, "voice_agent", "globex"
		}, Expired},
		"an expired secret goes before the scopes": {func(k *Key, s *Secret, c *Call) {
			s.ExpireTime, c.AgentType, c.WorkspaceID = past, "voice_agent", "globex"
		}, denied{Expired, SecretRotated}},
		"an expired secret of a key that lives": {func(k *Key, s *Secret, c *Call) {
			k.ExpireTime, s.ExpireTime = ahead, past
		}, denied{Expired, SecretRotated}},
		"an expired key and an expired secret": {func(k *Key, s *Secret, c *Call) {
			k.ExpireTime, s.ExpireTime = past, past
		}, Expired},
		"an expired key of a secret that lives": {func(k *Key, s *Secret, c *Call) {
			k.ExpireTime, s.ExpireTime = past, ahead
		}, Expired},
		"key and secret that end later": {func(k *Key, s *Secret, c *Call) {
			k.ExpireTime, s.ExpireTime = ahead, ahead
		}, ""},
		"a missing scope goes before the agent access": {func(k *Key, s *Secret, c *Call) {
			c.AgentType, c.WorkspaceID = "voice_agent", "globex"
		}, ScopeDenied},
		"a scope is not a prefix":       {func(k *Key, s *Secret, c *Call) { c.AgentType = "data" }, ScopeDenied},
		"an empty agent type":           {func(k *Key, s *Secret, c *Call) { c.AgentType = "" }, ScopeDenied},
		"a second scope":                {func(k *Key, s *Secret, c *Call) { c.AgentType = "data_agent" }, ""},
		"the key's own workspace":       {func(k *Key, s *Secret, c *Call) { c.WorkspaceID = "acme" }, ""},
		"an agent of another workspace": {func(k *Key, s *Secret, c *Call) { c.WorkspaceID = "globex" }, denied{AgentDenied, OtherWorkspace}},
		"an allowed agent":              {func(k *Key, s *Secret, c *Call) { allowOnly(k, "a1", "a2"); c.AgentID = "a2" }, ""},
		"an agent off the list":         {func(k *Key, s *Secret, c *Call) { allowOnly(k, "a1", "a2"); c.AgentID = "a3" }, AgentDenied},
		"agent ids differ in case":      {func(k *Key, s *Secret, c *Call) { allowOnly(k, "a1"); c.AgentID = "A1" }, AgentDenied},
		"no agent in particular, all":   {func(k *Key, s *Secret, c *Call) { c.AgentID = "" }, ""},
		"no agent in particular, a list": {func(k *Key, s *Secret, c *Call) {
			allowOnly(k, "a1")
			c.AgentID = ""
		}, denied{AgentDenied, NoAgent}},
		"no agent in particular, a list with an empty id": {func(k *Key, s *Secret, c *Call) {
			allowOnly(k, "")
			c.AgentID = ""
		}, denied{AgentDenied, NoAgent}},
		"another workspace goes before no agent": {func(k *Key, s *Secret, c *Call) {
			allowOnly(k, "a1")
			c.AgentID, c.WorkspaceID = "", "globex"
		}, denied{AgentDenied, OtherWorkspace}},
		"an allowed id in another workspace": {func(k *Key, s *Secret, c *Call) {
			allowOnly(k, "a1")
			c.AgentID, c.WorkspaceID = "a1", "globex"
		}, denied{AgentDenied, OtherWorkspace}},
		"neither all agents nor a list": {func(k *Key, s *Secret, c *Call) { k.AllAgents = false }, AgentDenied},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			key := Key{WorkspaceID: "acme", Scopes: []string{"agent", "data_agent"}, AllAgents: true}
			secret, call := Secret{}, Call{AgentType: "agent", AgentID: "a1"}
			tt.change(&key, &secret, &call)
			want, whole := tt.want.(denied)
			if !whole {
				want.code, _ = tt.want.(ErrorCode)
			}
			if got := decide(newCredential(&key, &secret), call, noon); got != want {
				t.Errorf("decided %+v, want %+v", got, want)
			}
		})
	}
}

func allowOnly(k *Key, agents ...string) { k.AllAgents, k.AgentIDs = false, agents }

func TestExpiryHoldsFromItsExactMillisecond(t *testing.T) {
	for _, tt := range []struct {
		name string
		now  time.Time
		want ErrorCode
	}{
		{"a millisecond before", noon.Add(-time.Millisecond), ""},
		{"a nanosecond before", noon.Add(-1), ""},
		{"at it", noon, Expired},
		{"a nanosecond after", noon.Add(1), Expired},
		{"in another time zone", noon.In(time.FixedZone("east", 3600)), Expired},
	} {
		key := Key{WorkspaceID: "acme", Scopes: []string{"agent"}, AllAgents: true}
		ending := key
		ending.ExpireTime = noon
		call := Call{AgentType: "agent"}
		if got := decide(newCredential(&ending, &Secret{}), call, tt.now).code; got != tt.want {
			t.Errorf("%s of the key's expiry: %q, want %q", tt.name, got, tt.want)
		}
		if got := decide(newCredential(&key, &Secret{ExpireTime: noon}), call, tt.now).code; got != tt.want {
			t.Errorf("%s of the secret's expiry: %q, want %q", tt.name, got, tt.want)
		}
	}
}
