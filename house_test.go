package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module       = "github.com/keytrail/keytrail/"
	maxFileLines = 400
)

// importRules are the layers of the repository. Packages are written relative to the module; "logsvc/..." is logsvc and
// everything below it.
var importRules = []struct {
	reason    string
	files     func(sourceFile) bool
	forbidden []string
}{
	{
		"authsvc and logsvc do not know each other: they meet in gen, app, cli and e2e",
		in("authsvc/...", "trail/..."),
		[]string{"logsvc/..."},
	},
	{
		"authsvc and logsvc do not know each other: they meet in gen, app, cli and e2e",
		in("logsvc/..."),
		[]string{"authsvc/...", "trail/..."},
	},
	{
		"internal is shared: it knows no service and no wiring",
		in("internal/..."),
		[]string{"authsvc/...", "logsvc/...", "trail/...", "gateway/...", "app/...", "cli/..."},
	},
	{
		"a domain knows no transport and no database",
		in("authsvc", "logsvc"),
		[]string{"gen/...", "google.golang.org/grpc/...", "google.golang.org/protobuf/...", "google.golang.org/genproto/...",
			"net/http/...", "database/sql/...", "github.com/jackc/pgx/v5/...", "modernc.org/sqlite/..."},
	},
	{
		"a store knows its domain and internal",
		in("authsvc/sqlite/...", "authsvc/postgres/...", "logsvc/sqlite/...", "logsvc/postgres/..."),
		[]string{"gen/...", "google.golang.org/grpc/...", "authsvc/grpcapi/...", "logsvc/grpcapi/...", "trail/...", "gateway/...", "app/...", "cli/..."},
	},
	{
		"the gateway reaches the services through gRPC",
		in("gateway/..."),
		[]string{"authsvc/...", "logsvc/...", "trail/...", "app/...", "cli/..."},
	},
	{
		"Envoy's types are translated where its services are",
		func(f sourceFile) bool { return !in("authsvc/envoy", "e2e")(f) },
		[]string{"github.com/envoyproxy/..."},
	},
	{
		"what backends import knows no service and no wiring",
		func(f sourceFile) bool { return !f.isTest() && in("client")(f) },
		[]string{"authsvc/...", "logsvc/...", "trail/...", "gateway/...", "app/...", "cli/..."},
	},
	{
		"commands do not serve: the wiring is in app",
		func(f sourceFile) bool { return !f.isTest() && in("cli")(f) },
		[]string{"internal/grpcserver/...", "internal/httpserver/...", "internal/telemetry/...", "authsvc/sqlite/...", "authsvc/postgres/...", "logsvc/sqlite/...", "logsvc/postgres/..."},
	},
	{
		"test helpers do not link into production",
		func(f sourceFile) bool {
			return !f.isTest() && !in("authsvc/storetest", "logsvc/storetest", "client/keytrailtest", "internal/testing/...", "bench/...")(f)
		},
		[]string{"testing/...", "authsvc/storetest/...", "logsvc/storetest/...", "client/keytrailtest/...", "internal/testing/..."},
	},
}

// nameRules forbid functions and values of other packages.
var nameRules = []struct {
	reason    string
	files     func(sourceFile) bool
	forbidden []string
}{
	{
		"only main.go exits: everything else returns an error",
		func(f sourceFile) bool {
			return !f.isTest() && f.path != "main.go" && !in("tools/...", "bench/...", "e2e/compose/...")(f)
		},
		[]string{"os.Exit", "syscall.Exit", "log.Fatal", "log.Fatalf", "log.Fatalln", "flag.ExitOnError"},
	},
	{
		"tests wait for an event, or set the clock: sleeping is slow and fails on a busy machine",
		sourceFile.isTest,
		[]string{"time.Sleep"},
	},
}

// TestSourceRules holds the rules on every Go file that is not generated.
func TestSourceRules(t *testing.T) {
	files := readSources(t)
	if len(files) < 100 {
		t.Fatalf("only %d files found", len(files))
	}
	for _, f := range files {
		for _, rule := range importRules {
			for _, imported := range f.imports {
				if rule.files(f) && matches(rule.forbidden, imported) {
					t.Errorf("%s imports %s: %s", f.path, imported, rule.reason)
				}
			}
		}
		for _, rule := range nameRules {
			for _, name := range f.names {
				if rule.files(f) && slices.Contains(rule.forbidden, name) {
					t.Errorf("%s uses %s: %s", f.path, name, rule.reason)
				}
			}
		}
		if f.lines > maxFileLines {
			t.Errorf("%s has %d lines, of at most %d", f.path, f.lines, maxFileLines)
		}
	}
}

type sourceFile struct {
	path    string   // relative to the module, with slashes
	imports []string // those of the module relative to it
	names   []string // what it uses of other packages, e.g. "os.Exit"
	lines   int
}

func (f sourceFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// in selects the files of packages.
func in(packages ...string) func(sourceFile) bool {
	return func(f sourceFile) bool { return matches(packages, path.Dir(f.path)) }
}

// matches reports whether a package matches one of the patterns.
func matches(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		root, tree := strings.CutSuffix(pattern, "/...")
		return pkg == root || tree && strings.HasPrefix(pkg, root+"/")
	})
}

// readSources reads all Go files, except generated ones and those in directories that the go command ignores.
func readSources(t *testing.T) (files []sourceFile) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.ContainsAny(entry.Name()[:1], "._") || slices.Contains([]string{"testdata", "node_modules"}, entry.Name())):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err == nil && !ast.IsGenerated(tree) {
			f := sourceFile{path: filepath.ToSlash(name), lines: set.Position(tree.FileEnd).Line - 1}
			f.addNames(tree)
			files = append(files, f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// addNames adds the imports of a file, and what it uses of them: called or not, because a function value can be called.
func (f *sourceFile) addNames(tree *ast.File) {
	packages := map[string]string{} // by their names in the file
	for _, spec := range tree.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
		f.imports = append(f.imports, strings.TrimPrefix(imported, module))
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		packages[name] = imported
	}
	ast.Inspect(tree, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if pkg, ok := selector.X.(*ast.Ident); ok && packages[pkg.Name] != "" {
				f.names = append(f.names, packages[pkg.Name]+"."+selector.Sel.Name)
			}
		}
		return true
	})
}
