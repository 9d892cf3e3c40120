package cli

import (
	"fmt"
	"time"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/gateway"
)

// parseAgentTypes reads the catalog of --agent-types.
func parseAgentTypes(items []string) (authsvc.AgentTypes, error) {
	types, err := authsvc.ParseAgentTypes(items)
	if err != nil {
		return nil, fmt.Errorf("--agent-types: %w", err)
	}
	return types, nil
}

func validateAgentTypes(items []string) error {
	_, err := parseAgentTypes(items)
	return err
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
