package authsvc

import (
	"slices"
	"time"
)

// Call is one call on an agent, as the backend received it. AgentID, Method and Endpoint are the caller's: they may
// hold any bytes, of any length.
type Call struct {
	AgentType string
	// AgentID is empty if the call is on no agent in particular.
	AgentID  string
	Method   string
	Endpoint string
	// WorkspaceID owns the called agent; empty if the backend did not say.
	WorkspaceID string
}

// decide is the policy on a call whose secret was proved: the last four codes, in their order. It is pure.
func decide(key *Key, secret *Secret, call Call, now time.Time) ErrorCode {
	switch {
	case key.Disabled:
		return Disabled
	case past(key.ExpireTime, now), past(secret.ExpireTime, now):
		return Expired
	case !slices.Contains(key.Scopes, call.AgentType):
		return ScopeDenied
	case !key.mayCall(call):
		return AgentDenied
	}
	return ""
}

// mayCall tells whether the key's agent access includes the agent called. A call on no agent in particular needs
// access to all of them.
func (k *Key) mayCall(call Call) bool {
	if call.WorkspaceID != "" && call.WorkspaceID != k.WorkspaceID {
		return false
	}
	return k.AllAgents || slices.Contains(k.AgentIDs, call.AgentID)
}
