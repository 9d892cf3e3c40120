package access

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/keytrail/keytrail/internal/fault"
)

const (
	// header is where a call carries its token, as `Bearer TOKEN`.
	header = "authorization"
	scheme = "bearer "
)

// Gate lets calls through whose token the contract's rules allow. It has no way around: a server without a verifier
// of tokens takes no calls but those of the open services.
type Gate struct {
	verifier *Verifier
	rules    map[string]*rule // by the full name of the method
}

// NewGate makes a gate. Until Protect has been called it lets nothing through.
func NewGate(verifier *Verifier) *Gate { return &Gate{verifier: verifier} }

// Protect reads the rules of all services of a server, which must not have begun to serve. It is an error where an RPC
// has none: such a server must not start.
func (g *Gate) Protect(services map[string]grpc.ServiceInfo) (err error) {
	g.rules, err = rulesOf(protoregistry.GlobalFiles, services)
	return err
}

// admission is what the gate knows of a call. The identity is nil where the RPC is open.
type admission struct {
	rule     *rule
	identity *Identity
}

// admitted is the key of the admission in the context of a call.
type admitted struct{}

// FromContext returns who calls, in the handler of an RPC; false where the RPC is open to anybody.
func FromContext(ctx context.Context) (*Identity, bool) {
	a, _ := ctx.Value(admitted{}).(admission)
	return a.identity, a.identity != nil
}

// Enter is what can be said of a call before its request is taken apart, which costs the server many times the bytes of
// it: whether the token is good, and of the role. The call goes on to Unary, with the context that is answered.
func (g *Gate) Enter(ctx context.Context, method string) (context.Context, error) {
	a, err := g.admit(ctx, method)
	if err != nil {
		return nil, err
	}
	return context.WithValue(ctx, admitted{}, a), nil
}

// Unary is the gate of RPCs with one request. It must come before whatever reads the request.
func (g *Gate) Unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (_ any, err error) {
	a, entered := ctx.Value(admitted{}).(admission)
	if !entered || a.rule != g.rules[info.FullMethod] {
		if a, err = g.admit(ctx, info.FullMethod); err != nil {
			return nil, err
		}
		ctx = context.WithValue(ctx, admitted{}, a)
	}
	if !a.rule.open {
		if err := a.rule.check(a.identity, request); err != nil {
			return nil, err
		}
	}
	return next(ctx, request)
}

// admit verifies the token of a call and its role.
func (g *Gate) admit(ctx context.Context, method string) (admission, error) {
	rule := g.rules[method]
	if rule == nil {
		return admission{}, fault.New(fault.MethodForbidden, "nobody may call %s", method)
	}
	if rule.open {
		return admission{rule: rule}, nil
	}
	token, err := tokenOf(ctx)
	if err != nil {
		return admission{}, err
	}
	identity, err := g.verifier.Verify(ctx, token)
	if err != nil {
		return admission{}, err
	}
	if !identity.Role.covers(rule.role) {
		return admission{}, &fault.Error{
			Reason:   fault.RoleMissing,
			Message:  fmt.Sprintf("this needs a token of the role %q; this one has %q", rule.role, identity.Role),
			Metadata: map[string]string{"role": string(rule.role), "token_role": string(identity.Role)},
		}
	}
	return admission{rule, identity}, nil
}

// tokenOf is the bearer token that a call carries.
func tokenOf(ctx context.Context) (string, error) {
	values := metadata.ValueFromIncomingContext(ctx, header)
	switch {
	case len(values) == 0:
		return "", fault.New(fault.TokenMissing, "no token: send the header `authorization: Bearer TOKEN`; `keytrail token create` makes one")
	case len(values) > 1:
		return "", refuse("more than one `authorization` header")
	}
	value := values[0]
	if len(value) <= len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", refuse("the `authorization` header must be `Bearer TOKEN`")
	}
	return value[len(scheme):], nil
}

// check holds the workspaces that a request names against those of the token. Tokens of all workspaces, which the
// backends of a platform have, do not pay for the look.
func (r *rule) check(identity *Identity, request any) error {
	if identity.all || r.anyWorkspace {
		return nil
	}
	if message, ok := request.(proto.Message); ok && len(r.path) > 0 && message.ProtoReflect().Descriptor().FullName() == r.request {
		return r.checkAll(identity, message)
	}
	return fault.New(fault.WorkspaceForbidden, "this is about all workspaces, and the token is not for all (%q)", AllWorkspaces)
}

func (r *rule) checkAll(identity *Identity, message proto.Message) (err error) {
	named := false
	workspaces(message.ProtoReflect(), r.path, func(workspace string) bool {
		named = true
		if !identity.Holds(workspace) {
			err = r.foreign(workspace)
		}
		return err == nil
	})
	if !named {
		return r.foreign("")
	}
	return err
}

// foreign is the answer to a request that names a workspace which the token does not hold for.
func (r *rule) foreign(workspace string) error {
	if workspace == "" {
		return fault.New(fault.WorkspaceForbidden, "%s must name a workspace of the token: it is not for all workspaces (%q)", r.field, AllWorkspaces)
	}
	// The request has not been validated: the workspace may be of any length.
	return &fault.Error{
		Reason:   fault.WorkspaceForbidden,
		Message:  fmt.Sprintf("the token does not hold for the workspace %.70q", workspace),
		Metadata: map[string]string{"workspace_id": fmt.Sprintf("%.70s", workspace)},
	}
}
