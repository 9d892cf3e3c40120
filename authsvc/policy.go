package authsvc

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// Call is one call on an agent, as the backend received it. AgentID, Method and Endpoint are the caller's: they may be of
// any length.
type Call struct {
	// ID is the caller's id of the call, a UUIDv7; zero = none.
	ID        uuid.UUID
	AgentType string
	// AgentID is empty if the call is on no agent in particular.
	AgentID  string
	Method   string
	Endpoint string
	// WorkspaceID owns the called agent; empty if the backend did not say.
	WorkspaceID string
}

// decide is the policy on a call whose secret was proved: the last four codes, in their order. It is pure.
func decide(key *Key, secret *Secret, call Call, now time.Time) denied {
	switch {
	case key.Disabled:
		return denied{code: Disabled}
	case past(key.ExpireTime, now):
		return denied{code: Expired}
	case past(secret.ExpireTime, now):
		return denied{Expired, SecretRotated}
	case !slices.Contains(key.Scopes, call.AgentType):
		return denied{code: ScopeDenied}
	case call.WorkspaceID != "" && call.WorkspaceID != key.WorkspaceID:
		return denied{AgentDenied, OtherWorkspace}
	case key.AllAgents || call.AgentID != "" && slices.Contains(key.AgentIDs, call.AgentID):
		return denied{}
	case call.AgentID == "":
		return denied{AgentDenied, NoAgent}
	}
	return denied{code: AgentDenied}
}
