package authsvc

// ErrorCode says why a call was denied; empty if it was allowed. Its strings are the same everywhere: contract, REST,
// headers, rows, console.
type ErrorCode string

// The six codes.
const (
	MissingToken ErrorCode = "missing_token"
	InvalidToken ErrorCode = "invalid_token"
	Disabled     ErrorCode = "disabled"
	Expired      ErrorCode = "expired"
	ScopeDenied  ErrorCode = "scope_denied"
	AgentDenied  ErrorCode = "agent_denied"
)

// Cause distinguishes the reasons behind one error code; empty for the main reason.
type Cause string

// The causes.
const (
	SecretRotated  Cause = "secret_rotated"
	OtherWorkspace Cause = "other_workspace"
	NoAgent        Cause = "no_agent"
)

// Denial is what to tell the caller of a denied call.
type Denial struct {
	Code ErrorCode
	// HTTPStatus is a 4xx.
	HTTPStatus int
	// Message says what is wrong, Fix how to fix it.
	Message, Fix string
	// Causes are the causes of the code, each with its own fix.
	Causes []CauseFix
}

// CauseFix is the fix for a cause.
type CauseFix struct {
	Cause Cause
	Fix   string
}

// Denials returns the one table of codes and texts, in the order in which the codes are decided.
func Denials() []Denial { return denials }

var denials = []Denial{
	{MissingToken, 401, "No api-key header was sent on the request",
		"Add the header — api-key: sk_<your-secret>", nil},
	{InvalidToken, 401, "The header is present but the secret doesn't match any key",
		"Re-check the value; the key may have been deleted, or you copied a stray space", nil},
	{Disabled, 401, "The key has been disabled in the UI",
		"Toggle it back on, or use a different key", nil},
	{Expired, 401, "The key passed its Expires date",
		"Create a new key with a future expiry and switch traffic over", []CauseFix{
			{SecretRotated, "Use the key's newest secret; this one was replaced by a rotation"},
		}},
	{ScopeDenied, 403, "The key doesn't have the scope for the agent type being called (Agent / Data Agent / Voice Agent)",
		"Edit the key and add the missing scope", nil},
	{AgentDenied, 403, "The key's Agent Access doesn't include the target agent",
		"Add the agent to the key's allowlist, or set Agent Access to All Agents", []CauseFix{
			{OtherWorkspace, "Use a key of the agent's workspace"},
			{NoAgent, "Name the agent in the call, or set Agent Access to All Agents; this key is for certain agents only"},
		}},
}

// denialOf returns the denial with a code.
func denialOf(code ErrorCode) Denial {
	for _, d := range denials {
		if d.Code == code {
			return d
		}
	}
	return Denial{Code: code}
}

// denied is the reason why a call was denied; zero if it was allowed.
type denied struct {
	code  ErrorCode
	cause Cause
}

// text returns the denial with the fix for the cause. The fix for a missing scope names the scope.
func (d denied) text(agentType string) Denial {
	text := denialOf(d.code)
	if d.code == ScopeDenied {
		text.Fix += ": " + agentType
	}
	for _, c := range text.Causes {
		if c.Cause == d.cause {
			text.Fix = c.Fix
		}
	}
	return text
}

// unproved reports whether a call with this code has proved no key.
func (c ErrorCode) unproved() bool { return c == MissingToken || c == InvalidToken }
