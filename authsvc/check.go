package authsvc

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// Trail accepts rows on their way to the request logs. Append returns when the rows are as durable as the trail promises,
// or with an error if they are not on it. A fault.Unavailable means that the trail has no room now: it has counted and
// logged the rows. Rows of one id may be appended in any order, on any replica: RecordRequestLogs in the contract says how
// they are merged. Append is safe for concurrent use and does not retain the slice.
type Trail interface {
	Append(ctx context.Context, rows ...Entry) error
}

// Checker decides on calls and appends their rows to the trail. It is safe for concurrent use.
type Checker struct {
	config  CheckerConfig
	tokens  *reportTokens
	ids     *uuid7.Generator
	shared  *sharedRows
	results counters[ErrorCode]
	refused counters[RefusalReason]
}

// CheckerConfig configures a checker.
type CheckerConfig struct {
	Keyring *Keyring
	Trail   Trail
	// TokenKey is what Store.TokenKey returns.
	TokenKey   []byte
	AgentTypes AgentTypes
	// UnprovedRows is how many rows per second, with a burst of ten times that, each workspace with a key, and all others
	// together, may have of calls that prove no key. Further calls share one row per second and error code. 0 means
	// DefaultUnprovedRows.
	UnprovedRows int
	// RefuseUnrecorded makes Check return fault.Unavailable when the trail has no room. Otherwise Check returns its
	// decision, so that a full trail does not stop the platform.
	RefuseUnrecorded bool
	Now              func() time.Time
}

// NewChecker returns a checker.
func NewChecker(config CheckerConfig) (*Checker, error) {
	tokens, err := newReportTokens(config.TokenKey)
	if err != nil {
		return nil, err
	}
	config.TokenKey = nil // tokens has it, and does not print it
	ids := uuid7.NewGenerator()
	return &Checker{
		config: config, tokens: tokens, ids: ids,
		shared:  newSharedRows(cmp.Or(config.UnprovedRows, DefaultUnprovedRows), ids, config.Keyring.hasKeys),
		results: newCounters("", MissingToken, InvalidToken, Disabled, Expired, ScopeDenied, AgentDenied),
		refused: newCounters(InvalidReport, ExpiredReport, ForeignReport),
	}, nil
}

// Decision is what Check returns.
type Decision struct {
	// Entry is the call's row. If the call shares a row, ID and CallCount are those of the shared row.
	Entry Entry
	// Metadata is the proved key's; nil if none was proved. It is shared and must not be modified.
	Metadata map[string]string
	// ReportToken identifies the call in a report; empty if it shares a row.
	ReportToken string
}

// Allowed reports whether the call may go through.
func (d Decision) Allowed() bool { return d.Entry.ErrorCode == "" }

// Denial returns what to tell the caller of a denied call.
func (d Decision) Denial() Denial {
	return denied{d.Entry.ErrorCode, d.Entry.Cause}.text(d.Entry.AgentType)
}

// Check decides on a call that came with apiKey in its header, and appends its row before it returns: denied, or in
// progress.
func (c *Checker) Check(ctx context.Context, apiKey string, call Call) (Decision, error) {
	arrived := c.config.Now()
	if err := c.validate(call, arrived); err != nil {
		return Decision{}, err
	}
	decision := c.decide(apiKey, call, arrived)
	entry := &decision.Entry
	row, sharedBy := *entry, (*sharedRow)(nil)
	if entry.ErrorCode.unproved() {
		row, sharedBy = c.shared.rowOf(*entry, arrived)
	}
	switch err := c.config.Trail.Append(ctx, row); {
	case err == nil:
		c.shared.markWritten(sharedBy)
	case c.config.RefuseUnrecorded || fault.KindOf(err) != fault.Unavailable:
		c.shared.uncount(sharedBy)
		return Decision{}, fmt.Errorf("append the row of a check: %w", err)
	}
	entry.ID, entry.CallCount = row.ID, row.CallCount
	if sharedBy == nil {
		payload := tokenPayload{entry: *entry}
		if call.WorkspaceID != "" && call.WorkspaceID != entry.WorkspaceID {
			// The length of the token must not reveal anything about a key of another workspace. The check's row has the names.
			payload.workspaceID, payload.entry.KeyName, payload.entry.ExternalID = call.WorkspaceID, "", ""
		}
		decision.ReportToken = c.tokens.encrypt(payload)
	}
	c.results[entry.ErrorCode].Add(1)
	return decision, nil
}

// Results returns how many checks were decided since the start, by error code; the empty code stands for allowed calls.
func (c *Checker) Results() map[ErrorCode]int64 { return c.results.snapshot() }

// maxCallSkew is how far the time of a call id may differ from this service's clock.
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

// decide decides on a call and makes its row.
func (c *Checker) decide(apiKey string, call Call, arrived time.Time) Decision {
	entry := Entry{
		ID: call.ID, AgentType: call.AgentType, AgentID: sanitizeAgentID(call.AgentID),
		Method: sanitizeMethod(call.Method), Endpoint: CleanEndpoint(call.Endpoint), CallCount: 1,
	}
	if call.ID == uuid.Nil {
		entry.ID = c.ids.New(arrived)
	}
	var metadata map[string]string
	proved, code := c.prove(apiKey)
	reason := denied{code: code}
	if code == "" {
		entry.attribute(proved)
		metadata = proved.metadata
		reason = decide(proved, call, arrived)
	} else {
		entry.WorkspaceID = cmp.Or(call.WorkspaceID, Unattributed)
	}
	if reason.code != "" {
		entry.ErrorCode, entry.Cause, entry.Status = reason.code, reason.cause, denialOf(reason.code).HTTPStatus
	}
	return Decision{Entry: entry, Metadata: metadata}
}

// prove finds the key whose secret the caller sent. Until the secret is proved, the time this takes must not tell a
// caller how close it is to a secret, nor whether a key is disabled or expired. So everything that was sent takes one
// path, well formed or not, known or not: SHA-256 of one block (digestOf) and one map look-up by the whole digest. The
// look-up may take longer for a digest that resembles a stored one; but a caller cannot steer SHA-256 towards a stored
// digest without the secret, whose 190 random bits cannot be derived from a part of a digest, and Go seeds the hash of
// every map. The policy looks at the key after the proof only. That nothing was sent is no secret.
func (c *Checker) prove(apiKey string) (*credential, ErrorCode) {
	if apiKey == "" {
		return nil, MissingToken
	}
	proved := c.config.Keyring.find(digestOf(apiKey))
	if proved == nil {
		return nil, InvalidToken
	}
	return proved, ""
}

// attribute copies the snapshot of the proved key into the entry.
func (e *Entry) attribute(proved *credential) {
	e.WorkspaceID, e.ExternalID = proved.workspaceID, proved.externalID
	e.KeyID, e.KeyName, e.KeyLast4 = proved.keyID, proved.keyName, proved.last4
}

// counters count events by a fixed set of labels.
type counters[L comparable] map[L]*atomic.Int64

func newCounters[L comparable](labels ...L) counters[L] {
	c := counters[L]{}
	for _, label := range labels {
		c[label] = new(atomic.Int64)
	}
	return c
}

func (c counters[L]) snapshot() map[L]int64 {
	counted := make(map[L]int64, len(c))
	for label, n := range c {
		counted[label] = n.Load()
	}
	return counted
}
