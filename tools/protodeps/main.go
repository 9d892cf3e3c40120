// Command protodeps prints the .proto files that the contract imports from other projects (google/api,
// buf/validate) out of the Go packages that are linked into Keytrail, so that the sources that the contract is
// compiled against and the code that runs are always of one version, and none of them is copied into the
// repository.
//
// Usage: protodeps DIR
package main

import (
	"fmt"
	"os"
	"strings"

	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/jhump/protoreflect/v2/protoprint"
	_ "google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: protodeps DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "protodeps:", err)
		os.Exit(1)
	}
}

// write prints every linked file that protoc does not already know into dir.
func write(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("clear %s: %w", dir, err)
	}
	var files []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(file.Path(), "google/api/") || strings.HasPrefix(file.Path(), "buf/validate/") {
			files = append(files, file)
		}
		return true
	})
	printer := protoprint.Printer{}
	if err := printer.PrintProtosToFileSystem(files, dir); err != nil {
		return fmt.Errorf("print the imported .proto files: %w", err)
	}
	return nil
}
