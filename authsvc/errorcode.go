package authsvc

// ErrorCode says why a call was denied; empty if it was allowed. The strings are the same everywhere: contract,
// REST, headers, rows, console.
type ErrorCode string

// The six codes, in the order in which they are decided.
const (
	MissingToken ErrorCode = "missing_token"
	InvalidToken ErrorCode = "invalid_token"
	Disabled     ErrorCode = "disabled"
	Expired      ErrorCode = "expired"
	ScopeDenied  ErrorCode = "scope_denied"
	AgentDenied  ErrorCode = "agent_denied"
)

// denial is what the caller of a denied call is answered: the HTTP status, what is wrong, and how to fix it.
type denial struct {
	status       int
	message, fix string
}

// denials is the one table of the six codes.
var denials = map[ErrorCode]denial{
	MissingToken: {401, "The api-key header is missing", "Add the header `api-key: sk_<your-secret>`"},
	InvalidToken: {401, "No API key has this secret", "Re-check the value; the key may have been deleted"},
	Disabled:     {401, "This API key is disabled", "Enable it, or use a different key"},
	Expired:      {401, "This API key has expired", "Create a new key with a future expiry and switch over"},
	ScopeDenied:  {403, "This API key may not call agents of this type", "Add the missing scope to the key"},
	AgentDenied:  {403, "This API key may not call this agent", "Add the agent to the allowlist, or set Agent Access to All Agents"},
}

// HTTPStatus is what to answer to the caller: 200 if the code is empty, else 401 or 403.
func (c ErrorCode) HTTPStatus() int {
	if c == "" {
		return 200
	}
	return denials[c].status
}

// provesNoKey tells whether a call with this code sent no secret of any key.
func (c ErrorCode) provesNoKey() bool { return c == MissingToken || c == InvalidToken }

// Message tells the caller what is wrong and how to fix it; empty if the code is.
func (c ErrorCode) Message() string {
	d, ok := denials[c]
	if !ok {
		return ""
	}
	return d.message + ". " + d.fix + "."
}
