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

// witness knows everything that must never be seen, and looks for it wherever it is led.
type witness struct {
	t *testing.T
	// never are in no place, stored are in none but the stores.
	never, stored map[string][]byte
	// errors counts the answers that were errors, by code.
	errors map[codes.Code]int
	// looked counts the bytes that were looked at, by the kind of place.
	looked map[string]int
}

func newWitness(t *testing.T) *witness {
	return &witness{t: t, never: map[string][]byte{}, stored: map[string][]byte{}, errors: map[codes.Code]int{}, looked: map[string]int{}}
}

// forms are how bytes may be written.
func forms(of map[string][]byte, name string, secret []byte) {
	of[name] = secret
	of[name+" in hex"] = []byte(hex.EncodeToString(secret))
	of[name+" in HEX"] = []byte(strings.ToUpper(hex.EncodeToString(secret)))
	// A shift by one byte makes another text.
	for i := range 3 {
		if rest := (len(secret) - i) / 3 * 3; rest > 0 {
			of[fmt.Sprintf("%s in base64 from %d", name, i)] = []byte(base64.StdEncoding.EncodeToString(secret[i : i+rest]))
			of[fmt.Sprintf("%s in base64url from %d", name, i)] = []byte(base64.URLEncoding.EncodeToString(secret[i : i+rest]))
		}
	}
	of[name+" as numbers"] = []byte(strings.Trim(fmt.Sprint(secret[:min(8, len(secret))]), "[]"))
}

// secret is an API key's text, or one that looks like it. Its end is shown by design.
func (w *witness) secret(name, text string) {
	text = strings.TrimSpace(text)
	forms(w.never, name, []byte(text[9:29]))
	sum := sha256.Sum256([]byte(text))
	forms(w.stored, "the digest of "+name, sum[:])
}

// token is a JWT. Its header is of every token.
func (w *witness) token(name, text string) string {
	parts := strings.Split(text, ".")
	w.never["the claims of "+name], w.never["the signature of "+name] = []byte(parts[1]), []byte(parts[2])
	return text
}

// see looks at a text in a place of some kind.
func (w *witness) see(kind, where string, text []byte) {
	w.t.Helper()
	w.looked[kind] += len(text)
	sets := []map[string][]byte{w.never, w.stored}
	if kind == "store" {
		sets = sets[:1]
	}
	for _, set := range sets {
		for name, secret := range set {
			if at := bytes.Index(text, secret); at >= 0 {
				w.t.Errorf("%s %s shows %s: …%q…", kind, where, name, text[max(0, at-60):at])
			}
		}
	}
}

// refused looks at what gRPC answered with an error.
func (w *witness) refused(where string, err error) {
	w.t.Helper()
	st := status.Convert(err)
	w.errors[st.Code()]++
	w.see("gRPC answer", where, fmt.Appendf(nil, "%v\n%+v\n%#v\n%v", err, err, st, st.Details()))
}

// http looks at a whole answer of HTTP, and answers its body.
func (w *witness) http(kind string, req *http.Request) (code int, body []byte) {
	w.t.Helper()
	do := func(req *http.Request) (*http.Response, error) { return http.DefaultClient.Do(req) }
	if kind == "REST answer" {
		do = func(req *http.Request) (*http.Response, error) { return doREST(w.t, http.DefaultClient, req) }
	}
	resp, err := do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		w.t.Fatal(err)
	}
	where := fmt.Sprintf("%s %s: %d", req.Method, req.URL.Path, resp.StatusCode)
	w.see(kind, where, fmt.Appendf(nil, "%v", resp.Header))
	// A JSON text may be written in other characters than it stands for.
	var value any
	if json.Unmarshal(body, &value) == nil {
		w.see(kind, where, fmt.Appendf(nil, "%+v", value))
	}
	w.see(kind, where, body)
	return resp.StatusCode, body
}

// files looks at all files of a folder but the keys that signs tokens.
func (w *witness) files(dir string) {
	w.t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "signing-key.pem" || d.Name() == "key.pem" {
			return err
		}
		kind := "file"
		if strings.HasPrefix(d.Name(), "auth.db") || strings.HasPrefix(d.Name(), "logs.db") {
			kind = "store"
		}
		content, err := os.ReadFile(path)
		w.see(kind, d.Name(), content)
		return err
	}); err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
}

// database looks at every row of every table.
func (w *witness) database(ctx context.Context, url string) {
	w.t.Helper()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, _ := conn.Query(ctx, `SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables
		WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')`)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatal(err)
	}
	for _, table := range tables {
		rows, _ := conn.Query(ctx, "SELECT t::text FROM "+table+" t")
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			w.t.Fatal(err)
		}
		w.see("store", table, []byte(strings.Join(texts, "\n")))
	}
}

// expectLooked expects that there was something to look at in all places.
func (w *witness) expectLooked(kinds ...string) {
	w.t.Helper()
	for _, kind := range kinds {
		if w.looked[kind] < 100 {
			w.t.Errorf("of the kind %s %d bytes were looked at", kind, w.looked[kind])
		}
	}
	w.t.Logf("looked at %v for %d texts; errors: %v", w.looked, len(w.never)+len(w.stored), w.errors)
}
