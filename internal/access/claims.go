package access

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/keytrail/keytrail/internal/fault"
)

const (
	// Audience is the `aud` of every token.
	Audience = "keytrail"
	// LocalIssuer is the `iss` of the tokens that are signed with Keytrail's own keys.
	LocalIssuer = "keytrail"
	// leeway is how many seconds the issuer's clock may be ahead, for `nbf` and `iat`. `exp` has none.
	leeway = 60
)

// ClaimNames are the names of the claims that hold the role and the workspaces. Issuers may use others than Keytrail.
type ClaimNames struct{ Role, Workspaces string }

// DefaultClaimNames are the names in Keytrail's own tokens.
var DefaultClaimNames = ClaimNames{Role: "role", Workspaces: "workspaces"}

// identity checks the claims of a token whose signature was verified.
func (n ClaimNames) identity(standard *jwt.Claims, claims map[string]json.RawMessage, now time.Time) (*Identity, error) {
	if !standard.Audience.Contains(Audience) {
		return nil, refuse("the token is not for Keytrail: its `aud` must be %q", Audience)
	}
	if err := checkTimes(standard, now.Unix()); err != nil {
		return nil, err
	}
	var role Role
	var workspaces []string
	for name, into := range map[string]any{n.Role: &role, n.Workspaces: &workspaces} {
		if text, ok := claims[name]; ok && json.Unmarshal(text, into) != nil {
			return nil, errMalformed
		}
	}
	identity, err := newIdentity(n, role, workspaces)
	if err != nil {
		return nil, err
	}
	identity.expires = int64(*standard.Expiry)
	return identity, nil
}

func newIdentity(names ClaimNames, role Role, workspaces []string) (*Identity, error) {
	if !role.Valid() {
		return nil, refuse("the token has no role that is known here: its `%s` must be one of %q", names.Role, Roles)
	}
	all := slices.Equal(workspaces, []string{AllWorkspaces})
	if len(workspaces) == 0 || !all && slices.ContainsFunc(workspaces, func(id string) bool { return !ValidWorkspace(id) }) {
		return nil, refuse("the token holds for no workspace: its `%s` must be a list of ids, or [%q]", names.Workspaces, AllWorkspaces)
	}
	return &Identity{Role: role, all: all, workspaces: workspaces}, nil
}

// checkTimes compares the times of the claims with now, in seconds since 1970.
func checkTimes(c *jwt.Claims, now int64) error {
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

var (
	errExpired    = refuse("the token has expired")
	errUnknownKey = refuse("the token is signed with a key (`kid`) that is not accepted here")
	errMalformed  = refuse("malformed token: it must be a signed JWT of an accepted algorithm, e.g. EdDSA")
)

// refuse returns a fault about a token. The text must not contain any part of the token.
func refuse(format string, args ...any) error {
	return fault.New(fault.TokenInvalid, format, args...)
}
