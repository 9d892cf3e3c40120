// Package access decides who may call: it verifies bearer tokens and holds their role and workspaces against what the
// contract asks for each RPC (keytrail.access.v1.rule). Nothing of a token is ever logged or told.
package access

import (
	"slices"
	"strings"

	accessv1 "github.com/keytrail/keytrail/gen/keytrail/access/v1"
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

// Roles are all of them, for those who choose one.
var Roles = []Role{Checker, Ingester, Viewer, Admin}

// anyRole is what an RPC needs that every valid token may call. No token has it.
const anyRole Role = "any"

// Valid tells whether the contract has the role.
func (r Role) Valid() bool { return slices.Contains(Roles, r) }

// covers tells whether the role is enough where another is needed: an admin may what a viewer may, and nothing else is
// part of anything else.
func (r Role) covers(needed Role) bool {
	return needed == anyRole || r == needed || r == Admin && needed == Viewer
}

// roleOf is how tokens spell a role of the contract.
func roleOf(role accessv1.Role) Role {
	return Role(strings.ToLower(strings.TrimPrefix(role.String(), "ROLE_")))
}
