package authsvc

import (
	"os"
	"strings"
	"testing"
)

func TestMessageSaysWhatIsWrongAndHowToFixIt(t *testing.T) {
	const want = "This API key has expired. Create a new key with a future expiry and switch over."
	if got := Expired.Message(); got != want {
		t.Errorf("Message() = %q, want %q", got, want)
	}
	if got := ErrorCode("").Message(); got != "" {
		t.Errorf("an allowed call is told %q", got)
	}
}

// TestReadersAreShownTheFixesOfTheTable holds the README's table against the one in the code.
func TestReadersAreShownTheFixesOfTheTable(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for code, d := range denials {
		found := false
		for line := range strings.Lines(string(text)) {
			found = found || strings.HasPrefix(line, "| `"+string(code)+"` |") && strings.HasSuffix(line, " | "+d.fix+" |\n")
		}
		if !found {
			t.Errorf("the README does not show the fix %q of %s", d.fix, code)
		}
	}
}
