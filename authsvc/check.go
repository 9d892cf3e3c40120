package authsvc

import (
	"cmp"
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
// trail has counted them and told the log. Rows of one id may be appended in any order, on any replica: a finished one
// counts for more than one in progress, and of finished ones the largest Repeated counts, with all else of the first that
// was appended here. It may be called concurrently, and keeps nothing of the slice.
type Trail interface {
	Append(ctx context.Context, rows ...Entry) error
}

// Checker decides on calls and puts what happened to them onto the trail. It may be used concurrently.
type Checker struct {
	config    CheckerConfig
	signer    *signer
	strangers *strangers
	results   results
}

// CheckerConfig is what a checker is made of.
type CheckerConfig struct {
	Keyring *Keyring
	Trail   Trail
	// SigningKey is the store's (Store.SigningKey).
	SigningKey []byte
	// AgentTypes is the catalogue.
	AgentTypes []string
	// StrangerRows is how many rows a second, with a burst of ten times that, each workspace may have of calls that
	// proved no key. The calls above share one row a second for each error code. 0 = DefaultStrangerRows.
	StrangerRows int
	// RefuseUnrecorded makes Check answer fault.Unavailable where the trail has no room. Otherwise it answers the
	// decision all the same: a full trail is then not the reason why a platform stands still.
	RefuseUnrecorded bool
	Now              func() time.Time
}

// NewChecker makes a checker.
func NewChecker(config CheckerConfig) *Checker {
	signer := newSigner(config.SigningKey)
	config.SigningKey = nil // it is in the signer, and nowhere where it could be printed
	return &Checker{
		config: config, signer: signer,
		strangers: newStrangers(cmp.Or(config.StrangerRows, DefaultStrangerRows)), results: newResults(),
	}
}

// Check decides on a call that came with apiKey in its header, and appends its row before it answers: a finished
// one of a denial, one in progress of an allowed call. A call that shares a row is answered with that row's id and
// number of calls, so that it is found by them, and else with what is its own.
func (c *Checker) Check(ctx context.Context, apiKey string, call Call) (Entry, error) {
	arrived := c.config.Now()
	if !slices.Contains(c.config.AgentTypes, call.AgentType) {
		return Entry{}, unknownAgentType("agent_type", call.AgentType, c.config.AgentTypes)
	}
	entry := c.entryOf(apiKey, call, arrived)
	row, sharedBy := entry, (*group)(nil)
	if entry.ErrorCode.provesNoKey() {
		row, sharedBy = c.strangers.row(entry, arrived)
	}
	switch err := c.config.Trail.Append(ctx, row); {
	case err == nil:
		c.strangers.keep(sharedBy)
	case c.config.RefuseUnrecorded || fault.KindOf(err) != fault.Unavailable:
		c.strangers.takeBack(sharedBy)
		return Entry{}, fmt.Errorf("append the row of a check: %w", err)
	}
	entry.ID, entry.Repeated = row.ID, row.Repeated
	c.results.count(entry.ErrorCode)
	return entry, nil
}

// entryOf makes the entry of a call: the decision, and what led to it.
func (c *Checker) entryOf(apiKey string, call Call, arrived time.Time) Entry {
	entry := Entry{
		ID: uuid7.New(arrived), AgentType: call.AgentType, AgentID: cleanAgentID(call.AgentID),
		Method: cleanMethod(call.Method), Endpoint: CleanEndpoint(call.Endpoint), Repeated: 1,
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
		entry.Latency = c.config.Now().Sub(arrived)
	}
	return entry
}

// prove finds the key whose secret the caller sent. Until that is proved, how long it takes must not tell a caller how
// near it is, nor whether a key is disabled or has expired. So everything that was sent goes one way, well formed or not,
// known or not: the SHA-256 of one block (digestOf), one look-up by 8 bytes of it, and one comparison of all 32 in
// constant time, with a digest of nobody where the look-up found none. What the look-up takes depends on the digest,
// which a caller cannot steer towards a stored one without the secret itself. Whether the key is disabled, has expired
// or lacks a scope is looked at behind the proof alone, and told to its holder anyway. That nothing was sent at all is
// no secret: it is answered before.
func (c *Checker) prove(apiKey string) (proof, ErrorCode) {
	if apiKey == "" {
		return proof{}, MissingToken
	}
	p, ok := c.config.Keyring.find(digestOf(apiKey))
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
	if err := c.config.Trail.Append(ctx, rows...); err != nil {
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
