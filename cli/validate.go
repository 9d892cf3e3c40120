package cli

import (
	"fmt"
	"time"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/gateway"
)

// validateAgentTypes holds the catalogue against the form that the contract gives agent types.
func validateAgentTypes(types []string) error {
	if len(types) == 0 {
		return fmt.Errorf("--agent-types: must name at least one, e.g. %s", authsvc.DefaultAgentTypes[0])
	}
	for _, t := range types {
		if !authsvc.ValidAgentType(t) {
			return fmt.Errorf("--agent-types: %q must be 1 to 63 of a-z, 0-9 and _", t)
		}
	}
	return nil
}

func validateOrigins(origins []string) error {
	for _, origin := range origins {
		if err := gateway.ValidOrigin(origin); err != nil {
			return fmt.Errorf("--cors-origins: %w", err)
		}
	}
	return nil
}

func validateRetention(retention time.Duration) error {
	if retention < time.Hour {
		return fmt.Errorf("--retention: must be at least 1h, got %v", retention)
	}
	return nil
}
