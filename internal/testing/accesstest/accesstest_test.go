package accesstest

import (
	"testing"

	"github.com/keytrail/keytrail/internal/access"
)

func TestContextHasTheIdentityOfTheCaller(t *testing.T) {
	who, ok := access.FromContext(Context(t, access.Checker, "acme"))
	if !ok || who.Role != access.Checker || !who.Holds("acme") || who.Holds("globex") {
		t.Errorf("called by %v", who)
	}
	if all, ok := access.FromContext(Context(t, access.Viewer, access.AllWorkspaces)); !ok || !all.Holds("globex") {
		t.Errorf("called by %v", all)
	}
}
