package pagetoken

import (
	"testing"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/fault"
)

func TestTokenIsValidForItsQueryOnly(t *testing.T) {
	cursor := uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")
	token := Encode(cursor, "acme", "4xx", "")
	if got, err := Decode(token, "acme", "4xx", ""); err != nil || got != cursor {
		t.Fatalf("Decode = %v, %v; want %v", got, err, cursor)
	}
	for _, query := range [][]string{{"other", "4xx", ""}, {"acme", "", "4xx"}, {"acme4xx", "", ""}, {"acme", "4xx"}, {}} {
		if _, err := Decode(token, query...); fault.KindOf(err) != fault.Invalid {
			t.Errorf("Decode with the query %q: error %v, want an Invalid fault", query, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode(uuid.Nil, "acme"))
	f.Add("")
	f.Add("AQ")
	f.Add("%%%")
	f.Fuzz(func(t *testing.T, token string) {
		cursor, err := Decode(token, "acme")
		if err == nil && Encode(cursor, "acme") != token {
			t.Fatalf("%q decodes, but is not what Encode makes of %v", token, cursor)
		}
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Fatalf("error %v is not an Invalid fault", err)
		}
	})
}
