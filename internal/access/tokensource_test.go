package access

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestTokenOfAFileMayBeReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if _, err := TokenFile(file).GetRequestMetadata(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	for _, token := range []string{"first", "second"} {
		must(t, os.WriteFile(file, []byte(" "+token+"\n"), 0o600))
		sent, err := TokenFile(file).GetRequestMetadata(t.Context())
		if err != nil || sent["authorization"] != "Bearer "+token || len(sent) != 1 {
			t.Errorf("sends %v, %v", sent, err)
		}
	}
}
