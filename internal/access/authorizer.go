package access

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/keytrail/keytrail/internal/fault"
)

// Authorizer decides which calls are allowed, by the contract's rules. It works in two steps, so that the requests of
// callers who may not call are never decoded: Authenticate needs the headers of a call only, Authorize its request.
type Authorizer struct {
	verifier *Verifier
	// tlsCheckers are the names of client certificates; see NewAuthorizer.
	tlsCheckers []string
	rules       map[string]*rule // by full method name
}

// NewAuthorizer returns an authorizer that refuses every call until ReadRules has been called. A caller without an Authorization
// header whose client certificate was verified, and has one of the names of tlsCheckers (DNS or URI), is a checker for all
// workspaces until the certificate expires.
func NewAuthorizer(verifier *Verifier, tlsCheckers ...string) *Authorizer {
	return &Authorizer{verifier: verifier, tlsCheckers: tlsCheckers}
}

// ReadRules reads the rules of all services of a server, before it serves. A service with an RPC without a rule is an
// error: such a server must not start.
func (a *Authorizer) ReadRules(services map[string]grpc.ServiceInfo) (err error) {
	a.rules, err = rulesOf(protoregistry.GlobalFiles, services)
	return err
}

// Kind reports whether an RPC exists and needs a token, and whether it is a stream.
func (a *Authorizer) Kind(method string) (needsToken, stream bool) {
	rule := a.rules[method]
	return rule != nil && !rule.open, rule != nil && rule.stream
}

// call is an authenticated call. The identity is nil if the RPC is open.
type call struct {
	rule     *rule
	identity *Identity
}

type callKey struct{}

// FromContext returns the caller in the handler of an RPC; false if the RPC is open.
func FromContext(ctx context.Context) (*Identity, bool) {
	c, _ := ctx.Value(callKey{}).(call)
	return c.identity, c.identity != nil
}

// Authenticate verifies the token in the values of a call's Authorization header, or the client certificate, and the role. It
// returns the context for Authorize. It does not wait.
func (a *Authorizer) Authenticate(ctx context.Context, method string, authorization []string) (context.Context, error) {
	rule := a.rules[method]
	if rule == nil {
		return ctx, fault.New(fault.MethodForbidden, "no caller may call %s", method)
	}
	if rule.open {
		return context.WithValue(ctx, callKey{}, call{rule: rule}), nil
	}
	identity, err := a.identify(ctx, authorization)
	if err != nil {
		return ctx, err
	}
	if !identity.Role.covers(rule.role) {
		return ctx, &fault.Error{
			Reason:   fault.RoleMissing,
			Message:  fmt.Sprintf("this needs a token of the role %q; this one has %q", rule.role, identity.Role),
			Metadata: map[string]string{"role": string(rule.role), "token_role": string(identity.Role)},
		}
	}
	return context.WithValue(ctx, callKey{}, call{rule, identity}), nil
}

// Authorize compares the workspaces that a request names with those of the caller's token. It refuses a call that was not
// authenticated.
func Authorize(ctx context.Context, request any) error {
	c, ok := ctx.Value(callKey{}).(call)
	switch {
	case !ok:
		return fault.New(fault.MethodForbidden, "the call was not authenticated")
	case c.rule.open:
		return nil
	}
	return c.rule.check(c.identity, request)
}

// check returns at once for tokens of all workspaces, which the backends of a platform have.
func (r *rule) check(identity *Identity, request any) error {
	if identity.all || r.anyWorkspace {
		return nil
	}
	if message, ok := request.(proto.Message); ok && len(r.path) > 0 && message.ProtoReflect().Descriptor().FullName() == r.request {
		return r.checkWorkspaces(identity, message.ProtoReflect())
	}
	return fault.New(fault.WorkspaceForbidden, "this is about all workspaces, and the token is not for all (%q)", AllWorkspaces)
}

func (r *rule) checkWorkspaces(identity *Identity, message protoreflect.Message) (err error) {
	named := false
	workspaces(message, r.path, func(workspace string) bool {
		named = true
		err = identity.Require(r.field, workspace)
		return err == nil
	})
	if !named {
		return identity.Require(r.field, "")
	}
	return err
}

// Require returns a fault if the token is not valid for a workspace, which field names in the request. The workspace may be of any
// length.
func (i *Identity) Require(field, workspace string) error {
	if i.Holds(workspace) {
		return nil
	}
	if workspace == "" {
		return fault.New(fault.WorkspaceForbidden, "%s must name a workspace of the token: it is not for all workspaces (%q)", field, AllWorkspaces)
	}
	return &fault.Error{
		Reason:   fault.WorkspaceForbidden,
		Message:  fmt.Sprintf("the token does not hold for the workspace %.70q", workspace),
		Metadata: map[string]string{"workspace_id": fmt.Sprintf("%.70s", workspace)},
	}
}
