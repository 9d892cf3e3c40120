package authsvc

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// Call is one call on an agent, as the backend received it. AgentID, Method and Endpoint come from the caller and may be
// of any length.
type Call struct {
	// ID is the caller's id of the call, a UUIDv7; zero if it has none.
	ID        uuid.UUID
	AgentType string
	// AgentID is empty if the call names no agent.
	AgentID  string
	Method   string
	Endpoint string
	// WorkspaceID owns the called agent; empty if unknown.
	WorkspaceID string
}

// decide is the policy on a call whose secret was proved: the last four codes, in their order. It is pure.
func decide(c *credential, call Call, now time.Time) denied {
	switch {
	case c.disabled:
		return denied{code: Disabled}
	case expired(c.keyExpireTime, now):
		return denied{code: Expired}
	case expired(c.secretExpireTime, now):
		return denied{Expired, SecretRotated}
	case !slices.Contains(c.scopes, call.AgentType):
		return denied{code: ScopeDenied}
	case call.WorkspaceID != "" && call.WorkspaceID != c.workspaceID:
		return denied{AgentDenied, OtherWorkspace}
	case c.allAgents || call.AgentID != "" && slices.Contains(c.agentIDs, call.AgentID):
		return denied{}
	case call.AgentID == "":
		return denied{AgentDenied, NoAgent}
	}
	return denied{code: AgentDenied}
}
