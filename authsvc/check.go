package authsvc

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// DefaultAgentTypes is the catalogue of agent types where none is configured.
var DefaultAgentTypes = []string{"agent", "data_agent", "voice_agent"}

// Trail takes rows on their way to the request logs. Append answers when the rows are as safe as the trail
// promises, or with an error when they are not on it. A fault.Unavailable says that there is no room for them now: the
// trail has counted them and told the log. Rows of one id may be appended in any order, on any replica. It may be
// called concurrently, and keeps nothing of the slice.
type Trail interface {
	Append(ctx context.Context, rows ...Entry) error
}

// Checker decides on calls and puts what happened to them onto the trail. It may be used concurrently.
type Checker struct {
	keyring    *Keyring
	trail      Trail
	signer     *signer
	agentTypes []string
	now        func() time.Time
}

// NewChecker makes a checker. signingKey is the store's (Store.SigningKey).
func NewChecker(keyring *Keyring, trail Trail, signingKey []byte, agentTypes []string, now func() time.Time) *Checker {
	return &Checker{keyring: keyring, trail: trail, signer: newSigner(signingKey), agentTypes: agentTypes, now: now}
}

// Check decides on a call that came with apiKey in its header, and appends its row before it answers: a finished
// one of a denial, one in progress of an allowed call. Where the trail has no room the decision is answered all the
// same: a full trail must not be the reason why a platform stands still.
func (c *Checker) Check(ctx context.Context, apiKey string, call Call) (Entry, error) {
	arrived := c.now()
	if !slices.Contains(c.agentTypes, call.AgentType) {
		return Entry{}, unknownAgentType("agent_type", call.AgentType, c.agentTypes)
	}
	entry := Entry{
		ID: uuid7.New(arrived), AgentType: call.AgentType, AgentID: cleanAgentID(call.AgentID),
		Method: cleanMethod(call.Method), Endpoint: CleanEndpoint(call.Endpoint),
	}
	p, code := c.prove(apiKey)
	if code == "" {
		entry.attribute(p)
		code = decide(p.key, p.secret, call, arrived)
	} else if entry.WorkspaceID = call.WorkspaceID; entry.WorkspaceID == "" {
		entry.WorkspaceID = Unattributed
	}
	if entry.ErrorCode = code; code != "" {
		entry.Status = code.HTTPStatus()
		entry.Latency = c.now().Sub(arrived)
	}
	if err := c.trail.Append(ctx, entry); err != nil && fault.KindOf(err) != fault.Unavailable {
		return Entry{}, fmt.Errorf("append the row of a check: %w", err)
	}
	return entry, nil
}

// prove finds the key whose secret the caller sent. Every well-formed secret takes the same way, known or not:
// one SHA-256, one look-up, one comparison in constant time.
func (c *Checker) prove(apiKey string) (proof, ErrorCode) {
	if apiKey == "" {
		return proof{}, MissingToken
	}
	secret, ok := ParseSecret(apiKey)
	if !ok {
		return proof{}, InvalidToken
	}
	p, ok := c.keyring.find(secret.Digest())
	if !ok {
		return proof{}, InvalidToken
	}
	return p, ""
}

// attribute puts the snapshot of the proved key into the entry.
func (e *Entry) attribute(p proof) {
	e.WorkspaceID = p.key.WorkspaceID
	e.KeyID, e.KeyName, e.KeyLast4 = p.key.ID, p.key.Name, p.secret.Last4
}

// Sign gives the signature of an entry that Check answered.
func (c *Checker) Sign(entry Entry) string { return c.signer.sign(entry) }

// Outcome is how an allowed call ended: the entry of its check with status and latency, and that entry's signature.
type Outcome struct {
	Entry     Entry
	Signature string
}

// Report appends the finished rows of calls that have ended. Outcomes that did not come from a check, or whose
// call was denied, are passed over.
func (c *Checker) Report(ctx context.Context, outcomes []Outcome) error {
	rows := make([]Entry, 0, len(outcomes))
	for _, o := range outcomes {
		if o.Entry.ErrorCode == "" && c.signer.verify(o.Entry, o.Signature) {
			rows = append(rows, o.Entry)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if err := c.trail.Append(ctx, rows...); err != nil {
		return fmt.Errorf("append %d reported rows: %w", len(rows), err)
	}
	return nil
}

func unknownAgentType(field, agentType string, catalogue []string) error {
	return fault.InvalidField(field, "unknown agent type %q; the catalogue has %q", agentType, catalogue)
}

// agentTypePattern is the contract's form of an agent type.
var agentTypePattern = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

// ValidAgentType tells whether a catalogue may hold this agent type.
func ValidAgentType(agentType string) bool { return agentTypePattern.MatchString(agentType) }
