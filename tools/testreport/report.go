package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is a line of `go test -json`, as `go doc test2json` describes it.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// test names a test; without a name it is the package's own output.
type test struct{ pkg, name string }

// report follows one run.
type report struct {
	out io.Writer
	// written is the output of what has not ended yet.
	written map[test][]string
	skipped []string
	// packages and failures count the packages that have ended.
	packages, failures int
}

func newReport(out io.Writer) *report {
	return &report{out: out, written: map[test][]string{}}
}

// read follows a run to its end. A line that is no event is printed as it is.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			r.line(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the events: %w", err)
		}
	}
}

func (r *report) line(line string) {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Action == "" {
		fmt.Fprint(r.out, line)
		return
	}
	of := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		r.output(of, e.Output)
	case "pass", "fail", "skip":
		r.end(of, e.Action)
	}
}

// output prints the line of a package and keeps everything else until it is known what it is worth.
func (r *report) output(of test, text string) {
	for _, result := range []string{"ok  \t", "FAIL\t", "?   \t"} {
		if of.name == "" && strings.HasPrefix(text, result) {
			fmt.Fprint(r.out, text)
			return
		}
	}
	if !strings.HasPrefix(text, "=== ") {
		r.written[of] = append(r.written[of], text)
	}
}

func (r *report) end(of test, action string) {
	switch {
	case of.name == "":
		r.endPackage(of.pkg, action)
	case action == "fail":
		r.print(of)
	case action == "skip":
		r.skipped = append(r.skipped, of.pkg+" "+of.name+reason(r.written[of]))
	}
	delete(r.written, of)
}

// endPackage prints, of a failed package, what its tests wrote that never ended, and what it wrote itself.
func (r *report) endPackage(pkg, action string) {
	r.packages++
	if action != "fail" {
		return
	}
	r.failures++
	var open []test
	for of := range r.written {
		if of.pkg == pkg {
			open = append(open, of)
		}
	}
	slices.SortFunc(open, func(a, b test) int { return strings.Compare(a.name, b.name) })
	for _, of := range open {
		r.print(of)
		delete(r.written, of)
	}
}

func (r *report) print(of test) {
	for _, text := range r.written[of] {
		fmt.Fprint(r.out, text)
	}
}

// reason is what a skipped test said, on one line.
func reason(written []string) string {
	var said []string
	for _, text := range written {
		text = strings.TrimSpace(text)
		if text != "" && !strings.HasPrefix(text, "--- SKIP") {
			said = append(said, text)
		}
	}
	if len(said) == 0 {
		return ""
	}
	return ": " + strings.Join(said, " ")
}

// verdict is nil if every test of the run was run and passed.
func (r *report) verdict() error {
	switch {
	case r.packages == 0:
		return errors.New("no package was tested")
	case len(r.skipped) > 0:
		slices.Sort(r.skipped)
		return fmt.Errorf("%d of %d packages failed, and these tests were skipped:\n  %s",
			r.failures, r.packages, strings.Join(r.skipped, "\n  "))
	case r.failures > 0:
		return fmt.Errorf("%d of %d packages failed", r.failures, r.packages)
	}
	return nil
}
