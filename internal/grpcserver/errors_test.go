package grpcserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

// failing returns a service whose GetKey returns an error.
func failing(err error) *keys {
	return &keys{get: func(context.Context, *authv1.GetKeyRequest) (*authv1.GetKeyResponse, error) { return nil, err }}
}

func TestErrorsHaveTheirStatus(t *testing.T) {
	const secret = "dial postgres://keytrail:hunter2@db"
	for name, tt := range map[string]struct {
		err     error
		code    codes.Code
		message string
		logged  bool
	}{
		"bad input in a field":     {fault.InvalidField("name", "is %q", "x"), codes.InvalidArgument, `name: is "x"`, false},
		"a fault that was wrapped": {fmt.Errorf(secret+": %w", fault.New(fault.KeyNotFound, "key not found")), codes.NotFound, "key not found", false},
		"an internal fault":        {fault.New(fault.InternalError, secret), codes.Internal, "internal error", true},
		"a fault without a reason": {&fault.Error{Message: secret}, codes.Internal, "internal error", true},
		"any other error":          {errors.New(secret), codes.Internal, "internal error", true},
		"a status of the handler":  {status.Error(codes.Unimplemented, "to come"), codes.Unimplemented, "to come", false},
		"a timeout within":         {fmt.Errorf(secret+": %w", context.DeadlineExceeded), codes.Internal, "internal error", true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, failing(tt.err))
			_, err := f.client.GetKey(t.Context(), validRequest)
			if st := status.Convert(err); st.Code() != tt.code || st.Message() != tt.message {
				t.Errorf("got %v, want %v: %s", err, tt.code, tt.message)
			}
			records := f.log.Records(t)
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

// TestEveryReason makes a fault of each reason, as a handler would.
func TestEveryReason(t *testing.T) {
	text, err := os.ReadFile("../../docs/errors.md")
	must(t, err)
	document := string(text)
	var given error
	f := newFixture(t, &keys{get: func(context.Context, *authv1.GetKeyRequest) (*authv1.GetKeyResponse, error) { return nil, given }})
	for _, reason := range fault.Reasons() {
		code, mapped := faultCodes[reason.Kind()]
		if !mapped || code == codes.OK {
			t.Errorf("%v has the kind %v, which has no code", reason, reason.Kind())
		}
		given = &fault.Error{Reason: reason, Message: "a message", Metadata: map[string]string{"key_id": "k"}}
		_, err := f.client.GetKey(t.Context(), validRequest)
		expectReason(t, reason.String(), err, code, reason)
		if got := infoOf(err).GetMetadata()["key_id"]; (got == "k") != (code != codes.Internal) {
			t.Errorf("%v has the metadata %q", reason, got)
		}
		want := time.Duration(0)
		if code == codes.Unavailable && reason != fault.ChangeNotInForce || reason == fault.TooManySearches {
			want = retryDelay
		}
		if delay := retryDelayOf(err); delay != want {
			t.Errorf("%v has the retry delay %v, want %v", reason, delay, want)
		}
		row := regexp.MustCompile(`(?m)^\| ` + "`" + reason.String() + "` " + `\| ([A-Z_]+) \| [0-9–, ]+ \| [^|]+ \| [^|]+ \| [^|]+ \|$`).FindStringSubmatch(document)
		if row == nil || row[1] != codeNames[code] {
			t.Errorf("docs/errors.md has the row %q of %v, want one with %s", row, reason, codeNames[code])
		}
	}
}

// codeNames are the gRPC codes as documents spell them.
var codeNames = map[codes.Code]string{
	codes.InvalidArgument: "INVALID_ARGUMENT", codes.NotFound: "NOT_FOUND", codes.AlreadyExists: "ALREADY_EXISTS",
	codes.FailedPrecondition: "FAILED_PRECONDITION", codes.Aborted: "ABORTED", codes.Unauthenticated: "UNAUTHENTICATED",
	codes.PermissionDenied: "PERMISSION_DENIED", codes.ResourceExhausted: "RESOURCE_EXHAUSTED", codes.Canceled: "CANCELLED",
	codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.Unimplemented: "UNIMPLEMENTED", codes.Unavailable: "UNAVAILABLE",
	codes.DataLoss: "DATA_LOSS", codes.Internal: "INTERNAL",
}

// retryDelayOf returns the delay of the google.rpc.RetryInfo of an error; 0 if it has none.
func retryDelayOf(err error) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if retry, ok := detail.(*errdetails.RetryInfo); ok {
			return retry.GetRetryDelay().AsDuration()
		}
	}
	return 0
}

func TestKindsHaveDifferentCodes(t *testing.T) {
	seen := map[codes.Code]fault.Kind{}
	for kind, code := range faultCodes {
		if other, twice := seen[code]; twice {
			t.Errorf("the kinds %v and %v both map to %v", kind, other, code)
		}
		seen[code] = kind
	}
}

func TestFaultInAFieldIsDetailed(t *testing.T) {
	f := newFixture(t, failing(fault.InvalidField("scopes[1]", "unknown agent type")))
	_, err := f.client.GetKey(t.Context(), validRequest)
	if diff := cmp.Diff(map[string]string{"scopes[1]": "unknown agent type"}, violations(err)); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
	expectReason(t, "a wrong field", err, codes.InvalidArgument, fault.FieldInvalid)
	if diff := cmp.Diff(map[string]string{"field": "scopes[1]"}, infoOf(err).GetMetadata()); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

func TestPanicIsAnInternalErrorWithoutDetails(t *testing.T) {
	f := newFixture(t, &keys{get: func(_ context.Context, req *authv1.GetKeyRequest) (*authv1.GetKeyResponse, error) {
		if req.GetWorkspaceId() == "acme" {
			panic("password hunter2")
		}
		return &authv1.GetKeyResponse{}, nil
	}})
	_, err := f.client.GetKey(t.Context(), validRequest)
	if st := status.Convert(err); st.Code() != codes.Internal || st.Message() != "internal error" || len(st.Details()) != 1 {
		t.Errorf("got %v, want INTERNAL without details", err)
	}
	expectReason(t, "a panic", err, codes.Internal, fault.InternalError)
	records := f.log.Records(t)
	if len(records) != 1 || records[0]["panic"] != "password hunter2" || records[0]["rpc"] != authv1.KeyService_GetKey_FullMethodName ||
		!strings.Contains(fmt.Sprint(records[0]["stack"]), "errors_test.go") {
		t.Errorf("logged %v, want the panic, the RPC and the stack", records)
	}
	if _, err := f.client.GetKey(t.Context(), &authv1.GetKeyRequest{WorkspaceId: "globex", KeyId: validRequest.GetKeyId()}); err != nil {
		t.Errorf("the next call fails: %v", err)
	}
}

func TestCallThatItsCallerCancelledIsNotAnInternalError(t *testing.T) {
	// In a bubble, the deadline passes only when the handler waits, however slow the machine is.
	synctest.Test(t, func(t *testing.T) {
		handled := make(chan struct{})
		f := newFixture(t, &keys{get: func(ctx context.Context, _ *authv1.GetKeyRequest) (*authv1.GetKeyResponse, error) {
			defer close(handled)
			<-ctx.Done()
			return nil, fmt.Errorf("read a key: %w", ctx.Err())
		}})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := f.client.GetKey(ctx, validRequest); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("got %v, want DEADLINE_EXCEEDED", err)
		}
		<-handled
		must(t, f.stop())
		if records := f.log.Records(t); len(records) != 0 {
			t.Errorf("logged %v", records)
		}
	})
}
