package authsvc

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/hidden"
)

// knownSecrets were made by another implementation: zlib's CRC-32 and Python's integers.
var knownSecrets = []string{
	"sk_2wjyrI00000000000000000000000000000000",
	"sk_1mVgZWabcdefghijklmnopqrstuvwxyzABCDEF",
	"sk_00VUzyWNapJRWhMmXK07SjSMJYPLokhaV7fwOO", // a sum with leading zeros
}

func TestChecksumIsThatOfSecretsMadeElsewhere(t *testing.T) {
	for _, text := range knownSecrets {
		if got := checksum(text[9:]); got != text[3:9] {
			t.Errorf("the checksum of %q is %q", text, got)
		}
	}
}

func TestNewSecretIsWellFormedAndNew(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		secret := NewSecret()
		text := secret.Reveal()
		if len(text) != 41 || !strings.HasPrefix(text, "sk_") {
			t.Fatalf("secret %q: want sk_ and 38 characters", text)
		}
		if sum := checksum(text[9:]); text[3:9] != sum || strings.Trim(text[9:], base62) != "" {
			t.Fatalf("the new secret %q is not of the alphabet, or has not the checksum %q", text, sum)
		}
		if secret.Last4() != text[37:] {
			t.Errorf("last4 of %q is %q", text, secret.Last4())
		}
		seen[text] = true
	}
	if len(seen) != 1000 {
		t.Errorf("1000 new secrets, %d of them different", len(seen))
	}
}

func TestNewSecretFavoursNoCharacter(t *testing.T) {
	used := map[rune]int{}
	for range 10000 {
		for _, c := range NewSecret().Reveal()[9:] {
			used[c]++
		}
	}
	for _, c := range base62 {
		// 5161 are expected, give or take 71. Those that a plain modulo favours would come 6250 times.
		if used[c] < 4750 || used[c] > 5570 {
			t.Errorf("%q came %d times in 320000 characters", c, used[c])
		}
	}
	if len(used) != 62 {
		t.Errorf("%d characters used, want 62", len(used))
	}
}

func TestDigestIsTheSHA256OfTheWholeText(t *testing.T) {
	secret := PlainSecret{text: hidden.Hide(knownSecrets[1])}
	if got := hexDigest(secret.Digest()); got != "54ff6e778f5d587d56a07f751202b5e759c7062483bec316a7cd62a0d80e24a2" {
		t.Errorf("digest %s is not what sha256sum answers", got)
	}
	other := secret.Digest()
	other[31] ^= 1
	if !secret.Digest().Equal(secret.Digest()) || secret.Digest().Equal(other) {
		t.Error("Equal does not compare every bit")
	}
}

// checkerOf is a checker that knows one key.
func checkerOf(digest Digest) *Checker {
	ring := NewKeyring(nil, nil)
	ring.index.add(newHolder().hold(Key{ID: uuid.New(), WorkspaceID: "acme", Secrets: []Secret{{Digest: digest}}}))
	return &Checker{config: CheckerConfig{Keyring: ring}}
}

