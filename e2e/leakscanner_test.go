package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// leakScanner knows all secrets and scans output for them.
type leakScanner struct {
	t *testing.T
	// never must be nowhere, stored only in the databases.
	never, stored map[string][]byte
	// errors counts error responses by code.
	errors map[codes.Code]int
	// scanned counts scanned bytes by the kind of output.
	scanned map[string]int
}

func newLeakScanner(t *testing.T) *leakScanner {
	return &leakScanner{t: t, never: map[string][]byte{}, stored: map[string][]byte{}, errors: map[codes.Code]int{}, scanned: map[string]int{}}
}

// addEncodings adds a secret in all its encodings to a set.
func addEncodings(of map[string][]byte, name string, secret []byte) {
	of[name] = secret
	of[name+" in hex"] = []byte(hex.EncodeToString(secret))
	of[name+" in HEX"] = []byte(strings.ToUpper(hex.EncodeToString(secret)))
	// The base64 text depends on the offset of the secret modulo 3.
	for i := range 3 {
		if rest := (len(secret) - i) / 3 * 3; rest > 0 {
			of[fmt.Sprintf("%s in base64 from %d", name, i)] = []byte(base64.StdEncoding.EncodeToString(secret[i : i+rest]))
			of[fmt.Sprintf("%s in base64url from %d", name, i)] = []byte(base64.URLEncoding.EncodeToString(secret[i : i+rest]))
		}
	}
	of[name+" as numbers"] = []byte(strings.Trim(fmt.Sprint(secret[:min(8, len(secret))]), "[]"))
}

// addSecret adds the secret of a key. Its last four characters are shown by design.
func (l *leakScanner) addSecret(name, text string) {
	text = strings.TrimSpace(text)
	addEncodings(l.never, name, []byte(text[9:29]))
	sum := sha256.Sum256([]byte(text))
	addEncodings(l.stored, "the digest of "+name, sum[:])
}

// addToken adds a JWT without its header, which all tokens share.
func (l *leakScanner) addToken(name, text string) string {
	parts := strings.Split(text, ".")
	l.never["the claims of "+name], l.never["the signature of "+name] = []byte(parts[1]), []byte(parts[2])
	return text
}

// scan fails the test if a text holds a secret.
func (l *leakScanner) scan(kind, where string, text []byte) {
	l.t.Helper()
	l.scanned[kind] += len(text)
	sets := []map[string][]byte{l.never, l.stored}
	if kind == "store" {
		sets = sets[:1]
	}
	for _, set := range sets {
		for name, secret := range set {
			if at := bytes.Index(text, secret); at >= 0 {
				l.t.Errorf("%s %s contains %s: …%q…", kind, where, name, text[max(0, at-60):at])
			}
		}
	}
}

// scanError scans a gRPC error.
func (l *leakScanner) scanError(where string, err error) {
	l.t.Helper()
	st := status.Convert(err)
	l.errors[st.Code()]++
	l.scan("gRPC response", where, fmt.Appendf(nil, "%v\n%+v\n%#v\n%v", err, err, st, st.Details()))
}

// scanHTTP sends a request and scans the headers and body of the response.
func (l *leakScanner) scanHTTP(kind string, req *http.Request) (code int, body []byte) {
	l.t.Helper()
	do := func(req *http.Request) (*http.Response, error) { return http.DefaultClient.Do(req) }
	if kind == "REST response" {
		do = func(req *http.Request) (*http.Response, error) { return doREST(l.t, http.DefaultClient, req) }
	}
	resp, err := do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		l.t.Fatal(err)
	}
	where := fmt.Sprintf("%s %s: %d", req.Method, req.URL.Path, resp.StatusCode)
	l.scan(kind, where, fmt.Appendf(nil, "%v", resp.Header))
	// JSON escapes could hide a secret, so scan the decoded value too.
	var value any
	if json.Unmarshal(body, &value) == nil {
		l.scan(kind, where, fmt.Appendf(nil, "%+v", value))
	}
	l.scan(kind, where, body)
	return resp.StatusCode, body
}

// scanFiles scans all files of a folder except the signing keys.
func (l *leakScanner) scanFiles(dir string) {
	l.t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "signing-key.pem" || d.Name() == "key.pem" {
			return err
		}
		kind := "file"
		name := d.Name()
		if strings.HasPrefix(name, "auth.db") || strings.HasPrefix(name, "logs.db") || strings.Contains(name, "keyring.snapshot") {
			kind = "store"
		}
		content, err := os.ReadFile(path)
		l.scan(kind, d.Name(), content)
		return err
	}); err != nil && !os.IsNotExist(err) {
		l.t.Fatal(err)
	}
}

// scanDatabase scans every row of every table.
func (l *leakScanner) scanDatabase(ctx context.Context, url string) {
	l.t.Helper()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, _ := conn.Query(ctx, `SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables
		WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')`)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		l.t.Fatal(err)
	}
	for _, table := range tables {
		rows, _ := conn.Query(ctx, "SELECT t::text FROM "+table+" t")
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			l.t.Fatal(err)
		}
		l.scan("store", table, []byte(strings.Join(texts, "\n")))
	}
}

// expectScanned expects output of every kind to have been scanned.
func (l *leakScanner) expectScanned(kinds ...string) {
	l.t.Helper()
	for _, kind := range kinds {
		if l.scanned[kind] < 100 {
			l.t.Errorf("%s: only %d bytes were scanned", kind, l.scanned[kind])
		}
	}
	l.t.Logf("scanned %v for %d texts; errors: %v", l.scanned, len(l.never)+len(l.stored), l.errors)
}
