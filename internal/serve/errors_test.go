package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

// failing is a service whose GetKey answers an error.
func failing(err error) *keys {
	return &keys{get: func(context.Context, *authv1.GetKeyRequest) (*authv1.GetKeyResponse, error) { return nil, err }}
}

func TestEveryErrorHasOneAnswer(t *testing.T) {
	const secret = "dial postgres://keytrail:hunter2@db"
	for name, tt := range map[string]struct {
		err     error
		code    codes.Code
		message string
		logged  bool
	}{
		"bad input in a field":      {fault.InvalidField("name", "is %q", "x"), codes.InvalidArgument, `name: is "x"`, false},
		"bad input as a whole":      {fault.New(fault.Invalid, "no"), codes.InvalidArgument, "no", false},
		"not found":                 {fault.New(fault.NotFound, "key not found"), codes.NotFound, "key not found", false},
		"a precondition":            {fault.New(fault.Precondition, "too many"), codes.FailedPrecondition, "too many", false},
		"unavailable":               {fault.New(fault.Unavailable, "later"), codes.Unavailable, "later", false},
		"a fault that was wrapped":  {fmt.Errorf(secret+": %w", fault.New(fault.NotFound, "key not found")), codes.NotFound, "key not found", false},
		"an internal fault":         {fault.New(fault.Internal, secret), codes.Internal, "internal error", true},
		"a fault of a kind to come": {fault.New(fault.Kind(99), secret), codes.Internal, "internal error", true},
		"any other error":           {errors.New(secret), codes.Internal, "internal error", true},
		"a status of the handler":   {status.Error(codes.Unimplemented, "to come"), codes.Unimplemented, "to come", false},
		"a timeout within":          {fmt.Errorf(secret+": %w", context.DeadlineExceeded), codes.Internal, "internal error", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, failing(tt.err))
			_, err := w.client.GetKey(t.Context(), someKey)
			if st := status.Convert(err); st.Code() != tt.code || st.Message() != tt.message {
				t.Errorf("answered %v, want %v: %s", err, tt.code, tt.message)
			}
			records := w.log.records(t)
			if (len(records) == 1) != tt.logged || len(records) > 1 {
				t.Fatalf("logged %v, want a record: %v", records, tt.logged)
			}
			if tt.logged && (!strings.Contains(fmt.Sprint(records[0]["error"]), "hunter2") ||
				records[0]["rpc"] != authv1.KeyService_GetKey_FullMethodName) {
				t.Errorf("logged %v, want the cause and the RPC", records[0])
			}
		})
	}
}

func TestFaultInAFieldIsDetailed(t *testing.T) {
	w := newWorld(t, failing(fault.InvalidField("scopes[1]", "unknown agent type")))
	_, err := w.client.GetKey(t.Context(), someKey)
	if diff := cmp.Diff(map[string]string{"scopes[1]": "unknown agent type"}, violations(err)); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

func TestEveryKindOfFaultIsInTheTable(t *testing.T) {
	seen := map[codes.Code]bool{}
	for kind := fault.Internal + 1; kind <= fault.Unavailable; kind++ {
		code, ok := faultCodes[kind]
		if !ok || code == codes.OK || seen[code] {
			t.Errorf("kind %d maps to %v", kind, code)
		}
		seen[code] = true
	}
	if len(faultCodes) != len(seen) {
		t.Errorf("the table has %d kinds, want %d", len(faultCodes), len(seen))
	}
}

func TestPanicIsInternalAndTellsTheCallerNothing(t *testing.T) {
	w := newWorld(t, &keys{get: func(_ context.Context, req *authv1.GetKeyRequest) (*authv1.GetKeyResponse, error) {
		if req.GetWorkspaceId() == "acme" {
			panic("password hunter2")
		}
		return &authv1.GetKeyResponse{}, nil
	}})
	_, err := w.client.GetKey(t.Context(), someKey)
	if st := status.Convert(err); st.Code() != codes.Internal || st.Message() != "internal error" || len(st.Details()) != 0 {
		t.Errorf("answered %v, want INTERNAL without a word", err)
	}
	records := w.log.records(t)
	if len(records) != 1 || records[0]["panic"] != "password hunter2" || records[0]["rpc"] != authv1.KeyService_GetKey_FullMethodName ||
		!strings.Contains(fmt.Sprint(records[0]["stack"]), "errors_test.go") {
		t.Errorf("logged %v, want the panic, the RPC and the stack", records)
	}
	if _, err := w.client.GetKey(t.Context(), &authv1.GetKeyRequest{WorkspaceId: "globex", KeyId: someKey.GetKeyId()}); err != nil {
		t.Errorf("the next call fails: %v", err)
	}
}

func TestCallThatItsCallerGaveUpIsNoInternalError(t *testing.T) {
	// Time passes when the call has come as far as it goes, however slow the machine is.
	synctest.Test(t, func(t *testing.T) {
		handled := make(chan struct{})
		w := newWorld(t, &keys{get: func(ctx context.Context, _ *authv1.GetKeyRequest) (*authv1.GetKeyResponse, error) {
			defer close(handled)
			<-ctx.Done()
			return nil, fmt.Errorf("read a key: %w", ctx.Err())
		}})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := w.client.GetKey(ctx, someKey); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("answered %v, want DEADLINE_EXCEEDED", err)
		}
		<-handled
		must(t, w.stop())
		if records := w.log.records(t); len(records) != 0 {
			t.Errorf("logged %v", records)
		}
	})
}
