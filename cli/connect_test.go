package cli

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/serve"
)

func TestErrorOfAServiceIsItsMessage(t *testing.T) {
	for want, cause := range map[string]error{
		"the trail is full":                          serve.Status(fault.New(fault.TrailFull, "the trail is full")).Err(),
		"name: is too long":                          serve.Status(fault.InvalidField("name", "is too long")).Err(),
		"it came late":                               serve.Status(fault.New(fault.RequestLate, "it came late")).Err(),
		"no token (" + tokenHint + ")":               serve.Status(fault.New(fault.TokenMissing, "no token")).Err(),
		"unknown method":                             status.Error(codes.Unimplemented, "unknown method"),
		"the service at here did not answer in time": status.Error(codes.DeadlineExceeded, "context deadline exceeded"),
		"cannot reach the service at here; is `keytrail serve` running there? (refused)": status.Error(codes.Unavailable, "refused"),
	} {
		if got := (callError{addr: "here", cause: cause}).Error(); got != want {
			t.Errorf("%v is %q, want %q", cause, got, want)
		}
	}
}
