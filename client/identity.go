package client

import (
	"context"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// Identity is who makes an allowed call.
type Identity struct {
	// WorkspaceID is the workspace of the key.
	WorkspaceID string
	// KeyID, KeyName and KeyLast4 are the key's id and name, and the last 4 characters of the secret that was sent.
	KeyID, KeyName, KeyLast4 string
	// ExternalID and Metadata are what the platform stored with the key. The map must not be changed.
	ExternalID string
	Metadata   map[string]string
	// RequestLogID is the id of the call's row.
	RequestLogID string
}

func identityOf(check *authv1.CheckResponse) *Identity {
	return &Identity{
		WorkspaceID: check.GetWorkspaceId(), KeyID: check.GetKeyId(), KeyName: check.GetKeyName(), KeyLast4: check.GetKeyLast4(),
		ExternalID: check.GetExternalId(), Metadata: check.GetMetadata(), RequestLogID: check.GetRequestLogId(),
	}
}

// identityKey is the key of an *Identity in a context.
type identityKey struct{}

// IdentityFromContext returns the identity of the call that is served with ctx. It reports false if the call was not checked:
// outside of the middleware, or let through by WithFailOpen.
func IdentityFromContext(ctx context.Context) (Identity, bool) {
	identity, ok := ctx.Value(identityKey{}).(*Identity)
	if !ok {
		return Identity{}, false
	}
	return *identity, true
}
