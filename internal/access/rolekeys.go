package access

import (
	"crypto/ed25519"
	"slices"
	"strings"
)

// TokenKeys are the public keys of Keytrail's own tokens, by the highest role that they may sign. The role "" is any role.
type TokenKeys map[Role][]ed25519.PublicKey

// ReadTokenKeys reads the keys of the given files, as ReadPublicKeys does. "ROLE=FILE" limits the keys of the file to tokens of
// this role, and of the roles that it includes; "FILE" limits nothing.
func ReadTokenKeys(files ...string) (TokenKeys, error) {
	all := TokenKeys{}
	for _, file := range files {
		role := Role("")
		if prefix, rest, ok := strings.Cut(file, "="); ok && Role(prefix).Valid() {
			role, file = Role(prefix), rest
		}
		keys, err := ReadPublicKeys(file)
		if err != nil {
			return nil, err
		}
		all[role] = append(all[role], keys...)
	}
	return all, nil
}

// tokenKey is an accepted key.
type tokenKey struct {
	public ed25519.PublicKey
	// roles are those that it was given for; "" is any.
	roles []Role
}

// byThumbprint returns the keys by the `kid` of their tokens. A key may be given for several roles.
func (k TokenKeys) byThumbprint() map[string]*tokenKey {
	found := map[string]*tokenKey{}
	for role, keys := range k {
		for _, public := range keys {
			kid := thumbprint(public)
			if found[kid] == nil {
				found[kid] = &tokenKey{public: public}
			}
			found[kid].roles = append(found[kid].roles, role)
		}
	}
	for _, key := range found {
		slices.Sort(key.roles) // errors list them
	}
	return found
}

// checkRole refuses a token of a role that the key must not sign.
func (k *tokenKey) checkRole(role Role) error {
	if slices.ContainsFunc(k.roles, func(limit Role) bool { return limit == "" || limit.covers(role) }) {
		return nil
	}
	return refuse("the token has the role %q, but its key (`kid`) is accepted for %q only", role, k.roles)
}
