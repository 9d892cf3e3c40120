package access

import (
	"regexp"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/keytrail/keytrail/internal/fault"
)

const (
	// Audience is the `aud` of every token.
	Audience = "keytrail"
	// LocalIssuer is the `iss` of the tokens that Keytrail's own keys sign.
	LocalIssuer = "keytrail"
	// AllWorkspaces is the only entry of `workspaces` in a token that holds for all of them.
	AllWorkspaces = "*"
	// leeway is by how many seconds the clock of whoever made a token may be ahead, where the token says from when on
	// it holds (`nbf`) or when it was made (`iat`). There is none at its end: a token is worth nothing from `exp` on.
	leeway = 60
)

// workspacePattern is the contract's form of a workspace. The reserved `_unattributed` is not of it: no token names it.
var workspacePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// ValidWorkspace tells whether a token may name this workspace.
func ValidWorkspace(id string) bool { return workspacePattern.MatchString(id) }

// claims are what a token says.
type claims struct {
	jwt.Claims
	Role       string   `json:"role"`
	Workspaces []string `json:"workspaces"`
}

// Identity is who calls, as a verified token says it.
type Identity struct {
	Role Role
	// all is true of a token of all workspaces; workspaces are those of any other.
	all        bool
	workspaces []string
	// expires is when the token ends, in seconds since 1970.
	expires int64
}

// Holds reports whether the token holds for a workspace. One for all workspaces holds for every string; any other token
// never holds for the empty workspace, nor for the reserved `_unattributed`.
func (i *Identity) Holds(workspace string) bool {
	return i.all || workspace != "" && slices.Contains(i.workspaces, workspace)
}

// Expires is when the token ends.
func (i *Identity) Expires() time.Time { return time.Unix(i.expires, 0) }

// identity holds the claims of a token whose signature was verified against everything that Keytrail asks of them.
func (c *claims) identity(now time.Time) (*Identity, error) {
	if !c.Audience.Contains(Audience) {
		return nil, refuse("the token is not for Keytrail: its `aud` must be %q", Audience)
	}
	if err := c.inTime(now.Unix()); err != nil {
		return nil, err
	}
	role := Role(c.Role)
	if !role.Valid() {
		return nil, refuse("the token has no role that is known here: its `role` must be one of %q", Roles)
	}
	all := slices.Equal(c.Workspaces, []string{AllWorkspaces})
	if len(c.Workspaces) == 0 || !all && slices.ContainsFunc(c.Workspaces, func(id string) bool { return !ValidWorkspace(id) }) {
		return nil, refuse("the token holds for no workspace: its `workspaces` must be a list of ids, or [%q]", AllWorkspaces)
	}
	return &Identity{Role: role, all: all, workspaces: c.Workspaces, expires: int64(*c.Expiry)}, nil
}

// inTime holds the times of the claims against now, in seconds since 1970.
func (c *claims) inTime(now int64) error {
	switch {
	case c.Expiry == nil:
		return refuse("the token has no expiry: it must have an `exp`")
	case int64(*c.Expiry) <= now:
		return errExpired
	case c.NotBefore != nil && int64(*c.NotBefore) > now+leeway:
		return refuse("the token does not hold yet: its `nbf` is in the future")
	case c.IssuedAt != nil && int64(*c.IssuedAt) > now+leeway:
		return refuse("the token was made in the future: its `iat` is more than %d s ahead", leeway)
	}
	return nil
}

var errExpired = refuse("the token has expired")

// refuse says what is wrong with a token, without a word of it.
func refuse(format string, args ...any) error {
	return fault.New(fault.TokenInvalid, format, args...)
}
