package hidden

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestTextIsRevealedAndNeverShown(t *testing.T) {
	const secret = "swordfish"
	text := Hide(secret)
	if got, zero := text.Reveal(), (Text{}).Reveal(); got != secret || zero != "" {
		t.Errorf("reveals %q and %q", got, zero)
	}
	type holder struct{ inside Text }
	for _, v := range []any{text, &text, holder{text}, &holder{text}, []holder{{text}}, map[string]holder{"a": {text}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p", "%z"} {
			shown := fmt.Sprintf(verb, v)
			if shown == "" || strings.Contains(shown, secret) || strings.Contains(shown, fmt.Sprintf("%x", secret)) {
				t.Errorf("%T under %s: %s", v, verb, shown)
			}
		}
		if shown, err := json.Marshal(v); err != nil || strings.Contains(string(shown), secret) {
			t.Errorf("%T in JSON: %s %v", v, shown, err)
		}
	}
}
