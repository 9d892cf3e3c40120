package client_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// modules are what a backend that imports the package may depend on. Every other one would become a dependency of all users.
var modules = []string{
	"github.com/keytrail/keytrail/client", "github.com/keytrail/keytrail/gen/keytrail/", "github.com/keytrail/keytrail/internal/",
	"google.golang.org/grpc", "google.golang.org/protobuf", "google.golang.org/genproto/googleapis/",
	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/", // the contract imports buf/validate/validate.proto
	"github.com/google/uuid",
	"golang.org/x/net", "golang.org/x/sys", "golang.org/x/text", // those of gRPC
}

func TestPackageHasFewDependencies(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".")
	listed, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(listed))
	if len(packages) < 50 {
		t.Fatalf("only %d packages", len(packages))
	}
	for _, pkg := range packages {
		if !slices.ContainsFunc(modules, func(prefix string) bool { return strings.HasPrefix(pkg, prefix) }) {
			t.Errorf("the package depends on %s", pkg)
		}
	}
	for _, heavy := range []string{"/access", "/telemetry", "/httpserver", "/grpcserver"} {
		if slices.Contains(packages, "github.com/keytrail/keytrail/internal"+heavy) {
			t.Errorf("the package depends on internal%s", heavy)
		}
	}
}
