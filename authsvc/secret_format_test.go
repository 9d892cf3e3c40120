package authsvc

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func hexDigest(d Digest) string { return hex.EncodeToString(d[:]) }

// verbs has all verbs of fmt, and one that it does not have.
var verbs = []string{
	"%v", "%+v", "%#v", "%T", "%t", "%b", "%c", "%d", "%o", "%O", "%q", "%+q", "%x", "%X", "% x", "%#x", "%U", "%e", "%E", "%f", "%F", "%g",
	"%G", "%s", "%10.50s", "%p", "%#p", "%w", "%z",
}

// carriers hold a secret as code might hold it when it is logged by mistake.
func carriers(secret PlainSecret) map[string]any {
	type Response struct {
		Key    string
		Secret PlainSecret
	}
	type inside struct {
		name   string
		secret PlainSecret
	}
	type deep struct {
		field inside
		by    *inside
		all   []inside
		named map[string]inside
		any   any
	}
	return map[string]any{
		"unexported": inside{"k", secret}, "pointer to unexported": &inside{"k", secret},
		"deep":    deep{inside{"k", secret}, &inside{"k", secret}, []inside{{"k", secret}}, map[string]inside{"k": {"k", secret}}, secret},
		"plain":   secret,
		"pointer": &secret,
		"field":   Response{"k", secret},
		"slice":   []PlainSecret{secret},
		"map":     map[string]PlainSecret{"a": secret},
		"any":     []any{secret},
	}
}

func TestPlainSecretNeverFormatsItsText(t *testing.T) {
	secret := NewSecret()
	for name, carrier := range carriers(secret) {
		for _, verb := range verbs {
			expectHidden(t, secret, name+" under "+verb, fmt.Sprintf(verb, carrier))
		}
		expectHidden(t, secret, name+" under Sprint", fmt.Sprint(carrier))
		expectHidden(t, secret, name+" in an error", fmt.Errorf("refused %v: %w", carrier, errors.New("no")).Error())
	}
	if got, want := secret.String(), "sk_…"+secret.Last4(); got != want {
		t.Errorf("formats as %q, want %q", got, want)
	}
}

func TestPlainSecretNeverReachesALogOrJSON(t *testing.T) {
	secret := NewSecret()
	for name, carrier := range carriers(secret) {
		var out bytes.Buffer
		options := &slog.HandlerOptions{Level: slog.LevelDebug}
		for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, options), slog.NewTextHandler(&out, options)} {
			log := slog.New(handler).With("with", carrier)
			log.Info("a secret", "secret", carrier, slog.Group("group", "secret", carrier), slog.Any("any", carrier))
		}
		expectHidden(t, secret, name+" in slog", out.String())
		text, err := json.Marshal(carrier)
		if err != nil {
			t.Fatal(err)
		}
		expectHidden(t, secret, name+" in JSON", string(text))
	}
}

func expectHidden(t *testing.T, secret PlainSecret, where, shown string) {
	t.Helper()
	random := secret.Reveal()[9:]
	for _, part := range []string{random[:8], hex.EncodeToString([]byte(random[:8])), strings.ToUpper(hex.EncodeToString([]byte(random[:8])))} {
		if strings.Contains(shown, part) {
			t.Errorf("%s shows the secret: %s", where, shown)
		}
	}
	if shown == "" {
		t.Errorf("%s shows nothing at all: the test proves nothing", where)
	}
}
