package authsvc

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/keytrail/keytrail/internal/fault"
)

// AgentType is a type of agents. A call names one; a key has them as scopes.
type AgentType struct {
	Name  string // for example data_agent
	Label string // for example Data Agent
}

// AgentTypes is the catalog of an installation, in display order.
type AgentTypes []AgentType

// DefaultAgentTypes is the default catalog.
var DefaultAgentTypes = AgentTypes{{"agent", "Agent"}, {"data_agent", "Data Agent"}, {"voice_agent", "Voice Agent"}}

// agentTypePattern is the rule of the contract.
var agentTypePattern = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

// ParseAgentTypes parses a catalog: each item is NAME or NAME=LABEL. The default label of data_agent is Data Agent.
func ParseAgentTypes(items []string) (AgentTypes, error) {
	var types AgentTypes
	for _, item := range items {
		name, label, labelled := strings.Cut(item, "=")
		if !labelled {
			label = labelOf(name)
		}
		switch {
		case !agentTypePattern.MatchString(name):
			return nil, fmt.Errorf("%q must be 1 to 63 of a-z, 0-9 and _, and may be followed by = and a label", name)
		case types.has(name):
			return nil, fmt.Errorf("%q is named twice", name)
		case strings.TrimSpace(label) == "" || len(label) > 100 || strings.ContainsFunc(label, unprintable):
			return nil, fmt.Errorf("the label %q of %q must be 1 to 100 bytes that print", label, name)
		}
		types = append(types, AgentType{Name: name, Label: label})
	}
	if len(types) == 0 {
		return nil, fmt.Errorf("must name at least one, e.g. %s", DefaultAgentTypes[0].Name)
	}
	return types, nil
}

func labelOf(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return r == '_' })
	for i, word := range words {
		words[i] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, " ")
}

func (t AgentTypes) has(name string) bool {
	return slices.ContainsFunc(t, func(known AgentType) bool { return known.Name == name })
}

func (t AgentTypes) names() []string {
	names := make([]string, len(t))
	for i, known := range t {
		names[i] = known.Name
	}
	return names
}

func unknownAgentType(field, agentType string, catalog AgentTypes) error {
	return fault.InvalidField(field, "unknown agent type %q; the catalog has %q", agentType, catalog.names())
}
