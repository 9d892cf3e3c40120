package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	ours         = "github.com/keytrail/keytrail/"
	maxFileLines = 400
)

// rule is one sentence about the house. A file that it is about breaks it by importing what it must not import, by
// naming what it must not name, or by its length.
type rule struct {
	// sentence says what holds, and why where that is not plain.
	sentence string
	// about picks the files.
	about func(file) bool
	// never are packages that must not be imported: "logsvc" is that one, "logsvc/..." also all below it. Ours
	// are written without the module's path.
	never []string
	// only, unless empty, are the packages of ours that may be imported.
	only []string
	// unnamed are functions and values of packages that must not be named: "os.Exit", "log.Fatal*".
	unnamed []string
	// lines, unless 0, is the greatest length.
	lines int
}

// rules hold for every Go file that people write.
var rules = []rule{
	{
		sentence: "the services meet in gen, cli and e2e: authsvc knows nothing of logsvc",
		about:    in("authsvc/...", "trail/..."),
		never:    []string{"logsvc/..."},
	},
	{
		sentence: "the services meet in gen, cli and e2e: logsvc knows nothing of authsvc",
		about:    in("logsvc/..."),
		never:    []string{"authsvc/...", "trail/..."},
	},
	{
		sentence: "internal is what the services share: it knows none of them, nor who wires them",
		about:    in("internal/..."),
		never:    []string{"authsvc/...", "logsvc/...", "cli/...", "gateway/...", "client/...", "console/..."},
	},
	{
		sentence: "a domain knows nothing of SQL and HTTP",
		about:    in("authsvc", "logsvc"),
		never:    []string{"database/sql/...", "github.com/jackc/...", "modernc.org/sqlite/...", "net/http/..."},
	},
	{
		sentence: "a domain knows the contract and gRPC in its gRPC files (grpc*.go) alone",
		about:    both(in("authsvc", "logsvc"), not(named("grpc*.go"))),
		never: []string{"gen/...", "google.golang.org/grpc/...", "google.golang.org/protobuf/...",
			"google.golang.org/genproto/..."},
	},
	{
		sentence: "a store of authsvc knows its domain, and of ours nothing else but internal",
		about:    in("authsvc/sqlite/...", "authsvc/postgres/..."),
		only:     []string{"authsvc", "authsvc/sqlite/...", "authsvc/postgres/...", "authsvc/storetest", "internal/..."},
	},
	{
		sentence: "a store of logsvc knows its domain, and of ours nothing else but internal",
		about:    in("logsvc/sqlite/...", "logsvc/postgres/..."),
		only:     []string{"logsvc", "logsvc/sqlite/...", "logsvc/postgres/...", "logsvc/storetest", "internal/..."},
	},
	{
		sentence: "a store knows nothing of gRPC",
		about:    stores,
		never:    []string{"google.golang.org/grpc/..."},
	},
	{
		sentence: "test helpers never link into production",
		about:    not(isTest),
		never:    []string{"authsvc/storetest/...", "logsvc/storetest/...", "internal/testing/disktest/...", "internal/testing/pgtest/...", "internal/testing/accesstest/...", "internal/testing/tlstest/..."},
	},
	{
		sentence: "a private Postgres is for tests and measurements: an operator names the one that he runs",
		about:    both(not(isTest), not(in("internal/testing/pgtest/...", "bench/..."))),
		never:    []string{"internal/testing/pgserver/..."},
	},
	{
		sentence: "testing never links into production",
		about:    both(not(isTest), not(in("authsvc/storetest/...", "logsvc/storetest/...", "internal/testing/..."))),
		never:    []string{"testing/..."},
	},
	{
		sentence: "only main.go exits: everything else returns an error",
		about:    both(not(isTest), not(in("tools/...", "bench/...", "e2e/compose/...")), not(isMain)),
		unnamed:  []string{"os.Exit", "syscall.Exit", "log.Fatal*", "flag.ExitOnError"},
	},
	{
		sentence: "tests wait for what they want, or set the clock: sleeping is slow and breaks on a busy machine",
		about:    isTest,
		unnamed:  []string{"time.Sleep"},
	},
	{
		sentence: "a file stays short enough to be read at one go",
		about:    func(file) bool { return true },
		lines:    maxFileLines,
	},
}

// TestHouse holds the rules on this repository.
func TestHouse(t *testing.T) {
	files, err := readHouse(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("only %d files found: this is not the repository", len(files))
	}
	for _, found := range inspect(files) {
		t.Error(found)
	}
}

// file is what the rules ask of a Go file.
type file struct {
	path    string // from the root, with slashes
	imports []string
	names   []string // what it names of other packages: "os.Exit"
	lines   int
}

