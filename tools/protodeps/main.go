// Command protodeps prints the .proto files that the contract imports from other projects (google/api, buf/validate)
// from the Go packages that are linked into Keytrail, so that the sources that the contract is compiled against and the
// code that runs are of one version. They are committed, because other languages generate from them without Go.
//
// Usage: protodeps DIR
package main

import (
	"fmt"
	"os"

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

// imported are the files that the contract imports, with what they import in turn; protoc knows the others.
var imported = []string{
	"buf/validate/validate.proto", "google/api/annotations.proto", "google/api/field_behavior.proto", "google/api/http.proto",
}

// write prints the imported files into dir.
func write(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("clear %s: %w", dir, err)
	}
	var files []protoreflect.FileDescriptor
	for _, path := range imported {
		file, err := protoregistry.GlobalFiles.FindFileByPath(path)
		if err != nil {
			return fmt.Errorf("find %s: %w", path, err)
		}
		files = append(files, file)
	}
	printer := protoprint.Printer{}
	if err := printer.PrintProtosToFileSystem(files, dir); err != nil {
		return fmt.Errorf("print the imported .proto files: %w", err)
	}
	return nil
}
