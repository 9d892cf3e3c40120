package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/keytrail/keytrail/gateway"
)

// consoleFlags configure how users of the console sign in.
type consoleFlags struct {
	ConsoleClientID string `name:"console-client-id" help:"Client ID of the console at the first of --oidc-issuers, where its users sign in then. It is a public client with PKCE; its redirect URI ends with /console/callback."`
	ConsoleScope    string `default:"openid" help:"Scopes that the console requests when its users sign in, with spaces between them; openid is one of them."`
}

func (f consoleFlags) validate(issuers []string) error {
	if f.ConsoleClientID != "" && len(issuers) == 0 {
		return errors.New("--console-client-id: needs --oidc-issuers, where the console signs in")
	}
	if !slices.Contains(strings.Fields(f.ConsoleScope), "openid") {
		return fmt.Errorf("--console-scope: must have openid among its scopes, got %q", f.ConsoleScope)
	}
	return nil
}

// console returns the configuration of the console.
func (f consoleFlags) console(issuers []string) gateway.Console {
	if f.ConsoleClientID == "" {
		return gateway.Console{}
	}
	return gateway.Console{Issuer: issuers[0], ClientID: f.ConsoleClientID, Scope: f.ConsoleScope}
}