// in picks the files of packages.
func in(packages ...string) func(file) bool {
	return func(f file) bool { return matchesAny(packages, path.Dir(f.path)) }
}

// named picks files by name.
func named(pattern string) func(file) bool {
	return func(f file) bool { ok, _ := path.Match(pattern, path.Base(f.path)); return ok }
}

func both(conditions ...func(file) bool) func(file) bool {
	return func(f file) bool {
		return !slices.ContainsFunc(conditions, func(holds func(file) bool) bool { return !holds(f) })
	}
}

func not(condition func(file) bool) func(file) bool {
	return func(f file) bool { return !condition(f) }
}

func stores(f file) bool {
	return in("authsvc/sqlite/...", "authsvc/postgres/...", "logsvc/sqlite/...", "logsvc/postgres/...")(f)
}

func isTest(f file) bool { return strings.HasSuffix(f.path, "_test.go") }

func isMain(f file) bool { return f.path == "main.go" }

// matchesAny tells whether a package is one of the patterns' ("logsvc", "logsvc/...").
func matchesAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		root, tree := strings.CutSuffix(pattern, "/...")
		return pkg == root || tree && strings.HasPrefix(pkg, root+"/")
	})
}

// violation is one file breaking one rule.
type violation struct {
	path   string
	rule   string
	reason string
}

func (v violation) String() string { return fmt.Sprintf("%s %s (%s)", v.path, v.reason, v.rule) }

// inspect holds every rule against every file.
func inspect(files []file) []violation {
	var found []violation
	for _, f := range files {
		for _, r := range rules {
			if !r.about(f) {
				continue
			}
			for _, reason := range r.broken(f) {
				found = append(found, violation{f.path, r.sentence, reason})
			}
		}
	}
	return found
}

// broken tells how a file breaks the rule.
func (r rule) broken(f file) []string {
	var reasons []string
	for _, imported := range f.imports {
		pkg, our := strings.CutPrefix(imported, ours)
		if matchesAny(r.never, pkg) || our && len(r.only) > 0 && !matchesAny(r.only, pkg) {
			reasons = append(reasons, "imports "+pkg)
		}
	}
	for _, name := range f.names {
		if slices.ContainsFunc(r.unnamed, func(pattern string) bool { ok, _ := path.Match(pattern, name); return ok }) {
			reasons = append(reasons, "names "+name)
		}
	}
	if r.lines > 0 && f.lines > r.lines {
		reasons = append(reasons, fmt.Sprintf("has %d lines of at most %d", f.lines, r.lines))
	}
	return reasons
}

// readHouse reads the Go files below root, except generated ones and the folders that the go command ignores.
func readHouse(root string) ([]file, error) {
	var files []file
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != root && ignored(entry.Name()):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		f, generated, err := readFile(root, name)
		if err == nil && !generated {
			files = append(files, f)
		}
		return err
	})
	return files, err
}

func ignored(dir string) bool {
	return strings.HasPrefix(dir, ".") || strings.HasPrefix(dir, "_") || dir == "testdata" || dir == "node_modules"
}

func readFile(root, name string) (f file, generated bool, err error) {
	source, err := os.ReadFile(name)
	if err != nil {
		return file{}, false, err
	}
	relative, err := filepath.Rel(root, name)
	if err != nil {
		return file{}, false, err
	}
	tree, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return file{}, false, err
	}
	f = file{path: filepath.ToSlash(relative), lines: strings.Count(string(source), "\n")}
	packages := map[string]string{} // by the name that the file gives them
	for _, spec := range tree.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, false, err
		}
		f.imports = append(f.imports, imported)
		packages[localName(spec, imported)] = imported
	}
	f.names = namesOf(tree, packages)
	return f, ast.IsGenerated(tree), nil
}

// localName is how the file calls a package: right for the standard library, and for ours where it matters.
func localName(spec *ast.ImportSpec, imported string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	return path.Base(imported)
}

// namesOf lists what a file names of the packages that it imports, called or not: a function that is passed on
// will be called.
func namesOf(tree *ast.File, packages map[string]string) []string {
	var names []string
	ast.Inspect(tree, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if of, ok := selector.X.(*ast.Ident); ok && packages[of.Name] != "" {
				names = append(names, packages[of.Name]+"."+selector.Sel.Name)
			}
		}
		return true
	})
	return names
}

// long is too long with whatever is added to it.
var long = strings.Repeat("//\n", maxFileLines)

