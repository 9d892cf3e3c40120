package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReport runs real tests, so that it notices when what `go test -json` prints changes.
func TestReport(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		source      string
		print, hide []string
		verdict     string // empty: all is well
	}{
		"a passing test is a line": {
			source: `func TestFine(t *testing.T) { t.Log("chatter") }`,
			print:  []string{"ok  \texample.org/sample"},
			hide:   []string{"chatter", "TestFine"},
		},
		"a failing test shows all that it wrote": {
			source: `func TestFine(t *testing.T) { t.Log("chatter") }
				func TestBad(t *testing.T) { t.Run("inner", func(t *testing.T) { t.Error("the cause") }) }`,
			print:   []string{"--- FAIL: TestBad", "--- FAIL: TestBad/inner", "the cause", "FAIL\texample.org/sample"},
			hide:    []string{"chatter"},
			verdict: "1 of 1 packages failed",
		},
		"a skipped test fails, with its reason": {
			source: `func TestOuter(t *testing.T) { t.Run("inner", func(t *testing.T) { t.Skip("no database") }) }`,
			print:  []string{"ok  \texample.org/sample"}, verdict: "example.org/sample TestOuter/inner: ",
		},
		"a panic is shown": {
			source:  `func TestPanic(t *testing.T) { panic("the cause") }`,
			print:   []string{"panic: the cause", "FAIL\texample.org/sample"},
			verdict: "1 of 1 packages failed",
		},
		"an exit is shown": {
			source:  `func TestMain(m *testing.M) { println("the cause"); os.Exit(3) }`,
			print:   []string{"the cause", "FAIL\texample.org/sample"},
			verdict: "1 of 1 packages failed",
		},
		"code that does not compile is shown": {
			source:  `func TestTypo(t *testing.T) { undeclared() }`,
			print:   []string{"undefined: undeclared", "FAIL\texample.org/sample [build failed]"},
			verdict: "1 of 1 packages failed",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			report := newReport(&out)
			if err := report.read(strings.NewReader(goTest(t, c.source))); err != nil {
				t.Fatal(err)
			}
			for _, want := range c.print {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing in:\n%s", want, &out)
				}
			}
			for _, noise := range c.hide {
				if strings.Contains(out.String(), noise) {
					t.Errorf("%q should not be in:\n%s", noise, &out)
				}
			}
			err := report.verdict()
			if (c.verdict == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.verdict) {
				t.Errorf("verdict is %v, want %q", err, c.verdict)
			}
		})
	}
}

// goTest runs `go test -json` on a module of one file and answers what it printed.
func goTest(t *testing.T, source string) string {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.org/sample\n\ngo 1.26\n")
	write("sample_test.go", "package sample\n\nimport (\n\"os\"\n\"testing\"\n)\n\nvar _ = os.Args\n\n"+source+"\n")
	cmd := exec.Command("go", "test", "-json", "./...")
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	printed, _ := cmd.Output() // it fails where the tests do
	return string(printed)
}

func TestNothingIsNoSuccess(t *testing.T) {
	t.Parallel()
	if newReport(&strings.Builder{}).verdict() == nil {
		t.Error("a run without packages passed")
	}
}
