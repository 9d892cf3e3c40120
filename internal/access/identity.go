// Package access decides who may call: it verifies bearer tokens and compares their role and workspaces with what the
// contract requires of each RPC (keytrail.access.v1.rule). No part of a token is ever logged or put into an error.
package access

import (
	"regexp"
	"slices"
	"time"
)

// Role is what the bearer of a token may do, as tokens spell it.
type Role string

// The roles of the contract.
const (
	Checker  Role = "checker"
	Ingester Role = "ingester"
	Viewer   Role = "viewer"
	Admin    Role = "admin"
)

// Roles lists all roles.
var Roles = []Role{Checker, Ingester, Viewer, Admin}

// anyRole is the requirement of an RPC that every valid token may call. No token has it.
const anyRole Role = "any"

// Valid reports whether the contract has the role.
func (r Role) Valid() bool { return slices.Contains(Roles, r) }

// covers reports whether the role satisfies a required role. An admin may do what a viewer may; no other role includes
// another one.
func (r Role) covers(required Role) bool {
	return required == anyRole || r == required || r == Admin && required == Viewer
}

// Reads reports whether the role may read keys and request logs.
func (r Role) Reads() bool { return r.covers(Viewer) }

// AllWorkspaces is the only entry of `workspaces` in a token for all workspaces.
const AllWorkspaces = "*"

// workspacePattern is the contract's form of a workspace. It excludes the reserved `_unattributed`.
var workspacePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// ValidWorkspace reports whether a token may name this workspace.
func ValidWorkspace(id string) bool { return workspacePattern.MatchString(id) }

// Identity is the caller, as a verified token describes it.
type Identity struct {
	Role Role
	// all is set for a token of all workspaces; workspaces lists those of any other token.
	all        bool
	workspaces []string
	// expires is when the token ends, in seconds since 1970.
	expires int64
}

// Holds reports whether the token is valid for a workspace. A token for all workspaces is valid for every string; any
// other token is never valid for the empty workspace or for the reserved `_unattributed`.
func (i *Identity) Holds(workspace string) bool {
	return i.all || workspace != "" && slices.Contains(i.workspaces, workspace)
}

// AllWorkspaces reports whether the token is valid for all workspaces.
func (i *Identity) AllWorkspaces() bool { return i.all }

// Workspaces returns the workspaces that the token names, ascending, each once; none if it is valid for all.
func (i *Identity) Workspaces() []string {
	if i.all {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(i.workspaces)))
}

// Expires returns when the token ends.
func (i *Identity) Expires() time.Time { return time.Unix(i.expires, 0) }