func TestOnlyExactlyTheSecretProvesItsKey(t *testing.T) {
	good := knownSecrets[1]
	replace := func(at int, c string) string { return good[:at] + c + good[at+1:] }
	tests := map[string]string{
		"empty":                           "",
		"prefix alone":                    "sk_",
		"space before":                    " " + good,
		"space after":                     good + " ",
		"newline after":                   good + "\n",
		"space within, length kept":       replace(20, " "),
		"space for the prefix's s":        " " + good[1:],
		"one short":                       good[:40],
		"one long":                        good + "0",
		"one short with its own sum":      secretPrefix + checksum(good[9:40]) + good[9:40],
		"one long with its own sum":       secretPrefix + checksum(good[9:]+"0") + good[9:] + "0",
		"strange ones with their own sum": secretPrefix + checksum(strings.Repeat("-", 32)) + strings.Repeat("-", 32),
		"no random part":                  secretPrefix + checksum(""),
		"upper-case prefix":               "SK_" + good[3:],
		"dash for underscore":             "sk-" + good[3:],
		"no prefix, length kept":          good[3:] + "abc",
		"much behind":                     good + strings.Repeat("x", 1<<20),
		"Bearer before":                   "Bearer " + good,
		"quoted":                          `"` + good + `"`,
		"dash in the random part":         replace(20, "-"),
		"underscore in the random part":   replace(20, "_"),
		"NUL in the random part":          replace(20, "\x00"),
		"high byte in the random part":    replace(20, "\xff"),
		"wrong alphabet in the sum":       replace(5, "-"),
		"typing mistake, random part":     replace(20, swapped(good[20])),
		"typing mistake, sum":             replace(5, swapped(good[5])),
		"two characters swapped":          good[:20] + good[21:22] + good[20:21] + good[22:],
		"case changed":                    strings.ToLower(good),
		"non-ASCII digits":                replace(20, "٣")[:41],
	}
	checker := checkerOf(digestOf(good))
	if _, code := checker.prove(good); code != "" {
		t.Fatalf("the secret itself is answered with %q", code)
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if text == good {
				t.Fatal("the test changes nothing")
			}
			want := InvalidToken
			if text == "" {
				want = MissingToken
			}
			if p, code := checker.prove(text); code != want || p.key != nil {
				t.Errorf("%q is answered with %q and %v, want %q", text, code, p.key, want)
			}
		})
	}
}

func FuzzProve(f *testing.F) {
	good := knownSecrets[1]
	for _, text := range append(knownSecrets, "", "sk_", good+" ", good+"\x00", good[:40], strings.Repeat("\xff", secretLength)) {
		f.Add(text)
	}
	checker := checkerOf(digestOf(good))
	f.Fuzz(func(t *testing.T, text string) {
		if _, code := checker.prove(text); (code == "") != (text == good) {
			t.Fatalf("%q is answered with %q", text, code)
		}
	})
}

// TestNothingIsDecidedBeforeTheDigestsAreCompared holds the form of what Checker.prove promises; how long anything takes
// is not asserted.
func TestNothingIsDecidedBeforeTheDigestsAreCompared(t *testing.T) {
	for _, tt := range []struct {
		file, function, call string
		earlier              int
	}{
		{"check.go", "prove", "find", 1}, // nothing was sent
		{"keyring.go", "find", "find", 0},
		{"keyring_index.go", "find", "proves", 0},
		{"keyring_held.go", "proves", "Equal", 0},
	} {
		file, err := parser.ParseFile(token.NewFileSet(), tt.file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := returnsBefore(file, tt.function, tt.call); got != tt.earlier {
			t.Errorf("%s: %s returns %d times before it calls %s, want %d", tt.file, tt.function, got, tt.call, tt.earlier)
		}
	}
}

// returnsBefore counts the return statements of a function in front of its first call of another; -1 = it calls none.
func returnsBefore(file *ast.File, function, call string) int {
	returns, found := 0, -1
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); !ok || f.Name.Name != function {
			continue
		}
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ReturnStmt:
				returns++
			case *ast.SelectorExpr:
				if n.Sel.Name == call && found < 0 {
					found = returns
				}
			}
			return true
		})
	}
	return found
}

// BenchmarkProve is what a check pays for the proof.
func BenchmarkProve(b *testing.B) {
	good := knownSecrets[1]
	for name, text := range map[string]string{
		"valid": good, "unknown": knownSecrets[0], "malformed": "sk_stranger", "long": strings.Repeat("x", 1<<20),
	} {
		b.Run(name, func(b *testing.B) {
			checker := checkerOf(digestOf(good))
			b.ReportAllocs()
			for b.Loop() {
				checker.prove(text)
			}
		})
	}
}

// swapped is another character of the alphabet.
func swapped(c byte) string {
	if c == 'x' {
		return "y"
	}
	return "x"
}
