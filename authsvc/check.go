package authsvc

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// Trail takes rows on their way to the request logs. Append returns when the rows are as safe as the trail promises, or
// with an error when they are not on it. A fault.Unavailable says that there is no room for them now: the trail has
// counted them and logged it. Rows of one id may be appended in any order, on any replica: see RecordRequestLogs in the
// contract for what becomes of them. It is safe for concurrent use, and keeps nothing of the slice.
type Trail interface {
	Append(ctx context.Context, rows ...Entry) error
}

// Checker decides on calls and puts what happened to them onto the trail. It is safe for concurrent use.
type Checker struct {
	config    CheckerConfig
	tokens    *reportTokens
	strangers *strangers
	results   results
	refused   refusals
}

// CheckerConfig is what a checker is made of.
type CheckerConfig struct {
	Keyring *Keyring
	Trail   Trail
	// TokenKey is the store's (Store.TokenKey).
	TokenKey []byte
	// AgentTypes is the catalog.
	AgentTypes AgentTypes
	// StrangerRows is how many rows a second, with a burst of ten times that, each workspace may have of calls that
	// proved no key. The calls above share one row a second for each error code. 0 = DefaultStrangerRows.
	StrangerRows int
	// RefuseUnrecorded makes Check return fault.Unavailable where the trail has no room. Otherwise it returns the
	// decision all the same: a full trail is then not the reason why a platform stands still.
	RefuseUnrecorded bool
	Now              func() time.Time
}

// NewChecker makes a checker.
func NewChecker(config CheckerConfig) (*Checker, error) {
	tokens, err := newReportTokens(config.TokenKey)
	if err != nil {
		return nil, err
	}
	config.TokenKey = nil // it is in tokens, and nowhere where it could be printed
	return &Checker{
		config: config, tokens: tokens, results: newResults(), refused: newRefusals(),
		strangers: newStrangers(cmp.Or(config.StrangerRows, DefaultStrangerRows)),
	}, nil
}

// Decision is what Check returns.
type Decision struct {
	// Entry is the call's row. Where it shares one with others, ID and CallCount are that row's.
	Entry Entry
	// Metadata is the proved key's; nil where none was proved. Nobody may change it.
	Metadata map[string]string
	// ReportToken is what a report of the call needs; empty where calls share a row.
	ReportToken string
}

// Allowed reports whether the call may go through.
func (d Decision) Allowed() bool { return d.Entry.ErrorCode == "" }

// Denial is what the caller of a denied call is told.
func (d Decision) Denial() Denial {
	return denied{d.Entry.ErrorCode, d.Entry.Cause}.text(d.Entry.AgentType)
}

// Check decides on a call that came with apiKey in its header, and appends its row before it returns: one that is denied,
// or one in progress of an allowed call.
func (c *Checker) Check(ctx context.Context, apiKey string, call Call) (Decision, error) {
	arrived := c.config.Now()
	if err := c.validate(call, arrived); err != nil {
		return Decision{}, err
	}
	decision := c.decide(apiKey, call, arrived)
	entry := &decision.Entry
	row, sharedBy := *entry, (*group)(nil)
	if entry.ErrorCode.provesNoKey() {
		row, sharedBy = c.strangers.row(*entry, arrived)
	}
	switch err := c.config.Trail.Append(ctx, row); {
	case err == nil:
		c.strangers.keep(sharedBy)
	case c.config.RefuseUnrecorded || fault.KindOf(err) != fault.Unavailable:
		c.strangers.takeBack(sharedBy)
		return Decision{}, fmt.Errorf("append the row of a check: %w", err)
	}
	entry.ID, entry.CallCount = row.ID, row.CallCount
	if sharedBy == nil {
		sealed := sealedCall{entry: *entry}
		if call.WorkspaceID != "" && call.WorkspaceID != entry.WorkspaceID {
			// The length of the token is not to say anything of the other workspace's key; the check's record has its names.
			sealed.workspaceID, sealed.entry.KeyName, sealed.entry.ExternalID = call.WorkspaceID, "", ""
		}
		decision.ReportToken = c.tokens.seal(sealed)
	}
	c.results.count(entry.ErrorCode)
	return decision, nil
}

// maxCallSkew is how far the time of a call id may lie off this service's clock.
const maxCallSkew = time.Minute

func (c *Checker) validate(call Call, now time.Time) error {
	if !c.config.AgentTypes.has(call.AgentType) {
		return unknownAgentType("agent_type", call.AgentType, c.config.AgentTypes)
	}
	if call.ID == uuid.Nil {
		return nil
	}
	if !uuid7.Valid(call.ID) {
		return fault.InvalidField("call_id", "must be a UUIDv7")
	}
	if skew := uuid7.Time(call.ID).Sub(now); skew.Abs() > maxCallSkew {
		at := now.UTC().Format("2006-01-02T15:04:05.000Z")
		return &fault.Error{
			Reason: fault.CallIDClock, Field: "call_id", Metadata: map[string]string{"server_time": at},
			Message: fmt.Sprintf("its time is %v off the clock of the service, which says %s; at most %v", skew.Abs().Round(time.Second), at, maxCallSkew),
		}
	}
	return nil
}

// decide decides on a call, and makes its row of what led to the decision.
func (c *Checker) decide(apiKey string, call Call, arrived time.Time) Decision {
	entry := Entry{
		ID: call.ID, AgentType: call.AgentType, AgentID: cleanAgentID(call.AgentID),
		Method: cleanMethod(call.Method), Endpoint: CleanEndpoint(call.Endpoint), CallCount: 1,
	}
	if call.ID == uuid.Nil {
		entry.ID = uuid7.New(arrived)
	}
	var metadata map[string]string
	p, code := c.prove(apiKey)
	why := denied{code: code}
	if code == "" {
		entry.attribute(p)
		metadata = p.key.Metadata
		why = decide(p.key, p.secret, call, arrived)
	} else if entry.WorkspaceID = call.WorkspaceID; entry.WorkspaceID == "" {
		entry.WorkspaceID = Unattributed
	}
	if why.code != "" {
		entry.ErrorCode, entry.Cause, entry.Status = why.code, why.cause, denialOf(why.code).HTTPStatus
	}
	return Decision{Entry: entry, Metadata: metadata}
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
	e.KeyID, e.KeyName, e.KeyLast4, e.ExternalID = p.key.ID, p.key.Name, p.secret.Last4, p.key.ExternalID
}