// ruleCases break every rule, and hold what looks like it and is fine.
var ruleCases = []struct {
	path, source string
	want         string // how the reason starts; empty: all is well
}{
	{"authsvc/keys.go", imports(ours + "logsvc"), "imports logsvc"},
	{"trail/trail_test.go", imports(ours + "logsvc/sqlite"), "imports logsvc/sqlite"},
	{"trail/trail.go", imports(ours+"authsvc", ours+"gen/keytrail/logs/v1"), ""},
	{"logsvc/sqlite/store.go", imports(ours + "authsvc"), "imports authsvc"},
	{"logsvc/filter.go", imports(ours + "trail"), "imports trail"},
	{"internal/serve/serve.go", imports(ours + "gateway"), "imports gateway"},
	{"internal/serve/serve.go", imports(ours+"internal/fault", "net/http", "google.golang.org/grpc"), ""},
	{"authsvc/keys.go", imports("database/sql"), "imports database/sql"},
	{"logsvc/entry.go", imports("github.com/jackc/pgx/v5"), "imports github.com/jackc/pgx/v5"},
	{"logsvc/grpc.go", imports("net/http"), "imports net/http"},
	{"authsvc/keys.go", imports(ours + "gen/keytrail/auth/v1"), "imports gen/keytrail/auth/v1"},
	{"logsvc/entry.go", imports("google.golang.org/grpc/codes"), "imports google.golang.org/grpc/codes"},
	{"logsvc/grpc_convert.go", imports("google.golang.org/grpc/codes", ours+"gen/keytrail/logs/v1"), ""},
	{"authsvc/sqlite/store.go", imports(ours + "gen/keytrail/auth/v1"), "imports gen/keytrail/auth/v1"},
	{"authsvc/sqlite/store.go", imports("google.golang.org/grpc/status"), "imports google.golang.org/grpc/status"},
	{"authsvc/sqlite/store.go", imports(ours+"authsvc", ours+"internal/sqlitedb", "database/sql"), ""},
	{"logsvc/postgres/store.go", imports(ours + "client"), "imports client"},
	{"authsvc/sqlite/store_test.go", imports(ours + "authsvc/storetest"), ""},
	{"authsvc/sqlite/store.go", imports(ours + "authsvc/storetest"), "imports authsvc/storetest"},
	{"cli/serve.go", imports(ours + "internal/testing/pgtest"), "imports internal/testing/pgtest"},
	{"cli/serve.go", imports(ours + "internal/testing/tlstest"), "imports internal/testing/tlstest"},
	{"cli/serve.go", imports(ours + "internal/testing/pgserver"), "imports internal/testing/pgserver"},
	{"bench/main.go", imports(ours + "internal/testing/pgserver"), ""},
	{"cli/serve.go", imports("testing"), "imports testing"},
	{"authsvc/storetest/store.go", imports("testing", ours+"authsvc"), ""},
	{"cli/serve.go", "import \"os\"\nvar _ = os.Exit", "names os.Exit"},
	{"cli/serve.go", "import out \"log\"\nfunc f() { out.Fatalf(\"\") }", "names log.Fatalf"},
	{"main.go", "import \"os\"\nfunc f() { os.Exit(1) }", ""},
	{"tools/sample/main.go", "import \"os\"\nfunc f() { os.Exit(1) }", ""},
	{"cli/serve_test.go", "import \"time\"\nfunc f() { time.Sleep(1) }", "names time.Sleep"},
	{"cli/serve.go", "import \"time\"\nfunc f() { time.Sleep(1) }", ""},
	{"cli/serve.go", long, "has 402 lines of at most 400"},
	{"cli/serve.pb.go", "// Code generated by hand. DO NOT EDIT.\n\npackage sample\n" + long, ""},
	{"cli/testdata/serve.go", long, ""},
}

// TestHouseRules shows that every rule can be broken, and that what looks like it is left in peace.
func TestHouseRules(t *testing.T) {
	broken := map[string]bool{}
	for _, c := range ruleCases {
		found := inspectOne(t, c.path, c.source)
		for _, v := range found {
			broken[v.rule] = true
		}
		if (c.want == "") != (len(found) == 0) || c.want != "" && found[0].reason != c.want {
			t.Errorf("%s with %.60q: found %v, want %q", c.path, c.source, found, c.want)
		}
	}
	for _, r := range rules {
		if !broken[r.sentence] {
			t.Errorf("no case breaks the rule %q", r.sentence)
		}
	}
}

// imports is a source that imports packages.
func imports(packages ...string) string {
	var source strings.Builder
	for _, pkg := range packages {
		fmt.Fprintf(&source, "import _ %q\n", pkg)
	}
	return source.String()
}

// inspectOne inspects a tree of one file.
func inspectOne(t *testing.T, name, source string) []violation {
	t.Helper()
	root := t.TempDir()
	full := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(source, "package ") {
		source = "package sample\n\n" + source
	}
	if err := os.WriteFile(full, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := readHouse(root)
	if err != nil {
		t.Fatal(err)
	}
	return inspect(files)
}
