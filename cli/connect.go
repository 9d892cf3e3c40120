package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/keytrail/keytrail/app"
	"github.com/keytrail/keytrail/internal/access"
)

// callFlags configure how a command calls a service.
type callFlags struct {
	tokenFlags       `embed:""`
	app.DialFlags    `embed:""`
	app.InsecureFlag `embed:""`
}

// tokenFlags select the token of a command.
type tokenFlags struct {
	Token     string `help:"Access token. Prefer KEYTRAIL_TOKEN, which other users of the machine cannot see. By default calls to this machine are signed with the key in --data-dir."`
	TokenFile string `type:"path" help:"File with the access token, instead of --token and KEYTRAIL_TOKEN, even if they are set. It is read for every call, so it can be replaced."`
	DataDir   string `default:"${data_dir}" type:"path" help:"Data folder of keytrail serve, if it runs on this machine."`
}

// tokenHint is appended to errors about a missing or invalid token.
const tokenHint = "set KEYTRAIL_TOKEN or KEYTRAIL_TOKEN_FILE; where `keytrail serve` runs, --data-dir is enough"

// dialOptions returns how to send the token to addr. Without a token nothing is sent, and the service responds with an error.
func (c tokenFlags) dialOptions(addr string) ([]grpc.DialOption, error) {
	if c.TokenFile != "" {
		return []grpc.DialOption{grpc.WithPerRPCCredentials(access.TokenFile(c.TokenFile))}, nil
	}
	if c.Token != "" {
		return []grpc.DialOption{grpc.WithPerRPCCredentials(access.NewToken(c.Token))}, nil
	}
	// A token of the local key permits everything here. It must not be sent to another machine.
	if !app.IsLoopback(addr) {
		return nil, nil
	}
	signer, err := access.ReadSigner(filepath.Join(c.DataDir, app.SigningKeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []grpc.DialOption{grpc.WithPerRPCCredentials(access.NewTokenSource(signer, time.Now))}, nil
}

// authFlags locate the auth service.
type authFlags struct {
	callFlags `embed:""`
	AuthAddr  string `default:"127.0.0.1:7001" help:"Address of the auth service."`
}

// logsFlags locate the log service.
type logsFlags struct {
	callFlags `embed:""`
	LogsAddr  string `default:"127.0.0.1:7002" help:"Address of the log service."`
}

// workspaceFlag selects a workspace.
type workspaceFlag struct {
	Workspace string `short:"w" required:"" help:"Workspace, e.g. acme."`
}

// connect calls do with a connection to the auth service.
func (f authFlags) connect(do func(*grpc.ClientConn) error, options ...grpc.DialOption) error {
	return f.dial("--auth-addr", f.AuthAddr, do, options...)
}

// connect calls do with a connection to the log service.
func (f logsFlags) connect(do func(*grpc.ClientConn) error) error {
	return f.dial("--logs-addr", f.LogsAddr, do)
}

// dial calls do with a connection to addr, which was given by flag. more may override its options.
func (f callFlags) dial(flag, addr string, do func(*grpc.ClientConn) error, more ...grpc.DialOption) error {
	transport, err := f.TransportCredentials(flag, addr, f.InsecureFlag, slog.Default())
	if err != nil {
		return err
	}
	options, err := f.dialOptions(addr)
	if err != nil {
		return err
	}
	options = append(options, grpc.WithTransportCredentials(transport),
		// A stream is resumed soon after its replica is back, and ends if the machine of the replica is gone.
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnectBackoff, MinConnectTimeout: 5 * time.Second}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}))
	conn, err := grpc.NewClient(addr, append(options, more...)...)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", addr, err)
	}
	defer conn.Close()
	if err := do(conn); err != nil {
		return callError{addr: addr, plaintext: !f.Secured(), cause: err}
	}
	return nil
}

// reconnectBackoff has a shorter maximum than gRPC's two minutes.
var reconnectBackoff = backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}

// callError is a failed call.
type callError struct {
	addr string
	// plaintext is set if the call was not made in TLS.
	plaintext bool
	cause     error
}

// Error returns the message of the service, or explains why there is none.
func (e callError) Error() string {
	st := status.Convert(e.cause)
	switch code := st.Code(); {
	case code == codes.Unauthenticated:
		return st.Message() + " (" + tokenHint + ")"
	case fromService(st):
		return st.Message()
	case code == codes.Unknown:
		return e.cause.Error()
	case code == codes.Unavailable:
		hint := "is `keytrail serve` running there?"
		if e.plaintext {
			hint += " If it uses TLS, give --tls-ca or --tls."
		}
		return fmt.Sprintf("cannot reach the service at %s; %s (%s)", e.addr, hint, st.Message())
	case code == codes.DeadlineExceeded:
		return fmt.Sprintf("the service at %s did not respond in time", e.addr)
	}
	return st.Message()
}

// fromService reports whether an error comes from the service: those of gRPC have no google.rpc.ErrorInfo.
func fromService(st *status.Status) bool {
	return slices.ContainsFunc(st.Details(), func(detail any) bool {
		_, ok := detail.(*errdetails.ErrorInfo)
		return ok
	})
}

// Unwrap returns the cause.
func (e callError) Unwrap() error { return e.cause }
