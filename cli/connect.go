package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// authFlags say where the auth service is.
type authFlags struct {
	callFlags `embed:""`
	AuthAddr  string `default:"127.0.0.1:7001" help:"Address of the auth service's gRPC."`
}

// logsFlags say where the log service is.
type logsFlags struct {
	callFlags `embed:""`
	LogsAddr  string `default:"127.0.0.1:7002" help:"Address of the log service's gRPC."`
}

// workspaceFlag names the workspace that a command is about.
type workspaceFlag struct {
	Workspace string `short:"w" required:"" help:"The workspace, e.g. acme."`
}

// withKeys calls do with a client of the KeyService.
func (f authFlags) withKeys(ctx context.Context, do func(context.Context, authv1.KeyServiceClient) error) error {
	return f.dial(ctx, "--auth-addr", f.AuthAddr, func(ctx context.Context, conn *grpc.ClientConn) error {
		return do(ctx, authv1.NewKeyServiceClient(conn))
	})
}

// withChecks calls do with a client of the CheckService.
func (f authFlags) withChecks(ctx context.Context, do func(context.Context, authv1.CheckServiceClient) error) error {
	return f.dial(ctx, "--auth-addr", f.AuthAddr, func(ctx context.Context, conn *grpc.ClientConn) error {
		return do(ctx, authv1.NewCheckServiceClient(conn))
	})
}

// withLogs calls do with a client of the LogService.
func (f logsFlags) withLogs(ctx context.Context, do func(context.Context, logsv1.LogServiceClient) error) error {
	return f.dial(ctx, "--logs-addr", f.LogsAddr, func(ctx context.Context, conn *grpc.ClientConn) error {
		return do(ctx, logsv1.NewLogServiceClient(conn))
	})
}

// dial calls do with a connection to an address, which a flag names.
func (f callFlags) dial(ctx context.Context, flag, addr string, do func(context.Context, *grpc.ClientConn) error) error {
	transport, err := f.transport(flag, addr, f.insecureFlag, slog.Default())
	if err != nil {
		return err
	}
	options, err := f.callerToken.options(addr)
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(addr, append(options, grpc.WithTransportCredentials(transport))...)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", addr, err)
	}
	if err := do(ctx, conn); err != nil {
		return errors.Join(callError{addr: addr, plain: !f.secured(), cause: err}, conn.Close())
	}
	return conn.Close()
}

// callError is a call on a service that failed.
type callError struct {
	addr string
	// plain says that the call was not in TLS.
	plain bool
	cause error
}

// Error says what the service answered, in words for a terminal.
func (e callError) Error() string {
	st := status.Convert(e.cause)
	switch code := st.Code(); {
	case code == codes.Unauthenticated:
		return st.Message() + " (" + tokenHint + ")"
	case answered(st):
		return st.Message()
	case code == codes.Unknown:
		return e.cause.Error()
	case code == codes.Unavailable:
		hint := "is `keytrail serve` running there?"
		if e.plain {
			hint += " If it speaks TLS, give --tls-ca or --tls."
		}
		return fmt.Sprintf("cannot reach the service at %s; %s (%s)", e.addr, hint, st.Message())
	case code == codes.DeadlineExceeded:
		return fmt.Sprintf("the service at %s did not answer in time", e.addr)
	}
	return st.Message()
}

// answered reports whether the service itself made an error: those of gRPC have no google.rpc.ErrorInfo.
func answered(st *status.Status) bool {
	return slices.ContainsFunc(st.Details(), func(detail any) bool {
		_, ok := detail.(*errdetails.ErrorInfo)
		return ok
	})
}

// Unwrap gives the cause.
func (e callError) Unwrap() error { return e.cause }
