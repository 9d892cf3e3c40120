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

// carriers hold a secret as code might hold it when it is logged by mistake.
func carriers(secret PlainSecret) map[string]any {
	type Answer struct {
		Key    string
		Secret PlainSecret
	}
	return map[string]any{
		"plain":   secret,
		"pointer": &secret,
		"field":   Answer{"k", secret},
		"slice":   []PlainSecret{secret},
		"map":     map[string]PlainSecret{"a": secret},
		"any":     []any{secret},
	}
}

func TestPlainSecretNeverFormatsItsText(t *testing.T) {
	secret := NewSecret()
	for name, carrier := range carriers(secret) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.50s", "%t"} {
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
