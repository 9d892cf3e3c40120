// Command testreport reads the output of `go test -json` and prints what a reader wants of it: the line of each
// package, and everything that failing tests wrote. It fails where a test failed, and also where one was skipped:
// a skipped test has checked nothing, and a machine that is meant to check everything must have what it needs.
//
// Usage: go test -json ./... | testreport
package main

import (
	"fmt"
	"os"
)

func main() {
	report := newReport(os.Stdout)
	if err := report.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	if err := report.verdict(); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
}
